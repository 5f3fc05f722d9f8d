/** A thread is killed right before each of its operations, or another one comes in between. */
import { describe, expect, test } from 'vitest';
import { type Arena, HoldfastError, SharedCache } from '../../lib/index.ts';
import { isPresent, ObjectHeader } from '../../lib/memory/objects.ts';
import { on, step, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';
import { problemsOf } from './cache-check.ts';

const open = (arena: Arena) => new SharedCache<unknown, unknown>(arena, 'cache', { max: 6, maxPinnedBytes: 256 });

/** The `n`th operation that changes a word or wakes: to die before another one is to die before the next of these. */
function change(n: number): When {
  let seen = 0;
  return ({ op }) => /^(write|store|cmpxchg|xchg|fetch|wake)/.test(op) && ++seen === n;
}

/** What every thread sees, and in which list it is. */
function image(cache: SharedCache): string {
  const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const seen = keys.map((key) => `${key}: ${cache.has(key) ? cache.get(key) : '-'}`);
  const { active, inactive, pinned, pinnedBytes, evictions, refaults } = cache.stats();
  return JSON.stringify([seen, active, inactive, pinned, pinnedBytes, evictions, refaults]);
}

/** Six entries, two of them active, and the shadow of a seventh. */
function prepare() {
  const machine = stepper(3);
  const caches = machine.arenas.map(open) as [SharedCache, SharedCache, SharedCache];
  const [cache] = caches;
  for (const key of ['h', 'a', 'b', 'c', 'd', 'e', 'f']) cache.set(key, `value of ${key}`);
  for (const key of ['a', 'b']) {
    for (let i = 0; i < 2; i++) {
      cache.get(key);
      cache.drain();
    }
  }
  cache.get('c');
  cache.drain();
  cache.get('d');
  cache.get('e');
  return { ...machine, caches, address: cache.address };
}

const CHANGES: Record<string, (cache: SharedCache) => unknown> = {
  'another value': (cache) => cache.set('c', 'another value, and a longer one'),
  'an entry for which one is put out': (cache) => cache.set('g', 7),
  'an entry whose eviction is regretted': (cache) => cache.set('h', 8),
  'an entry that goes': (cache) => cache.delete('d'),
  'an active entry that goes': (cache) => cache.delete('a'),
  'a pin': (cache) => cache.pin('a'),
  'a pin at a use, and its end': (cache) => {
    cache.pinAll({ future: true, onFirstUse: true });
    cache.get('d');
    cache.unpinAll();
  },
  'accesses that are seen to': (cache) => cache.drain(),
  'all at once': (cache) => cache.clear(),
  'a value that is computed': (cache) => cache.getOrComputeSync('g', () => 7),
  'a computation that fails': (cache) => {
    try {
      cache.getOrComputeSync('g', () => {
        throw new Error('no');
      });
    } catch (error) {
      if ((error as Error).message !== 'no') throw error;
    }
  },
};

describe.each(Object.keys(CHANGES))('%s: a thread that dies', (name) => {
  test('leaves a cache that is sound, and that others use as if nothing had been', () => {
    const make = CHANGES[name] as (cache: SharedCache) => unknown;
    const whole = prepare();
    make(whole.caches[0]);
    const after = image(whole.caches[1]);
    let last = '';
    for (let n = 1; ; n++) {
      const { killBefore, reap, arenas, caches, address } = prepare();
      if (!killBefore(0, change(n), () => make(caches[0]))) break;
      const at = `killed before step ${n}`;
      // Readers do not wait for the reaper.
      const seen = caches[1].get('b');
      expect([`value of b`, name === 'all at once' ? undefined : 'value of b'], at).toContain(seen);
      expect(reap(1), at).toBe('done');
      expect(problemsOf(arenas[1]!, address), at).toEqual([]);
      last = image(caches[1]);
      // The next caller can do the same, and everything else.
      make(caches[1]);
      expect(
        caches[1].getOrComputeSync('x', () => 1),
        at,
      ).toBe(1);
      for (let i = 0; i < 8; i++) caches[1].set(i, i);
      expect(caches[1].size, at).toBeLessThanOrEqual(6);
      expect(problemsOf(arenas[1]!, address), at).toEqual([]);
      caches[1].clear();
      for (let i = 0; i < 2; i++) caches[1].set('x', 'x'.repeat(500)).clear();
      const { bytes, free } = caches[1].use();
      expect(bytes - free, at).toBeLessThan(bytes / 4);
      caches[1].destroy();
      expect(arenas[1]!.fsck(), at).toEqual([]);
    }
    expect(last).toBe(after);
  });
});

describe('a flight', () => {
  test('whose thread dies at any step is taken over by the one that waits', () => {
    for (let n = 1; ; n++) {
      const { killBefore, reap, arenas, caches, address } = prepare();
      let calls = 0;
      const died = killBefore(0, change(n), () => caches[0].getOrComputeSync('g', () => ++calls));
      if (!died) break;
      expect(reap(1)).toBe('done');
      const value = caches[1].getOrComputeSync('g', () => ++calls);
      expect(value, `killed before step ${n}`).toBe(calls);
      expect(caches[2].getOrComputeSync('g', () => -1)).toBe(calls);
      expect(problemsOf(arenas[1]!, address)).toEqual([]);
    }
  });

  test('whose thread dies while another sleeps for it is that one to compute', () => {
    const { before, stopBefore, die, reap, caches, arenas, address } = prepare();
    let isOver = false;
    let value: unknown;
    const stopped = stopBefore(
      0,
      () => isOver,
      () =>
        caches[0].getOrComputeSync('g', () => {
          before(1, on('wait'), () => {
            die(0);
            expect(reap(2)).toBe('done');
          });
          value = caches[1].getOrComputeSync('g', () => 'of the one that waited');
          isOver = true;
          return 'too late';
        }),
    );
    expect([stopped, value]).toEqual([true, 'of the one that waited']);
    expect(caches[2].get('g')).toBe('of the one that waited');
    expect(problemsOf(arenas[1]!, address)).toEqual([]);
  });

  const OVERTAKEN: Record<string, (cache: SharedCache) => unknown> = {
    set: (cache) => cache.set('g', 'set'),
    delete: (cache) => cache.delete('g'),
    clear: (cache) => cache.clear(),
  };
  test.each(Object.keys(OVERTAKEN))(
    'whose thread died, and whose key another thread has seen to by %s, is lost',
    (how) => {
      const { killBefore, reap, caches, arenas, address } = prepare();
      let isComputing = false;
      const compute = () => {
        isComputing = true;
        return 'never stored';
      };
      const died = killBefore(
        0,
        () => isComputing,
        () => caches[0].getOrComputeSync('g', compute),
      );
      expect([died, reap(1), problemsOf(arenas[1]!, address)]).toEqual([true, 'done', []]);
      OVERTAKEN[how]?.(caches[1]);
      expect(problemsOf(arenas[1]!, address)).toEqual([]);
      expect(caches[2].getOrComputeSync('x', () => 1)).toBe(1);
      expect(problemsOf(arenas[1]!, address)).toEqual([]);
    },
  );

  test('that was overtaken does not let the one that waits for it sleep on', async () => {
    const machine = prepare();
    const { caches, arenas, address } = machine;
    let end: (value: unknown) => void = () => {};
    const begun = new Promise<void>((resolve) => {
      const compute = () => {
        resolve();
        return new Promise<unknown>((computed) => (end = computed));
      };
      void caches[0].getOrCompute('g', compute);
    });
    await begun;
    // Right before thread 1 sleeps for it, the key is set.
    machine.before(1, on('wait'), () => caches[2].set('g', 'set'));
    expect(caches[1].getOrComputeSync('g', () => 'never')).toBe('set');
    end('computed');
    expect(problemsOf(arenas[1]!, address)).toEqual([]);
  });
});

describe('destroy', () => {
  test('in which a thread dies leaves the cache, or none', () => {
    for (let n = 1; ; n++) {
      const { killBefore, reap, caches, arenas, address } = prepare();
      const [arena] = arenas.slice(1) as [Arena];
      caches[1].getOrComputeSync('computed', () => 1);
      if (!killBefore(0, change(n), () => caches[0].destroy())) break;
      const at = `killed before step ${n}`;
      expect(reap(1), at).toBe('done');
      if (isPresent(arena.cpu, address)) {
        // Memory that was given back is another's by now.
        const block = arena.alloc(400);
        arena.words.fill(-1, block, block + 400);
        expect(
          caches[1].getOrComputeSync('x', () => 1),
          at,
        ).toBe(1);
        expect(problemsOf(arena, address), at).toEqual([]);
        const words = arena.words.subarray(block, block + 400);
        expect(
          words.every((word) => word === -1),
          at,
        ).toBe(true);
        caches[1].destroy();
      }
      expect(arena.fsck(), at).toEqual([]);
    }
  });

  test('is EBUSY when a computation begins right before it marks the cache', async () => {
    const { before, caches, arenas, address } = prepare();
    let end: (value: unknown) => void = () => {};
    let computed: Promise<unknown> | undefined;
    before(0, on('store', address + ObjectHeader.kind), () => {
      computed = caches[1].getOrCompute('g', () => new Promise((resolve) => (end = resolve)));
    });
    expect(thrown(() => caches[0].destroy()).code).toBe('EBUSY');
    expect(problemsOf(arenas[1]!, address)).toEqual([]);
    await new Promise(setImmediate);
    end(7);
    expect([await computed, caches[2].get('g')]).toEqual([7, 7]);
    caches[0].destroy();
    expect(arenas[0]!.fsck()).toEqual([]);
  });

  test('at each step of a computation: one that has begun keeps the cache, and none begins in one that is gone', () => {
    const ends = new Set<string>();
    for (let n = 1; ; n++) {
      const { before: interrupt, cancel, caches, arenas } = prepare();
      let isGone = false;
      let isComputing = false;
      let hasComputed = false;
      interrupt(1, step(n), () => {
        try {
          caches[0].destroy();
          isGone = true;
          expect(isComputing, `step ${n}`).toBe(false);
        } catch (error) {
          if ((error as HoldfastError).code !== 'EBUSY') throw error;
        }
      });
      const compute = () => {
        isComputing = true;
        arenas[1]!.cpu.load(caches[1].address);
        isComputing = false;
        hasComputed = true;
        return 7;
      };
      let value: unknown;
      try {
        value = caches[1].getOrComputeSync('g', compute);
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
        expect(error.message, `step ${n}`).toContain('was destroyed');
        expect([isGone, hasComputed], `step ${n}`).toEqual([true, false]);
      }
      if (cancel(1)) break;
      ends.add(`${isGone ? 'gone' : 'there'}, ${value}`);
      expect(arenas[2]!.fsck(), `step ${n}`).toEqual([]);
    }
    // Gone before the computation, kept by it, gone after it.
    expect([...ends].sort()).toEqual(['gone, 7', 'gone, undefined', 'there, 7']);
  });

  test('is EBUSY while a call that was woken by a death has not come back', async () => {
    const { die, reap, caches, arenas } = prepare();
    void caches[0].getOrCompute('g', () => new Promise(() => {}));
    const waits = caches[1].getOrCompute('g', () => 'of the one that waited');
    // No turn of the loop between: the waiter is woken, and has not run.
    die(0);
    expect(reap(2)).toBe('done');
    expect(thrown(() => caches[2].destroy()).code).toBe('EBUSY');
    expect(await waits).toBe('of the one that waited');
    caches[2].destroy();
    expect(arenas[1]!.fsck()).toEqual([]);
  });

  test('is EBUSY while a call that was woken has not come back', async () => {
    const { caches, arenas } = prepare();
    let waits: Promise<unknown> | undefined;
    caches[0].getOrComputeSync('g', () => {
      waits = caches[1].getOrCompute('g', () => 'never');
      return 'computed';
    });
    expect(thrown(() => caches[2].destroy()).code).toBe('EBUSY');
    expect(await waits).toBe('computed');
    caches[2].destroy();
    expect(arenas[0]!.fsck()).toEqual([]);
  });
});

test('uses of one thread are seen to by another', () => {
  const { caches } = prepare();
  expect(caches[0].stats().active).toBe(2);
  for (let i = 0; i < 2; i++) {
    caches[1].get('f');
    caches[0].drain();
  }
  expect(caches[0].stats().active).toBe(3);
});

test('a thread that dies while it sees to accesses leaves none that are seen to for ever', () => {
  for (let n = 1; ; n++) {
    const { killBefore, reap, arenas, caches, address } = prepare();
    caches[1].get('f');
    if (!killBefore(0, change(n), () => caches[0].drain())) break;
    expect(reap(2)).toBe('done');
    caches[2].drain();
    caches[2].drain();
    expect(problemsOf(arenas[2]!, address), `killed before step ${n}`).toEqual([]);
    for (let i = 0; i < 40; i++) {
      caches[1].get('a');
      caches[1].get('f');
    }
    caches[1].drain();
    expect(caches[1].stats().active).toBeGreaterThan(2);
  }
});
