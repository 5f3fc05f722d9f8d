import fc from 'fast-check';
import { MapleTree, SharedCache, SharedMap } from '../../../lib/index.ts';
import { shapeOf } from '../../../lib/structures/maple/node.ts';
import type { XaMark } from '../../../lib/structures/xarray/options.ts';
import { XArray } from '../../../lib/structures/xarray/xarray.ts';
import { problemsOf } from '../cache-check.ts';
import { inspectNodes, MapleModel } from '../maple-model.ts';
import { XArrayModel } from '../xarray-model.ts';
import { codeOr, type Model, same } from './model.ts';

const below = (most: number) => fc.nat({ max: most - 1 });
const entry = below(1000);
const entryOrNothing = fc.option(entry, { nil: undefined, freq: 3 });

const XARRAY_CALLS = fc.oneof(
  fc.record({ is: fc.constant('store'), index: below(300), put: entryOrNothing }),
  fc.record({ is: fc.constant('erase'), index: below(300) }),
  fc.record({ is: fc.constant('insert'), index: below(300), put: entry }),
  fc.record({ is: fc.constant('cmpxchg'), index: below(300), put: entryOrNothing }),
  fc.record({ is: fc.constant('storeRange'), index: below(300), length: below(70), put: entryOrNothing }),
  fc.record({ is: fc.constant('storeOrder'), index: below(300), order: below(8), put: entryOrNothing }),
  fc.record({ is: fc.constant('mark'), index: below(300), mark: below(3), isSet: fc.boolean() }),
  fc.record({ is: fc.constant('entries'), index: below(300), length: below(200), mark: below(4) }),
  fc.record({ is: fc.constant('load'), index: below(300) }),
);
type XArrayCall = {
  is: string;
  index: number;
  put?: number | undefined;
  length?: number;
  order?: number;
  mark?: number;
  isSet?: boolean;
};

/** With four slots a node, so that it is tall. */
export const xarray: Model<XArrayCall> = {
  name: 'XArray',
  calls: XARRAY_CALLS,
  make(arena) {
    const xa = new XArray(arena, undefined, {}, 2);
    const model = new XArrayModel();
    return {
      call({ is, index, put, length = 0, order = 0, mark = 0, isSet = false }) {
        const known = model.at.get(index)?.value;
        if (is === 'store') {
          same('what was there', xa.store(index, put), known);
          model.store(index, put);
        } else if (is === 'erase') {
          same('what was there', xa.erase(index), known);
          model.erase(index);
        } else if (is === 'insert') {
          same(
            'insert',
            codeOr(() => xa.insert(index, put as number)),
            known === undefined ? undefined : 'EBUSY',
          );
          if (known === undefined) model.store(index, put);
        } else if (is === 'cmpxchg') {
          // Every other time it is what is there.
          const old = index % 2 === 0 ? known : 7;
          same('cmpxchg', xa.cmpxchg(index, old, put), known);
          if (old === known) model.store(index, put);
        } else if (is === 'storeRange') {
          xa.storeRange(index, index + length, put);
          model.storeRange(index, index + length, put);
        } else if (is === 'storeOrder') {
          xa.storeOrder(index, order, put);
          model.storeOrder(index, order, put);
        } else if (is === 'mark') {
          if (isSet) xa.setMark(index, mark as XaMark);
          else xa.clearMark(index, mark as XaMark);
          const found = model.at.get(index);
          if (found !== undefined) found.marks = isSet ? found.marks | (1 << mark) : found.marks & ~(1 << mark);
          same('mark', xa.getMark(index, mark as XaMark), isSet && found !== undefined);
        } else if (is === 'entries') {
          const search = { first: index, last: index + length, mark: mark === 3 ? undefined : (mark as XaMark) };
          same('entries', [...xa.entries(search)], model.entries(index, index + length, mark === 3 ? -1 : mark));
        } else same('load', xa.load(index), known);
      },
      end() {
        same('all entries', [...xa], model.entries());
        for (const mark of [0, 1, 2] as const) {
          same(`mark ${mark}`, [...xa.entries({ mark })], model.entries(0, Number.POSITIVE_INFINITY, mark));
        }
        for (const index of [...model.at.keys()]) xa.erase(index);
        same('empty', xa.empty, true);
        xa.destroy();
      },
    };
  },
};

const SPAN = 400;
/** Where the highest bit of an index changes, where the indices end, or where they begin. */
const BASES = [2 ** 31 - SPAN / 2, 2 ** 32 - SPAN, 0];
const range = { first: below(SPAN), length: fc.oneof({ weight: 9, arbitrary: below(8) }, below(SPAN)) };
const MAPLE_CALLS = fc.oneof(
  fc.record({ is: fc.constant('storeRange'), ...range, put: entryOrNothing }),
  fc.record({ is: fc.constant('storeRange'), ...range, put: entry }),
  fc.record({ is: fc.constant('insertRange'), ...range, put: entry }),
  fc.record({ is: fc.constant('erase'), first: below(SPAN) }),
  fc.record({ is: fc.constant('emptyArea'), ...range, size: below(20), isHighest: fc.boolean() }),
  fc.record({ is: fc.constant('allocRange'), first: fc.constant(0), size: below(6), isHighest: fc.boolean() }),
  fc.record({ is: fc.constant('entries'), ...range }),
  fc.record({ is: fc.constant('load'), first: below(SPAN) }),
);
type MapleCall = {
  is: string;
  first: number;
  length?: number;
  put?: number | undefined;
  size?: number;
  isHighest?: boolean;
};

/** A tree with four slots a node; `which` of the places where it is. */
function mapleModel(which: number): Model<MapleCall> {
  const base = BASES[which] as number;
  const hasGaps = which < 2;
  return {
    name: `MapleTree at ${base}`,
    calls: MAPLE_CALLS,
    make(arena) {
      const tree = new MapleTree(arena, undefined, { gaps: hasGaps }, 4);
      const model = new MapleModel();
      const end = base + SPAN - 1;
      return {
        call(call) {
          const { is, put, size = 0, isHighest = false } = call;
          const first = base + call.first;
          const last = Math.min(end, first + (call.length ?? 0));
          if (is === 'storeRange') {
            tree.storeRange(first, last, put);
            model.storeRange(first, last, put);
          } else if (is === 'insertRange') {
            const isFree = model.within(first, last).length === 0;
            same(
              'insertRange',
              codeOr(() => tree.insertRange(first, last, put as number)),
              isFree ? undefined : 'EBUSY',
            );
            if (isFree) model.storeRange(first, last, put);
          } else if (is === 'erase') {
            const found = model.at(first);
            same('erase', tree.erase(first), found?.entry);
            if (found !== undefined) model.storeRange(found.first, found.last, undefined);
          } else if (is === 'emptyArea') {
            const least = Math.min(size, last - first) + 1;
            const found = isHighest ? tree.emptyAreaRev(first, last, least) : tree.emptyArea(first, last, least);
            same('empty area', found, model.emptyArea(first, last, least, isHighest));
          } else if (is === 'allocRange') {
            const place = model.emptyArea(base, end, size + 1, isHighest);
            const search = { first: base, last: end, reverse: isHighest };
            same(
              'allocRange',
              codeOr(() => tree.allocRange(5, size + 1, search)),
              place ?? 'EBUSY',
            );
            if (place !== undefined) model.storeRange(place, place + size, 5);
          } else if (is === 'entries') {
            const within = model.within(first, last);
            same('entries', [...tree.entries({ first, last })], within);
            same('findRev', tree.findRev({ first, last }), within.at(-1));
          } else same('load', tree.load(first), model.at(first)?.entry);
        },
        end() {
          same('all ranges', [...tree], model.ranges);
          same('faults', inspectNodes(arena.cpu, shapeOf(4, hasGaps), tree.address).faults, []);
          for (const { first } of model.ranges) tree.erase(first);
          same('empty', tree.empty, true);
          tree.destroy();
        },
      };
    },
  };
}

export const maples = BASES.map((_, which) => mapleModel(which));

const key = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -5, max: 60 }) },
  { weight: 4, arbitrary: fc.string({ maxLength: 2, unit: fc.constantFrom('a', 'b', 'ÿ', 'Ω') }) },
  fc.constantFrom<unknown>(0.5, Number.NaN, true, false, null, undefined, 2 ** 40, 'user:0001234'),
);
const value = fc.oneof(
  fc.integer(),
  fc.double(),
  fc.string({ maxLength: 30 }),
  fc.string({ maxLength: 9, unit: 'binary' }),
  fc.uint8Array({ maxLength: 20 }),
  fc.constantFrom<unknown>(true, null),
);
type MapCall = { is: string; key: unknown; value?: unknown; isKnown?: boolean };

export const map: Model<MapCall> = {
  name: 'SharedMap',
  calls: fc.oneof(
    { weight: 6, arbitrary: fc.record({ is: fc.constant('set'), key, value }) },
    { weight: 3, arbitrary: fc.record({ is: fc.constant('get'), key }) },
    { weight: 3, arbitrary: fc.record({ is: fc.constant('delete'), key }) },
    fc.record({ is: fc.constant('compareAndSet'), key, value, isKnown: fc.boolean() }),
    fc.record({ is: fc.constant('update'), key, value }),
    { weight: 1, arbitrary: fc.record({ is: fc.constantFrom('clear', 'entries'), key: fc.constant(0) }) },
  ),
  make(arena) {
    const shared = new SharedMap<unknown, unknown>(arena);
    const model = new Map<unknown, unknown>();
    const all = () => {
      same('size', shared.size, model.size);
      for (const [each, is] of shared) same('an entry', is, model.has(each) ? model.get(each) : 'none');
    };
    return {
      call({ is, key, value, isKnown = false }) {
        if (is === 'set') {
          shared.set(key, value);
          model.set(key, value);
        } else if (is === 'delete') same('delete', shared.delete(key), model.delete(key));
        else if (is === 'compareAndSet') {
          const known = model.get(key);
          const isIt = isKnown || known === undefined;
          same('compareAndSet', shared.compareAndSet(key, isKnown ? known : undefined, value), isIt);
          if (isIt) model.set(key, value);
        } else if (is === 'update') {
          const known = model.get(key);
          shared.update(key, (seen) => {
            same('the value to update', seen, known);
            return value;
          });
          model.set(key, value);
        } else if (is === 'clear') {
          shared.clear();
          model.clear();
        } else if (is === 'entries') all();
        else {
          same('get', shared.get(key), model.get(key));
          same('has', shared.has(key), model.has(key));
        }
      },
      end() {
        all();
        for (const [each, is] of model) same('an entry', shared.get(each), is);
        shared.destroy();
      },
    };
  },
};

const MOST = 20;
type CacheCall = { is: string; key: number; value?: string; ttl?: number; by?: number };

/** A cache may forget what is not pinned, and nothing else. */
export const cache: Model<CacheCall> = {
  name: 'SharedCache',
  calls: fc.oneof(
    { weight: 6, arbitrary: fc.record({ is: fc.constant('set'), key: below(50), value: fc.string(), ttl: below(9) }) },
    { weight: 6, arbitrary: fc.record({ is: fc.constant('get'), key: below(50) }) },
    { weight: 2, arbitrary: fc.record({ is: fc.constant('compute'), key: below(50), value: fc.string() }) },
    { weight: 2, arbitrary: fc.record({ is: fc.constantFrom('delete', 'pin', 'unpin'), key: below(50) }) },
    fc.record({ is: fc.constant('pass'), key: fc.constant(0), by: below(5) }),
    fc.record({ is: fc.constantFrom('drain', 'pinAll', 'pinUsed', 'unpinAll', 'clear'), key: fc.constant(0) }),
  ),
  make(arena) {
    let ms = 1000;
    arena.cpu.now = () => ms * 1e6;
    const shared = new SharedCache<number, string>(arena, undefined, { max: MOST, maxPinnedBytes: 640 });
    const model = new Map<number, { value: string; expires: number; pins: number; isPinnedByAll: boolean }>();
    let pinsUsed = false;
    const isOver = ({ expires }: { expires: number }) => expires !== 0 && expires <= ms;
    const known = (key: number) => {
      const entry = model.get(key);
      return entry === undefined || isOver(entry) || !shared.has(key) ? undefined : entry;
    };
    return {
      call({ is, key, value = '', ttl = 0, by = 0 }) {
        const entry = known(key);
        if (is === 'set') {
          const code = codeOr(() => shared.set(key, value, { ttl }) && 'set');
          if (code === 'set') {
            const { pins = 0, isPinnedByAll = false } = model.get(key) ?? {};
            model.set(key, { value, expires: ttl === 0 ? 0 : ms + ttl, pins, isPinnedByAll });
          } else same('the code of a set', code, 'ENOMEM');
        } else if (is === 'get') same('get', shared.get(key), entry?.value);
        else if (is === 'compute') {
          same(
            'what is computed',
            shared.getOrComputeSync(key, () => value),
            entry?.value ?? value,
          );
          // In place of one that was too old it has the pins of that; if there was no room, nothing is left of either.
          const { pins = 0, isPinnedByAll = false } = model.get(key) ?? {};
          if (!shared.has(key)) model.delete(key);
          else if (entry === undefined) model.set(key, { value, expires: 0, pins, isPinnedByAll });
        } else if (is === 'delete') {
          same('delete', shared.delete(key), entry !== undefined);
          model.delete(key);
        } else if (is === 'pin') {
          const code = codeOr(() => shared.pin(key));
          if (code !== 'ENOMEM') same('pin', code, entry !== undefined);
          if (code === true && entry !== undefined) entry.pins++;
        } else if (is === 'unpin') {
          const code = codeOr(() => shared.unpin(key));
          const pins = model.get(key)?.pins ?? 0;
          if (entry !== undefined) same('unpin', code, pins > 0 ? true : 'EPERM');
          if (code === true) (model.get(key) as { pins: number }).pins--;
        } else if (is === 'pass') ms += by;
        else if (is === 'drain') shared.drain();
        else if (is === 'pinAll') {
          // One that is too old may be there no more.
          const isDone = codeOr(() => shared.pinAll()) === undefined;
          if (isDone) for (const each of model.values()) each.isPinnedByAll ||= !isOver(each);
        } else if (is === 'pinUsed') {
          pinsUsed = true;
          shared.pinAll({ onFirstUse: true, future: true });
        } else if (is === 'unpinAll') {
          pinsUsed = false;
          shared.unpinAll();
          for (const each of model.values()) each.isPinnedByAll = false;
        } else {
          shared.clear();
          model.clear();
        }
        for (const [each, { pins, isPinnedByAll, expires }] of model) {
          if ((pins > 0 || isPinnedByAll) && !isOver({ expires }))
            same(`whether ${each} is there`, shared.has(each), true);
          else if (!shared.has(each)) {
            // Where it is too old it may be there, with its pins, until somebody puts it out.
            if (!isOver({ expires })) model.delete(each);
          }
        }
      },
      end() {
        const { entries, pinned } = shared.stats();
        if (entries > MOST) throw new Error(`there are ${entries} entries`);
        const pins = [...model].filter(([, each]) => (each.pins > 0 || each.isPinnedByAll) && !isOver(each)).length;
        if (pinned < pins && !pinsUsed) throw new Error(`${pinned} entries are pinned, not ${pins}`);
        same('problems', problemsOf(arena, shared.address), []);
        shared.destroy();
      },
    };
  },
};

// biome-ignore lint/suspicious/noExplicitAny: each has calls of its own
export const MODELS: readonly Model<any>[] = [xarray, ...maples, map, cache];
