/** Records of what a thread holds beside those of its slot. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { PercpuRwSemaphore, PthreadRwlock, RwSemaphore, Semaphore } from '../../lib/index.ts';
import { HOLDS, HoldTable } from '../../lib/sched/holds.ts';
import { step, stepper } from '../support/stepper.ts';

const MANY = 2 * HOLDS + 5;

/** A lock that several threads share. */
interface Kind {
  readonly kind: string;
  take(arena: Arena, which?: unknown): { readonly object: unknown; release(): void };
  isFree(arena: Arena, object: unknown): boolean;
}

const KINDS = [
  {
    kind: 'RwSemaphore',
    take: (arena: Arena, which?: RwSemaphore) => {
      const object = new RwSemaphore(arena, which?.handle);
      object.downRead();
      return { object, release: () => object.upRead() };
    },
    isFree: (arena: Arena, object: RwSemaphore) => RwSemaphore.from(arena, object.handle).tryDownWrite(),
  },
  {
    kind: 'PercpuRwSemaphore',
    take: (arena: Arena, which?: PercpuRwSemaphore) => {
      const object = new PercpuRwSemaphore(arena, which?.handle);
      object.downRead();
      return { object, release: () => object.upRead() };
    },
    isFree: (arena: Arena, object: PercpuRwSemaphore) => PercpuRwSemaphore.from(arena, object.handle).tryDownWrite(),
  },
  {
    kind: 'PthreadRwlock',
    take: (arena: Arena, which?: PthreadRwlock) => {
      const object = new PthreadRwlock(arena, which?.handle);
      object.readLock();
      return { object, release: () => object.unlock() };
    },
    isFree: (arena: Arena, object: PthreadRwlock) => PthreadRwlock.from(arena, object.handle).tryWriteLock(),
  },
  {
    kind: 'Semaphore',
    take: (arena: Arena, which?: Semaphore) => {
      const object = new Semaphore(arena, which?.handle, which === undefined ? { permits: 2 } : {});
      const guard = object.acquire();
      return { object, release: () => guard.release() };
    },
    isFree: (_arena: Arena, object: Semaphore) => object.permits === 2,
  },
] as const;

test.each(KINDS as unknown as Kind[])(
  '$kind: the 32nd lock that a thread shares is refused, if another thread shares it',
  ({ take, isFree }) => {
    const { arenas, die, reap } = stepper(4, { words: 1 << 18 });
    const [first, other, reaper] = arenas as [Arena, Arena, Arena];
    const locks = Array.from({ length: MANY }, () => take(other));
    const held = locks.map(({ object }) => take(first, object));
    for (const lock of locks) lock.release();
    expect(locks.some(({ object }) => isFree(other, object))).toBe(false);
    // Half of them are released, by the records behind the table as well.
    for (const [i, hold] of held.entries()) if (i % 2 === 0) hold.release();
    expect(locks.map(({ object }) => isFree(other, object))).toEqual(locks.map((_, i) => i % 2 === 0));
    die(0);
    expect(reap(2)).toBe('done');
    expect(locks.every(({ object }, i) => i % 2 === 0 || isFree(reaper, object))).toBe(true);
    expect(reaper.fsck()).toEqual([]);
  },
);

test('a thread that dies while it makes room for another record leaves the memory to nobody', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap, real } = stepper(2, { words: 1 << 17 });
    const [first, reaper] = arenas as [Arena, Arena];
    const locks = Array.from({ length: HOLDS + 1 }, () => new Semaphore(first));
    for (const lock of locks.slice(0, HOLDS)) lock.acquire();
    const before = reaper.use().blocks;
    const died = killBefore(0, step(n), () => locks.at(-1)?.acquire());
    if (!died) break;
    expect(reap(1)).toBe('done');
    const chunks = real.load(first.thread.slot + HoldTable.more) === 0 ? 0 : 1;
    expect(reaper.use().blocks).toBe(before + chunks);
    expect(reaper.fsck()).toEqual([]);
  }
});
