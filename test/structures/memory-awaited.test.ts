/** All memory of an arena is a structure's, and waits for a reader: another write waits for that reader, too. */
import { describe, expect, test } from 'vitest';
import {
  type AbortableOptions,
  type Arena,
  MapleTree,
  RcuQsbr,
  SharedCache,
  SharedMap,
  XArray,
} from '../../lib/index.ts';
import { on, type Step, stepper } from '../support/stepper.ts';
import { exhaust, thrown } from '../support/threads.ts';

interface Changing {
  /** A change, another one each time, that takes a block and retires one as long. */
  change(i: number): void;
  /** The same on the event loop; of an XArray one that takes a block and retires none. */
  changeAsync(i: number, options?: AbortableOptions): Promise<unknown>;
  /** What readers see. */
  image(): string;
  destroy(): void;
}

/** Far enough from 0 for a node above. */
const AT = 8192;

const KINDS: Record<string, (arena: Arena) => Changing> = {
  XArray(arena) {
    const xa = new XArray(arena, 'array');
    return {
      change(i) {
        if (xa.getOrder(AT) > 0) xa.split(AT, 0);
        xa.storeOrder(AT, 2, i);
      },
      changeAsync: (i, options) => xa.storeAsync(AT + 64 * i, i, options),
      image: () => JSON.stringify([...new Set([...xa].map(([, entry]) => entry))]),
      destroy: () => xa.destroy(),
    };
  },
  MapleTree(arena) {
    const tree = new MapleTree(arena, 'tree');
    return {
      change(i) {
        if (i % 2 === 0) tree.storeRange(10, 19, i);
        else tree.storeRange(12, 15, i);
      },
      changeAsync: (i, options) => tree.storeRangeAsync(10 + 2 * (i % 2), 19 - 4 * (i % 2), i, options),
      image: () => JSON.stringify([...tree]),
      destroy: () => tree.destroy(),
    };
  },
  SharedMap(arena) {
    const map = new SharedMap(arena, 'map');
    return {
      change(i) {
        map.set('key', i);
      },
      changeAsync: (i, options) => map.setAsync('key', i, options),
      image: () => JSON.stringify([...map]),
      destroy: () => map.destroy(),
    };
  },
  SharedCache(arena) {
    const cache = new SharedCache(arena, 'cache');
    return {
      change(i) {
        cache.set('key', i);
      },
      changeAsync: (i, options) => cache.setAsync('key', i, options),
      image: () => `${cache.get('key')}`,
      destroy: () => cache.destroy(),
    };
  },
};

/** The arena is full, and a reader of thread 1 may look at all that thread 0 retires. */
function make(kind: string) {
  const machine = stepper(3, { words: 1 << 14 });
  const [arena, other] = machine.arenas as [Arena, Arena, Arena];
  const structures = machine.arenas.map((arena) => {
    const structure = (KINDS[kind] as (arena: Arena) => Changing)(arena);
    // All threads are one here: without this one that has looked is a reader until the test ends.
    const image = () => {
      const seen = structure.image();
      new RcuQsbr(arena).quiescent();
      return seen;
    };
    return { ...structure, image };
  }) as [Changing, Changing, Changing];
  // Blocks to go on with for a while.
  for (let i = 0; i < 6; i++) structures[0].change(i);
  // An asynchronous wait needs a task.
  arena.thread.returnTask(arena.thread.takeTask(arena.heap));
  const rcu = new RcuQsbr(other);
  const filling = exhaust(arena);
  rcu.readLock();
  const leave = () => {
    rcu.readUnlock();
    rcu.quiescent();
  };
  return { ...machine, arena, rcu, leave, structures, structure: structures[0], filling };
}

/** Changes the structure until a change waits; returns which. */
function changeUntil({ cancel, before, structure }: ReturnType<typeof make>, waits: () => void): number {
  let hasWaited = false;
  before(0, on('wait'), () => {
    hasWaited = true;
    waits();
  });
  let i = 1;
  for (; !hasWaited && i < 5000; i++) structure.change(i);
  cancel(0);
  return hasWaited ? i - 1 : 0;
}

describe.each(Object.keys(KINDS))('a %s whose memory waits for a reader', (kind) => {
  test('throws ENOMEM, and the reader is only preempted', () => {
    const made = make(kind);
    const { leave, structures, structure } = made;
    const last = changeUntil(made, leave);
    expect(last).toBeGreaterThan(0);
    const image = structures[2].image();
    expect(image).toContain(String(last));
    expect(structure.image()).toBe(image);
    // And goes on as ever.
    for (let i = 1; i < 50; i++) structures[2].change(last + i);
    structure.destroy();
    expect(made.arenas[2]?.fsck()).toEqual([]);
  });

  test('waits for ever for one that is stopped, or has changed something', () => {
    const made = make(kind);
    const { arena, structure } = made;
    const start = arena.cpu.now();
    let before = '';
    const { code, message } = thrown(() => {
      for (let i = 1; i < 5000; i++) {
        before = structure.image();
        structure.change(i);
      }
    });
    expect(code).toBe('ENOMEM');
    expect(message).toMatch(/a reader in another thread may still look/);
    expect(structure.image()).toBe(before);
    expect(arena.cpu.now() - start).toBeGreaterThanOrEqual(1e9);
  });

  test('waits for a reader of its own thread', () => {
    const made = make(kind);
    const { arena, structure, leave } = made;
    leave();
    const own = new RcuQsbr(arena);
    own.readLock();
    let before = '';
    const { code, message } = thrown(() => {
      for (let i = 1; i < 5000; i++) {
        before = made.structures[2].image();
        structure.change(i);
      }
    });
    expect(code).toBe('ENOMEM');
    expect(message).toMatch(/this thread, inside a reader/);
    own.readUnlock();
    expect(structure.image()).toBe(before);
    structure.change(7);
    expect(structure.image()).toContain('7');
  });

  describe('on an event loop', () => {
    /** Changes the structure until a change waits. */
    async function changeUntilItWaits({ arena, structure }: ReturnType<typeof make>, options?: AbortableOptions) {
      // Nothing ends by itself, however slow the machine is.
      const inAnHour = arena.cpu.now() + 3.6e12;
      arena.cpu.now = () => inAnHour;
      // A block that is retired.
      structure.change(1);
      for (let i = 2; ; i++) {
        const image = structure.image();
        const changed = structure.changeAsync(i, options).then(
          () => 'changed',
          (error: unknown) => error,
        );
        const first = await Promise.race([changed, new Promise((resolve) => setImmediate(resolve, 'waits'))]);
        if (first === 'waits') return { i, image, changed };
        expect(first).toBe('changed');
      }
    }

    test('blocks the loop, or is never woken', async () => {
      const made = make(kind);
      const { i, image, changed } = await changeUntilItWaits(made);
      expect(made.structures[2].image()).toBe(image);
      made.leave();
      expect(await changed).toBe('changed');
      expect(made.structures[2].image()).toContain(String(i));
    });

    test('changes something after its abort, or its timeout', async () => {
      const made = make(kind);
      const { cpu } = made.arena;
      const clock = cpu.now;
      const controller = new AbortController();
      const { i, image, changed } = await changeUntilItWaits(made, { signal: controller.signal });
      const { structure, thread } = { structure: made.structure, thread: made.arena.thread };
      const tasks = thread.tasksInUse;
      controller.abort(new Error('enough'));
      expect(await changed).toEqual(new Error('enough'));
      cpu.now = clock;
      await expect(structure.changeAsync(i, { timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      await expect(structure.changeAsync(i, { timeuot: 1 } as never)).rejects.toMatchObject({ code: 'EINVAL' });
      expect(thread.tasksInUse).toBe(tasks - 1);
      expect(made.structures[2].image()).toBe(image);
      made.leave();
      expect(made.structures[2].image()).toBe(image);
    });
  });
});

test('a writer that dies in its wait for a reader takes blocks with it', () => {
  // How many changes it takes to get there is the same each time.
  const dry = make('SharedMap');
  const last = changeUntil(dry, dry.leave);
  for (let n = 1; ; n++) {
    const { killBefore, leave, reap, structures, arenas, filling } = make('SharedMap');
    for (let i = 1; i < last; i++) structures[0].change(i);
    const image = structures[2].image();
    let [seen, isOut] = [0, false];
    const isNth = ({ op }: Step) => {
      if (/^(write|store|cmpxchg|xchg|fetch|wa)/.test(op) && ++seen === n) return true;
      if (op === 'wait' && !isOut) {
        isOut = true;
        leave();
      }
      return false;
    };
    if (!killBefore(0, isNth, () => structures[0].change(last))) break;
    expect(reap(2)).toBe('done');
    if (!isOut) leave();
    expect([image, structures[2].image()]).toContain(structures[1].image());
    for (let i = 1; i < 20; i++) structures[2].change(last + i);
    structures[2].destroy();
    for (const block of filling) arenas[2]?.free(block);
    expect(arenas[2]?.fsck(), `killed before step ${n}`).toEqual([]);
  }
});

test('waits for a reader though what that holds is too little', () => {
  const { before, structures, arena } = make('SharedMap');
  const map = new SharedMap(arena, 'map');
  before(0, on('wait'), () => {
    throw new Error('a wait that brings nothing');
  });
  for (let i = 0; i < 2; i++) structures[0].change(i);
  expect(thrown(() => map.set('other', 'x'.repeat(5000))).code).toBe('ENOMEM');
});

test('gives up when another writer has the memory that it has waited for', () => {
  const made = make('SharedMap');
  const { before, leave, rcu, stopBefore, structures } = made;
  let waits = 1;
  const last = changeUntil(made, () => {
    leave();
    rcu.readLock();
    const isStopped = stopBefore(2, on('wait'), () => {
      for (let i = 0; i < 5000; i++) structures[2].change(1000 + i);
    });
    expect(isStopped).toBe(true);
    before(0, on('wait'), () => {
      waits++;
      leave();
    });
  });
  expect(waits).toBe(2);
  expect(structures[1].image()).toContain(String(last));
});

test('writes what was aborted while another writer had the latch', async () => {
  const { killBefore, leave, reap, structures } = make('SharedMap');
  leave();
  const image = structures[1].image();
  expect(killBefore(2, on('write'), () => structures[2].change(1000))).toBe(true);
  const controller = new AbortController();
  const changed = structures[0].changeAsync(2000, { signal: controller.signal });
  controller.abort(new Error('enough'));
  expect(reap(1)).toBe('done');
  await expect(changed).rejects.toThrow('enough');
  expect(structures[1].image()).toBe(image);
});
