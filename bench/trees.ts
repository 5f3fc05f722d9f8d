/**
 * What an XArray costs beside a plain Map, and a maple tree of a million ranges beside sorted-btree, where that is installed; and how
 * long the search for an empty place takes among as many ranges. Nanoseconds of processor time, the best of some samples: what
 * else the machine does can only make them longer.
 */
import { Arena, MapleTree, XArray } from '../lib/index.ts';
import { BTree } from './absent.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';
import type { Loop } from './pairs.ts';
import { takeTurns } from './single.ts';

const MiB = 1 << 20;
const LOOKUPS = 20_000;
const SIZES = [1000, 100_000, 1_000_000];

/** A range is so long, and begins so far behind the one before. */
const WIDTH = 10;
const STEP = 16;
const RANGES = 1_000_000;

/** Whole numbers below `limit`, the same in each run. */
function randomFrom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

function shuffled(count: number): Int32Array {
  const random = randomFrom(12_345);
  const order = Int32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const other = random(i + 1);
    [order[i], order[other]] = [order[other] as number, order[i] as number];
  }
  return order;
}

/** Made from text, so that V8 learns nothing about one peer from another. */
const loop = (body: string, peer: unknown, keys: Int32Array): Loop =>
  new Function('peer', 'keys', `let sum = 0; return () => { for (const key of keys) { ${body} } return sum; };`)(
    peer,
    keys,
  );

const LOAD = 'const found = peer.load(key); if (found !== undefined) sum += found;';
const LOAD_PAIR =
  'const pair = peer.getPairOrNextLower(key); if (pair !== undefined && pair[1].last >= key) sum += pair[1].entry;';

export function xarray(figures: Figures, effort: Effort): void {
  for (const size of SIZES) {
    const map = new Map<number, number>();
    const array = new XArray(Arena.create({ bytes: 16 * MiB }));
    for (let i = 0; i < size; i++) {
      map.set(i, i);
      array.store(i, i);
    }
    const random = randomFrom(size);
    const orders = {
      'in order': Int32Array.from({ length: LOOKUPS }, (_, i) => i % size),
      random: Int32Array.from({ length: LOOKUPS }, () => random(size)),
    };
    for (const [order, keys] of Object.entries(orders)) {
      const loops = {
        Map: loop('sum += peer.get(key);', map, keys),
        XArray: loop('sum += peer.load(key);', array, keys),
      };
      takeTurns(figures, effort, `XArray load, ${order}, ${size} entries`, loops, LOOKUPS);
    }
  }
}

export function maple(figures: Figures, effort: Effort): void {
  for (const [order, places] of Object.entries({
    'in order': Int32Array.from({ length: RANGES }, (_, i) => i),
    'at random': shuffled(RANGES),
  })) {
    const { tree, peers } = build(figures, effort, order, places);
    const random = randomFrom(7);
    const lookups = {
      'in order': Int32Array.from({ length: LOOKUPS }, (_, i) => (i + RANGES / 2) * STEP + 3),
      random: Int32Array.from({ length: LOOKUPS }, () => random(RANGES * STEP)),
    };
    for (const [how, keys] of Object.entries(lookups)) {
      const loops = Object.fromEntries(
        Object.entries(peers).map(([name, peer]) => [name, loop(name === 'MapleTree' ? LOAD : LOAD_PAIR, peer, keys)]),
      );
      takeTurns(figures, effort, `maple load ${how}, stored ${order}`, loops, LOOKUPS);
    }
    // As long as no gap but the last is: the search has to look at a path, and then at what is behind it.
    const bounds = Int32Array.from({ length: 1000 }, () => random(RANGES * STEP));
    const search = loop(`sum += peer.emptyArea(key, ${2 ** 32 - 1}, ${STEP - WIDTH});`, tree, bounds);
    takeTurns(figures, effort, `maple emptyArea, stored ${order}`, { MapleTree: search }, bounds.length);
  }
}

/** Both trees with all ranges in them, and what a store has cost. */
function build(figures: Figures, { rounds }: Effort, order: string, places: Int32Array) {
  const scenario = `maple store ${order}`;
  let tree = new MapleTree(Arena.create({ bytes: 1 * MiB }));
  const peers: Record<string, unknown> = {};
  for (let round = 0; round < rounds; round++) {
    tree = new MapleTree(Arena.create({ bytes: 64 * MiB }));
    const store = `peer.storeRange(key * ${STEP}, key * ${STEP} + ${WIDTH - 1}, key);`;
    figures.add(scenario, 'MapleTree', 'ns', processorTime(loop(store, tree, places)) / RANGES);
    figures.add(`maple, a range stored ${order}`, 'MapleTree', 'bytes', tree.use().bytes / RANGES);
    peers.MapleTree = tree;
    if (BTree === undefined) continue;
    const other = new BTree();
    const set = `peer.set(key * ${STEP}, { last: key * ${STEP} + ${WIDTH - 1}, entry: key });`;
    figures.add(scenario, 'sorted-btree', 'ns', processorTime(loop(set, other, places)) / RANGES);
    peers['sorted-btree'] = other;
  }
  return { tree, peers };
}

/** ns that the thread has run. */
function processorTime(body: Loop): number {
  const before = process.cpuUsage();
  body();
  const { user, system } = process.cpuUsage(before);
  return (user + system) * 1000;
}
