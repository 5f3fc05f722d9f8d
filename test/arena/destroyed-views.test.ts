/** Views of objects that were destroyed: in each thread, before and after the memory has gone to somebody else. */
import { inspect } from 'node:util';
import { describe, expect, test, vi } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { kthreadRun } from '../../lib/arena/kthread.ts';
import { SharedObject } from '../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../lib/errors.ts';
import * as holdfast from '../../lib/index.ts';
import { Completion, Mutex, PthreadCond, PthreadMutex, XArray } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { CASES, SECTIONS } from '../support/objects.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** These touch nothing of the object: the caller's own words, or what the view or the thread itself knows. */
const HARMLESS = new Set([
  'constructor',
  'toJSON',
  'handle',
  'dereference',
  'dereferenceCheck',
  'stallStacks',
  'strict',
  'debug',
  'assignPointer',
  'readLockHeld',
  'sameState',
]);
/** Parts of calls that have looked already; hooks of guards, which hold the object; what says true: read again. */
const INNER =
  /^(readRetry|returnTask|releaseTask|ownerTask|awaiting|tryAsync|waitSync|takePlace|tryTakePlace|ownPlace|leavePlace|takePlace|tryTakePlace|ownPlace|leavePlace|losses|unlockFor|unlockForOwner|guardOf|guardOfTask|requeueWord|lockAgain|beginWait|beginChange|endChange|isThere|living|current|waitAsync0|unlockSlow|releaseSlow|refusal|notOwner|notHeld|relocked|tooMany|notInTime|wouldDeadlock|enter|clearDeath|isUnrecoverable|isSyncReader|begin|watch|reclaim|reportDouble|hasReaders|maySleep|beforeSleep|completedState|state|obstacle|shown|label|policy)$/;

const isGenerator = (value: unknown): value is Generator => typeof (value as Generator)?.next === 'function';

/** Each call and property of the view's classes, with the error that it ends in. */
async function errorsOf(view: SharedObject, args: Readonly<Record<string, readonly unknown[]>>) {
  const errors: Record<string, unknown> = {};
  const all: Readonly<Record<string, readonly unknown[]>> = { ...SECTIONS, ...args };
  for (
    let each = Object.getPrototypeOf(view) as object;
    each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    for (const [key, property] of Object.entries(Object.getOwnPropertyDescriptors(each))) {
      if (HARMLESS.has(key) || INNER.test(key) || key in errors) continue;
      if (key === 'waitAsync' && args.lockAsync === undefined && !('wait' in view)) continue;
      try {
        const value: unknown = property.get
          ? (view as unknown as Record<string, unknown>)[key]
          : (view as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[key]!(...(all[key] ?? []));
        errors[key] = await (isGenerator(value) ? value.next() : (value as Promise<unknown>));
        if (errors[key] === undefined) errors[key] = 'nothing';
      } catch (error) {
        errors[key] = error;
      }
    }
  }
  return errors;
}

/** The names of calls that did not say that the object was destroyed. */
function others(errors: Record<string, unknown>): Record<string, unknown> {
  const isRight = (error: unknown) =>
    error instanceof HoldfastError && error.code === 'EINVAL' && error.message.includes('was destroyed');
  return Object.fromEntries(Object.entries(errors).filter(([, error]) => !isRight(error)));
}

/** The addresses of all blocks that can be had of the arena; of those it keeps the one at `kept`. */
function fill(arena: Arena, kept = 0): number[] {
  const blocks: number[] = [];
  const isFull = thrown(() => {
    for (;;) blocks.push(arena.alloc(16));
  });
  expect(isFull.code).toBe('ENOMEM');
  for (const block of blocks) if (block !== kept) arena.free(block);
  return blocks;
}

describe.each(CASES)('$kind', ({ make, args }) => {
  test('a view that is used after destroy()', async () => {
    const { arenas } = stepper(2, { words: 1 << 14 });
    const [first, second] = arenas as [Arena, Arena];
    const [own, another, theirs] = [make(first), make(first), make(second)];
    const { address } = own;
    const given = [args?.(first, first.alloc(16)) ?? {}, args?.(second, second.alloc(16)) ?? {}] as const;
    own.destroy();
    for (const view of [own, another]) expect(others(await errorsOf(view, given[0]))).toEqual({});
    // The other thread has heard nothing: nobody gets the memory, and each call finds that the object is gone.
    const all = fill(first);
    expect(all).not.toContain(address);
    expect(others(await errorsOf(theirs, given[1]))).toEqual({});
    expect(inspect(theirs)).toContain('(destroyed)');
    expect(`${theirs}, ${own}`).toBe(`${inspect(theirs)}, ${inspect(own)}`);
    // It has heard of it, and the memory comes back.
    new Mutex(second, 'another');
    expect(fill(first, address)).toContain(address);
    for (const pattern of [0, -1, 1, 2]) {
      first.words.fill(pattern, address, address + 16);
      for (const view of [own, another]) expect(others(await errorsOf(view, given[0]))).toEqual({});
      expect(others(await errorsOf(theirs, given[1]))).toEqual({});
      expect([...first.words.subarray(address, address + 16)]).toEqual(Array(16).fill(pattern));
    }
    expect(first.fsck()).toEqual([]);
  });

  test('a thread that dies at each step of destroy()', () => {
    for (let n = 1; ; n++) {
      const { arenas, killBefore, reap } = stepper(2, { words: 1 << 14 });
      const [first, second] = arenas as [Arena, Arena];
      const [own, theirs] = [make(first), make(second)];
      const isKilled = killBefore(0, step(n), () => own.destroy());
      if (!isKilled) break;
      expect(reap(1), `step ${n}`).toBe('done');
      expect(second.fsck(), `step ${n}`).toEqual([]);
      // It is there or not, wholly: in both cases it can be gone after this.
      const error = (() => {
        try {
          theirs.destroy();
          return undefined;
        } catch (reason) {
          return reason as Error;
        }
      })();
      if (error !== undefined) expect(error.message, `step ${n}`).toContain('was destroyed');
      expect(make(second).address).toBeGreaterThan(0);
      expect(second.fsck(), `step ${n}`).toEqual([]);
    }
  });
});

/** Destroys the structure, of which no other thread has a view, and gives its memory to somebody who writes `pattern` there. */
function giveAway(arena: Arena, structure: SharedObject, pattern: number): void {
  const { address } = structure;
  structure.destroy();
  expect(fill(arena, address)).toContain(address);
  arena.words.fill(pattern, address, address + 16);
}

test.each(['XArray', 'Ida', 'SharedMap', 'MapleTree'])(
  'a walk through a %s that is somebody else’s by then',
  (kind) => {
    const arena = stepper(1, { words: 1 << 14 }).arenas[0] as Arena;
    const structure = CASES.find((each) => each.kind === kind)!.make(arena);
    const walk = (structure as SharedObject & Iterable<unknown>)[Symbol.iterator]();
    giveAway(arena, structure, -1);
    expect(thrown(() => walk.next()).message).toContain('was destroyed');
  },
);

test.each(['SharedMap', 'SharedCache'])('a value that destroys its %s while it is copied', (kind) => {
  const arena = stepper(1, { words: 1 << 14 }).arenas[0] as Arena;
  const structure = CASES.find((each) => each.kind === kind)!.make(arena);
  const { address } = structure;
  const lethal = {
    get value(): number {
      giveAway(arena, structure, -1);
      return 1;
    },
  };
  const map = structure as SharedObject & { set(key: unknown, value: unknown): void; has(key: unknown): boolean };
  const has = map.has.bind(map);
  expect(thrown(() => map.set(lethal, 1)).message).toContain('was destroyed');
  expect([...arena.words.subarray(address, address + 16)]).toEqual(Array(16).fill(-1));
  expect(thrown(() => has('key')).message).toContain('was destroyed');
});

test('objects that threads make for each other and destroy, far more than fit', () => {
  const { arenas } = stepper(3, { words: 1 << 14 });
  const [first, second] = arenas as [Arena, Arena];
  const { used } = first.use();
  for (let round = 0; round < 5000; round++) {
    const completion = new Completion(first);
    const theirs = Completion.from(second, completion.handle);
    theirs.complete();
    completion.wait();
    completion.destroy();
  }
  // What is left is what the other thread may still have views of.
  expect(first.use().used - used).toBeLessThan(32 * 64);
  expect(first.fsck()).toEqual([]);
});

test('what an idle thread has not opened, far more than fits, though it has the same bit as a thread that has', () => {
  const { arenas } = stepper(34, { words: 1 << 17 });
  const arena = arenas[1] as Arena;
  const { used } = arena.use();
  for (let round = 0; round < 1000; round++) {
    const mutex = new Mutex(arena);
    mutex.destroy();
  }
  // The first one was there when the idle threads came.
  expect(arena.use().used - used).toBeLessThanOrEqual(64);
});

test('an object that was made after a thread had last heard of one that is gone, and that the thread opens', () => {
  const { arenas, before } = stepper(3, { words: 1 << 14 });
  const [first, second, third] = arenas as [Arena, Arena, Arena];
  const gone = new Mutex(third);
  let made: Mutex | undefined;
  // The second thread has looked whether anything is gone, and has the object found next.
  before(1, on('cmpxchgAcquire', Header.namesLatch), () => {
    gone.destroy();
    new Mutex(first, 'another');
    made = new Mutex(first, 'x');
  });
  const theirs = new Mutex(second, 'x');
  made!.destroy();
  expect(fill(first)).not.toContain(theirs.address);
  expect(thrown(() => theirs.lock()).message).toContain('was destroyed');
});

test('what a thread opens in the middle of a call, for a call of its own, does not take the object of that call from it', () => {
  const { arenas } = stepper(2, { words: 1 << 14 });
  const [first, second] = arenas as [Arena, Arena];
  const structure = new XArray(first);
  const theirs = XArray.from(second, structure.handle);
  // The other thread has heard of none of this: the record is born later than what it has last heard of.
  new Mutex(first).destroy();
  kthreadRun(first, import.meta.url, 'nothing', 'a system task');
  structure.destroy();
  // As the hook of a kworker does that goes to sleep: it asks for a thread in its place.
  kthreadRun(second, import.meta.url, 'nothing', 'a system task');
  expect(fill(first)).not.toContain(theirs.address);
  expect(thrown(() => theirs.load(1)).message).toContain('that was at');
  new Mutex(second, 'another');
  expect(fill(first, theirs.address)).toContain(theirs.address);
  // And what was opened so is seen to be open.
  expect(first.fsck()).toEqual([]);
});

test('20,000 views of one object: what each costs does not grow', () => {
  const { arenas } = stepper(1);
  const looks = vi.spyOn(WeakRef.prototype, 'deref');
  const views = Array.from({ length: 20_000 }, () => new Mutex(arenas[0]!, 'x'));
  expect(looks.mock.calls.length).toBeLessThan(2 * views.length);
  looks.mockRestore();
  views[0]!.destroy();
  for (const view of views) expect(thrown(() => view.lock()).message).toContain('was destroyed');
});

test('views of a thread that ends keep nobody from the memory', () => {
  const { arenas, die, reap } = stepper(2, { words: 1 << 14 });
  const [first, second] = arenas as [Arena, Arena];
  const address = new Mutex(first, 'x').address;
  new Mutex(second, 'x');
  new Mutex(first, 'x').destroy();
  die(1);
  expect(reap(0)).toBe('done');
  // With the arena full, what nobody can reach any more makes room.
  const objects: Mutex[] = [];
  expect(
    thrown(() => {
      for (;;) objects.push(new Mutex(first));
    }).code,
  ).toBe('ENOMEM');
  expect(objects.map((mutex) => mutex.address)).toContain(address);
});

test('the memory of what a killed thread has opened goes to somebody else before a reaper has seen to that thread', () => {
  const { arenas, die, reap } = stepper(2, { words: 1 << 14 });
  const [first, second] = arenas as [Arena, Arena];
  const { address } = new Mutex(first, 'x');
  new Mutex(second, 'x');
  // It may have died in the middle of whatever it did with the object.
  die(1);
  new Mutex(first, 'x').destroy();
  const fill = () => {
    const addresses: number[] = [];
    const made = thrown(() => {
      for (;;) addresses.push(new Mutex(first).address);
    });
    return { code: made.code, hasIt: addresses.includes(address) };
  };
  expect(fill()).toEqual({ code: 'ENOMEM', hasIt: false });
  expect(reap(0)).toBe('done');
  expect(fill()).toEqual({ code: 'ENOMEM', hasIt: true });
});

test('the memory of an object that a thread has opened by its handle goes to somebody else', () => {
  const { arenas } = stepper(2, { words: 1 << 14 });
  const [first, second] = arenas as [Arena, Arena];
  const mutex = new Mutex(first);
  const theirs = Mutex.from(second, mutex.handle);
  mutex.destroy();
  expect(fill(first)).not.toContain(mutex.address);
  expect(thrown(() => theirs.lock()).message).toContain('was destroyed');
});

test.each([false, true])(
  'a mutex that is destroyed while asynchronous code waits to have it again; its memory is somebody else’s: %s',
  async (isReused) => {
    const { arenas } = stepper(2, { words: 1 << 14 });
    const [first, second] = arenas as [Arena, Arena];
    const cond = new PthreadCond(first, 'cond');
    const mutex = new PthreadMutex(first, 'mutex');
    const { address } = mutex;
    const guard = await mutex.acquireAsync();
    const waits = cond.waitAsync(guard);
    new PthreadMutex(second, 'mutex').destroy();
    // The thread hears of it, and nobody has a view any more.
    if (isReused) new Completion(first, 'another');
    expect(fill(second, isReused ? address : 0).includes(address)).toBe(isReused);
    const before = first.words.slice(address, address + 16);
    new PthreadCond(second, 'cond').signal();
    await expect(waits).rejects.toThrow('was destroyed');
    expect(first.words.slice(address, address + 16)).toEqual(before);
    expect(thrown(() => guard.release()).code).toBe('EPERM');
    cond.destroy();
  },
);

test('a handle of an object that was destroyed leads to no other one at the same address', () => {
  const { arenas } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const mutex = new Mutex(first);
  const { handle } = mutex;
  mutex.destroy();
  const next = new Mutex(first);
  expect(next.address).toBe(mutex.address);
  expect(thrown(() => Mutex.from(second, handle)).message).toContain('there is another one');
  expect(Mutex.from(second, next.handle).address).toBe(next.address);
});

test('a handle of a view that was opened by name, behind another object, leads to it', () => {
  const { arenas } = stepper(2);
  const [first, second] = arenas as [Arena, Arena];
  const mutex = new Mutex(first, 'm');
  const other = new Mutex(second);
  const { handle } = new Mutex(second, 'm');
  expect(handle.serial).not.toBe(other.handle.serial);
  expect(Mutex.from(first, handle).address).toBe(mutex.address);
});

test('a class of shared objects that these tests leave out', () => {
  const isShared = (each: unknown) => typeof each === 'function' && each.prototype instanceof SharedObject;
  // An arena has one of each of these, for ever.
  const kept = ['Rcu', 'RcuQsbr', 'TasksRcu'];
  const classes = Object.values(holdfast).flatMap((each) => (isShared(each) ? [(each as { name: string }).name] : []));
  const covered = new Set(CASES.map(({ kind }) => kind.split(',')[0]));
  expect(classes.filter((name) => !kept.includes(name) && !covered.has(name))).toEqual([]);
});
