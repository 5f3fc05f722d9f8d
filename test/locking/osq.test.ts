import { expect, test } from 'vitest';
import { Arena, Mutex, OsqLock } from '../../lib/index.ts';
import { MutexWords } from '../../lib/locking/mutex-core.ts';
import { OsqNodes, osqLock, osqUnlock } from '../../lib/locking/osq.ts';
import { SpinNode } from '../../lib/locking/spin-queue.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./osq.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(4);
  arena.words.fill(0, stage, stage + 4);
  return { arena, stage, lock: new OsqLock(arena, 'osq') };
}

test('two spinners that both hold the queue, while others leave it', async () => {
  const { arena, stage } = setup();
  const threads = Array.from({ length: 4 }, () =>
    inThread<{ torn: number; taken: number }>(arena, THREADS, 'count', stage, 20_000),
  );
  const results = await Promise.all(threads.map(({ result }) => result));
  expect(results.reduce((sum, { torn }) => sum + torn, 0)).toBe(0);
  expect(arena.words[stage]).toBe(results.reduce((sum, { taken }) => sum + taken, 0));
});

test('a spinner that never gives up', async () => {
  const { arena, stage, lock } = setup();
  const holder = inThread(arena, THREADS, 'holdForEver', stage);
  await until(arena, stage, 1);
  expect(lock.lock()).toBe(false);
  expect(thrown(() => lock.unlock()).code).toBe('EPERM');
  await holder.worker.terminate();
  await holder.reaped();
  expect(lock.lock()).toBe(true);
  expect(thrown(() => lock.lock()).code).toBe('EDEADLK');
  lock.unlock();
  lock.destroy();
});

/** Two queues of spinners, of mutexes. Thread 0 heads the first. */
function twoQueues() {
  const stage = stepper(6);
  const { arenas } = stage;
  const tails = [0, 1].map(() => new Mutex(arenas[0]!).address + MutexWords.osq) as [number, number];
  const node = (number: number) => arenas[number]!.thread.slot + OsqNodes.own;
  const lock = (number: number, tail: number) => osqLock(arenas[number]!.thread, tail);
  const unlock = (number: number, tail: number) => osqUnlock(arenas[number]!.thread, tail);
  /** Lines up and is preempted for good in its spin. */
  const wait = (number: number, tail: number) =>
    stage.stopBefore(number, on('condLoad', node(number) + SpinNode.prev), () => lock(number, tail));
  const die = (number: number, tail: number) => {
    wait(number, tail);
    stage.die(number);
  };
  const isGranted = (number: number) => stage.real.load(node(number) + SpinNode.prev) === 1;
  expect(lock(0, tails[0])).toBe(true);
  return { ...stage, tails, node, lock, unlock, wait, isGranted, die };
}

test('an eviction that hits a node in the queue of another lock', () => {
  for (let n = 1; ; n++) {
    const { tails, before, cancel, reap, die, lock, unlock, wait, isGranted } = twoQueues();
    die(1, tails[0]);
    let entered = false;
    before(5, step(n), () => {
      unlock(0, tails[0]);
      entered = lock(0, tails[1]);
      if (entered) wait(2, tails[1]);
    });
    const outcome = reap(5);
    if (cancel(5)) break;
    if (outcome === 'again') expect(reap(5)).toBe('done');
    if (entered) {
      unlock(0, tails[1]);
      expect(isGranted(2)).toBe(true);
    } else {
      expect(lock(0, tails[1])).toBe(true);
    }
    expect(lock(3, tails[0])).toBe(true);
  }
});

test('an eviction that hits a node whose thread left before the queue was closed, and is in another queue', () => {
  const { tails, real, node, before, stopBefore, reap, lock, unlock, wait, die, isGranted } = twoQueues();
  die(1, tails[0]);
  const settled = node(0) + SpinNode.settled;
  expect(stopBefore(0, on('storeReleaseLight', settled), () => unlock(0, tails[0]))).toBe(true);
  before(5, on('cmpxchg', node(0) + SpinNode.lock), () => {
    // Thread 0 goes on: the end of `leave`.
    real.storeRelease(settled, 1);
    real.cmpxchgRelease(node(0) + SpinNode.lock, tails[0], 0);
    expect(lock(0, tails[1])).toBe(true);
    expect(wait(2, tails[1])).toBe(true);
  });
  expect(reap(5)).toBe('done');
  unlock(0, tails[1]);
  expect(isGranted(2)).toBe(true);
});

test('an evicted spinner whose late link hits a node in the queue of another lock', () => {
  const { tails, node, before, reap, die, lock, unlock } = twoQueues();
  before(2, on('storeRelease', node(0) + SpinNode.next), () => {
    die(1, tails[0]);
    expect(reap(5)).toBe('again');
    unlock(0, tails[0]);
    expect(lock(0, tails[1])).toBe(false);
    expect(reap(5)).toBe('again');
    expect(lock(0, tails[1])).toBe(false);
  });
  expect(lock(2, tails[0])).toBe(false);
  expect(reap(5)).toBe('done');
  expect(lock(0, tails[1])).toBe(true);
  unlock(0, tails[1]);
  expect(lock(2, tails[0])).toBe(true);
});

test('a spinner that is evicted on entry, and uses its node before the queue has left', () => {
  const { tails, before, reap, die, lock, unlock } = twoQueues();
  die(1, tails[0]);
  before(2, on('cmpxchg', tails[0]), () => expect(reap(5)).toBe('again'));
  expect(lock(2, tails[0])).toBe(false);
  expect(lock(2, tails[1])).toBe(false);
  unlock(0, tails[0]);
  expect(reap(5)).toBe('done');
  expect(lock(2, tails[1])).toBe(true);
  unlock(2, tails[1]);
});

test('a holder that leaves a closed queue before it is evicted, and uses its node before the late link', () => {
  const { tails, node, before, reap, die, lock, unlock } = twoQueues();
  before(2, on('storeRelease', node(0) + SpinNode.next), () => {
    die(1, tails[0]);
    before(5, on('cmpxchg', node(0) + SpinNode.lock), () => {
      unlock(0, tails[0]);
      expect(lock(0, tails[1])).toBe(false);
    });
    expect(reap(5)).toBe('again');
    expect(lock(0, tails[1])).toBe(false);
  });
  expect(lock(2, tails[0])).toBe(false);
  expect(reap(5)).toBe('done');
  expect(lock(0, tails[1])).toBe(true);
});

test('a queue that nobody may enter again, when the reaper is killed at any step', () => {
  for (let n = 1; ; n++) {
    const { tails, killBefore, reap, die, lock, unlock } = twoQueues();
    die(1, tails[0]);
    unlock(0, tails[0]);
    const wasKilled = killBefore(5, step(n), () => reap(5));
    if (wasKilled) expect(reap(4)).toBe('done');
    for (const number of [0, 2]) {
      expect(lock(number, tails[0])).toBe(true);
      unlock(number, tails[0]);
    }
    if (!wasKilled) break;
  }
});
