/** Repair in slices: what a thread with an event loop does after a death in an arena of many objects. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { reapInSlices } from '../../lib/arena/reaper.ts';
import { spawnWorker } from '../../lib/arena/spawn.ts';
import { Mutex, Arena as Real } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { isDead, Slot } from '../../lib/sched/slot.ts';
import { on, stepper } from '../support/stepper.ts';
import { until } from '../support/threads.ts';

const MANY = 400;
/** In a latch's word: a thread waits for it. */
const AWAITED = 1;
/** The reaper has looked whether a dead thread has the latch, and is about to look whether anybody waits for it. */
const LOOKS_WHO_WAITS = () => on('load', Header.namesLatch, 2);

/** Many mutexes, the last of them held by thread 1, which has died; and thread 0's pass, each batch of which is a slice. */
function deathAmongMany(many = MANY) {
  const stage = stepper(4);
  const arenas = stage.arenas as Arena[];
  const [reaper, victim] = arenas as [Arena, Arena];
  const mutexes = Array.from({ length: many }, () => new Mutex(reaper));
  const last = mutexes.at(-1) as Mutex;
  Mutex.from(victim, last.handle).lock();
  stage.die(1);
  let now = 0;
  reaper.cpu.now = () => {
    now += 1e6;
    return now;
  };
  const pass = reapInSlices(reaper, (id) => isDead(stage.real, id));
  const finish = () => {
    for (;;) {
      const slice = pass.next();
      if (slice.done) return slice.value;
    }
  };
  return { ...stage, arenas, mutexes, last, pass, finish, life: () => stage.real.load(victim.thread.slot + Slot.life) };
}

test('a death in a large arena that stops the world until all objects have been looked at', () => {
  const { arenas, real, last, pass, life } = deathAmongMany();
  let slices = 1;
  for (; !pass.next().done; slices++) {
    // In between nobody is held up, and what is found later is found.
    for (const latch of [Header.namesLatch, Header.heapLatch, Header.reaperLatch]) expect(real.load(latch)).toBe(0);
    const made = new Mutex(arenas[2] as Arena, `made meanwhile ${slices}`);
    expect(made.tryLock()).toBe(true);
    // One that is held would be a slice of its own.
    made.unlock();
  }
  expect(slices).toBeGreaterThan(MANY / 100);
  expect([last.ownerDied, life()]).toEqual([true, 0]);
  expect(arenas[2]!.fsck()).toEqual([]);
});

test('a slice that goes on to the end of its batch, however long each object takes', () => {
  const { arenas, mutexes, last, pass } = deathAmongMany();
  // They need more than a look.
  for (const mutex of mutexes) if (mutex !== last) mutex.lock();
  let slices = 1;
  while (!pass.next().done) slices++;
  expect(slices).toBeGreaterThanOrEqual(MANY);
  expect(last.ownerDied).toBe(true);
  expect(arenas[2]!.fsck()).toEqual([]);
});

test('a pass that latches the names again before a thread that waits for them can run', () => {
  const { arenas, real, before, cancel, last, pass } = deathAmongMany();
  const reaper = arenas[0] as Arena;
  const time = 1e6;
  reaper.cpu.now = () => time;
  // Time stands still, so only the thread that comes to wait ends the slice.
  before(0, LOOKS_WHO_WAITS(), () => real.fetchOrRelaxed(Header.namesLatch, AWAITED));
  expect(pass.next()).toEqual({ done: false, value: true });
  expect([cancel(0), last.ownerDied]).toEqual([false, false]);
  expect(pass.next()).toEqual({ done: true, value: 'done' });
  expect(last.ownerDied).toBe(true);
});

test('a thread that repairs all at once, and keeps those that wait for the names from them until it is done', () => {
  const { real, before, cancel, reap, last } = deathAmongMany();
  let isFree = false;
  before(2, LOOKS_WHO_WAITS(), () => {
    real.fetchOrRelaxed(Header.namesLatch, AWAITED);
    before(2, on('wait', Header.namesLatch), () => {
      isFree = real.load(Header.namesLatch) === 0 && !last.ownerDied;
    });
  });
  expect(reap(2)).toBe('done');
  expect([cancel(2), isFree, last.ownerDied]).toEqual([false, true, true]);
});

test('a pass that loses its place when objects around it are freed, or freed and merged', () => {
  for (const isFreed of [() => true, (i: number) => i % 2 === 0, (i: number) => i > MANY / 3]) {
    const { arenas, mutexes, last, pass, finish } = deathAmongMany();
    pass.next();
    pass.next();
    for (const [i, mutex] of mutexes.entries()) if (mutex !== last && isFreed(i)) mutex.destroy();
    arenas[2]!.alloc(40);
    expect(finish()).toBe('done');
    expect(last.ownerDied).toBe(true);
    expect(arenas[2]!.fsck()).toEqual([]);
  }
});

test('a pass that is overtaken by another, and repairs for a thread that has the slot by then', () => {
  const { arenas, real, last, pass, reap, finish, life } = deathAmongMany();
  pass.next();
  expect(reap(2)).toBe('done');
  expect(life()).toBe(0);
  // A new thread has the slot, and the lock.
  real.store(arenas[1]!.thread.slot + Slot.life, 500);
  const theirs = Mutex.from(arenas[1] as Arena, last.handle);
  theirs.lock();
  theirs.makeConsistent();
  expect(finish()).toBe('done');
  expect([life(), theirs.isLocked]).toEqual([500, true]);
});

test('a pass that another one overtakes before it begins, and that takes the next thread in the slot for dead', () => {
  const { arenas, real, before, cancel, last, reap, finish, life } = deathAmongMany(1);
  before(0, on('cmpxchgAcquire', Header.reaperLatch), () => {
    expect(reap(2)).toBe('done');
    real.store(arenas[1]!.thread.slot + Slot.life, 500);
    const theirs = Mutex.from(arenas[1] as Arena, last.handle);
    theirs.lock();
    theirs.makeConsistent();
  });
  expect(finish()).toBe('done');
  expect(cancel(0)).toBe(false);
  expect([life(), last.isLocked]).toEqual([500, true]);
});

test('a death that comes in the middle of a pass is taken for one that the pass is about', () => {
  const { arenas, mutexes, die, real, pass, finish } = deathAmongMany();
  const first = mutexes[0] as Mutex;
  Mutex.from(arenas[2] as Arena, first.handle).lock();
  pass.next();
  die(2);
  expect(finish()).toBe('done');
  expect(real.load(arenas[2]!.thread.slot + Slot.life)).toBe(0);
  expect(first.ownerDied).toBe(true);
});

test('a slot whose next thread dies in the middle of a pass counts as the one before', () => {
  const { arenas, mutexes, real, pass, reap, finish, life } = deathAmongMany();
  pass.next();
  expect(reap(2)).toBe('done');
  // The next thread there took the first lock, which the pass has seen, and has died.
  real.store(arenas[1]!.thread.slot + Slot.life, 500);
  const first = mutexes[0] as Mutex;
  Mutex.from(arenas[1] as Arena, first.handle).lock();
  real.store(arenas[1]!.thread.slot + Slot.life, -500);
  expect(finish()).toBe('done');
  expect([first.ownerDied, life()]).toEqual([true, 0]);
});

test('a thread that blocks between two slices of its own pass waits for it for ever', async () => {
  const arena = Real.create({ bytes: 16 << 20 });
  const mutexes = Array.from({ length: 5000 }, () => new Mutex(arena));
  // They need more than a look.
  for (const mutex of mutexes) mutex.lock();
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const held = new Mutex(arena, 'm');
  const worker = spawnWorker(new URL('../support/thread.ts', import.meta.url), {
    name: 'holder',
    workerData: {
      arena: arena.handle,
      module: new URL('./deaths.threads.ts', import.meta.url).href,
      name: 'hold',
      args: [ready],
    },
  });
  arena.watch(worker);
  await until(arena, ready, 1);
  await worker.terminate();
  // The pass has begun in the worker's exit event, and goes on in later turns.
  expect(held.ownerDied).toBe(false);
  // Not for ever, where it is the test that fails.
  held.lock({ timeout: 60_000 });
  expect(held.ownerDied).toBe(true);
});
