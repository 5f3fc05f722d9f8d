import { expect, test } from 'vitest';
import { openFutexes } from '../../lib/futex/open.ts';
import { bucketOf } from '../../lib/futex/table.ts';
import { Arena, FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, Futex, PiFutex } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { latchOwner } from '../../lib/memory/latch.ts';
import { WaitList } from '../../lib/sched/wait-list.ts';
import { asleep, inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pi.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const [f1, f2, stage] = [arena.alloc(16), arena.alloc(16), arena.alloc(16)];
  for (const block of [f1, f2, stage]) arena.words.fill(0, block, block + 16);
  return { arena, futex: new Futex(arena), pi: new PiFutex(arena), f1, f2, stage, blocks: arena.use().blocks };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>) => promise.catch((error) => error.code ?? error);

test('two owners of a priority-inheriting word, or a state that is never freed', async () => {
  const { arena, f1, stage, blocks } = setup();
  const threads = Array.from({ length: 3 }, () => inThread<number>(arena, THREADS, 'increment', f1, stage, 3000));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(arena.words[stage]).toBe(9000);
  expect(arena.words[f1]).toBe(0);
  // Each of the three slots keeps a state for the next time, and the bucket the one that the word once needed.
  expect(arena.use().blocks - blocks).toBeLessThanOrEqual(4);
});

test('LOCK_PI, TRYLOCK_PI, UNLOCK_PI: the words and the codes', async () => {
  const { arena, pi, f1, blocks } = setup();
  const { words } = arena;
  expect(thrown(() => pi.unlockPi(f1)).code).toBe('EPERM');
  expect(pi.lockPi(f1)).toBe(0);
  expect(words[f1]).toBe(pi.tid);
  expect(thrown(() => pi.lockPi(f1)).code).toBe('EDEADLK');
  expect(thrown(() => pi.tryLockPi(f1)).code).toBe('EDEADLK');
  const waiting = pi.lockPiAsync(f1);
  await turn();
  expect(words[f1]).toBe(pi.tid | FUTEX_WAITERS);
  expect(pi.unlockPi(f1)).toBe(0);
  const tid = await waiting;
  expect(words[f1]).toBe(tid);
  expect(thrown(() => pi.tryLockPi(f1)).code).toBe('EAGAIN');
  expect(thrown(() => pi.lockPi2(f1)).code).toBe('EDEADLK');
  expect(pi.unlockPi(f1)).toBe(0);
  expect(words[f1]).toBe(0);
  Atomics.store(words, f1, 12345);
  expect(thrown(() => pi.lockPi(f1)).code).toBe('ESRCH');
  Atomics.store(words, f1, FUTEX_OWNER_DIED);
  expect(pi.tryLockPi(f1)).toBe(0);
  expect(words[f1]).toBe(pi.tid | FUTEX_OWNER_DIED);
  pi.unlockPi(f1);
  expect(thrown(() => pi.lockPi(0)).code).toBe('EFAULT');
  // A chunk of tasks, the state that the bucket keeps, and one for the next time.
  expect(arena.use().blocks - blocks).toBeLessThanOrEqual(3);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('deadlines on the wrong clock, and a late waiter that leaves its state behind', async () => {
  const { arena, futex, pi, f1, f2, stage } = setup();
  const holder = inThread(arena, THREADS, 'holdForEver', f1, stage);
  await until(arena, stage, 1);
  const blocks = arena.use().blocks;
  const forms = [
    () => pi.lockPi(f1, { deadline: Date.now() + 5 }),
    () => pi.lockPi2(f1, { deadline: futex.now() + 5 }),
    () => pi.lockPi2(f1, { deadline: Date.now() + 5, clock: 'realtime' }),
    () => pi.waitRequeuePi(f2, 0, f1, { deadline: futex.now() + 5 }),
    () => pi.waitRequeuePi(f2, 0, f1, { deadline: Date.now() + 5, clock: 'realtime' }),
  ];
  for (const form of forms) expect(thrown(form).code).toBe('ETIMEDOUT');
  const controller = new AbortController();
  const aborted = codeOf(pi.lockPiAsync(f1, { signal: controller.signal }));
  await turn();
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  // A chunk of tasks, the state that the bucket keeps, and one for the next time.
  expect(arena.use().blocks - blocks).toBeLessThanOrEqual(3);
  await holder.worker.terminate();
});

test('operations that do not match', async () => {
  const { arena, futex, pi, f1, f2 } = setup();
  const plain = futex.waitAsync(f2, 0);
  await turn();
  expect(thrown(() => pi.cmpRequeuePi(f2, f1, 1, 0)).code).toBe('EINVAL');
  expect(thrown(() => pi.lockPi(f2)).code).toBe('EINVAL');
  futex.wake(f2);
  await plain;
  pi.lockPi(f1);
  const waiting = pi.lockPiAsync(f1);
  const requeueing = pi.waitRequeuePiAsync(f2, 0, f1);
  await turn();
  expect(thrown(() => futex.wake(f1)).code).toBe('EINVAL');
  expect(thrown(() => futex.wake(f2)).code).toBe('EINVAL');
  expect(thrown(() => futex.requeue(f2, 0, f1, 1)).code).toBe('EINVAL');
  expect(thrown(() => pi.cmpRequeuePi(f2, f1 + 1, 1, 0)).code).toBe('EINVAL');
  expect(thrown(() => pi.cmpRequeuePi(f2, f2, 1, 0)).code).toBe('EINVAL');
  expect(thrown(() => pi.cmpRequeuePi(f2, f1, 1, 9)).code).toBe('EAGAIN');
  expect(pi.cmpRequeuePi(f2, f1, 9, 0)).toBe(1);
  pi.unlockPi(f1);
  await waiting;
  pi.unlockPi(f1);
  await requeueing;
  pi.unlockPi(f1);
  expect(arena.words[f1]).toBe(0);
});

test('requeue_pi: a broadcast that loses a waiter, the lock held or not', async () => {
  const { arena, pi, f1, f2 } = setup();
  for (const isLocked of [false, true]) {
    const owners = new Set<number>();
    const waiting = Array.from({ length: 10 }, async () => {
      const tid = await pi.waitRequeuePiAsync(f1, 0, f2);
      expect((Atomics.load(arena.words, f2) & FUTEX_TID_MASK) === tid).toBe(true);
      owners.add(tid);
      await turn();
      pi.unlockPi(f2);
    });
    await turn();
    if (isLocked) pi.lockPi(f2);
    expect(pi.cmpRequeuePi(f1, f2, Infinity, 0)).toBe(10);
    if (isLocked) pi.unlockPi(f2);
    await Promise.all(waiting);
    expect(arena.words[f2]).toBe(0);
    expect(owners.size).toBeGreaterThan(0);
  }
  expect(await codeOf(pi.waitRequeuePiAsync(f1, 1, f2))).toBe('EAGAIN');
  expect(arena.thread.tasksInUse).toBe(0);
});

test('an owner that does not inherit, or keeps what it inherited', async () => {
  const { arena, f1, stage } = setup();
  const holder = inThread<number>(arena, THREADS, 'holdUntilBoosted', f1, stage, -7);
  await until(arena, stage, 1);
  const urgent = inThread(arena, THREADS, 'lockWith', f1, -7);
  expect(await holder.result).toBe(0);
  await urgent.result;
});

test('a bucket latched while others, who want it, hold namesLatch', async () => {
  // `reorder` takes namesLatch and then the bucket of whoever sleeps there: nobody may do it the other way round.
  const { arena, pi, f1 } = setup();
  const { cpu, thread } = arena;
  arena.thread.setPriority(5);
  pi.lockPi(f1);
  const urgent = inThread(arena, THREADS, 'lockWith', f1, -7);
  while (arena.thread.priority !== -7) await turn();
  const bucket = bucketOf(openFutexes(arena).table, f1) + WaitList.latch;
  let taken = 0;
  const { cmpxchgAcquire } = cpu;
  cpu.cmpxchgAcquire = (address, expected, value) => {
    if (address === Header.namesLatch) {
      taken++;
      expect(latchOwner(cpu, bucket)).not.toBe(thread.id);
    }
    return cmpxchgAcquire.call(cpu, address, expected, value);
  };
  pi.unlockPi(f1);
  cpu.cmpxchgAcquire = cmpxchgAcquire;
  expect(taken).toBeGreaterThan(0);
  expect(arena.thread.priority).toBe(5);
  await urgent.result;
});

test('a cycle of words that nobody finds', async () => {
  const { arena, pi, f1, f2 } = setup();
  pi.lockPi(f1);
  const other = inThread(arena, THREADS, 'lockSecondThenFirst', f1, f2);
  // The later of the two finds the cycle: the other one waits already.
  await asleep(arena, 1);
  expect(thrown(() => pi.lockPi2(f2)).code).toBe('EDEADLK');
  pi.unlockPi(f1);
  await other.result;
});

test('an owner that dies: waited for, dying while one comes, and unknown', async () => {
  const { arena, pi, f1, stage } = setup();
  const first = inThread(arena, THREADS, 'holdForEver', f1, stage);
  await until(arena, stage, 1);
  const waiting = pi.lockPiAsync(f1);
  await turn();
  await first.worker.terminate();
  const tid = await waiting;
  expect(arena.words[f1]).toBe(tid | FUTEX_OWNER_DIED);
  pi.unlockPi(f1);
  const second = inThread(arena, THREADS, 'holdForEver', f1, stage);
  await until(arena, stage, 2);
  await second.worker.terminate();
  await second.reaped();
  // Nobody waited, and it is in no robust list: as for the kernel, its word names nobody.
  expect(thrown(() => pi.lockPi(f1)).code).toBe('ESRCH');
});
