import { expect, test } from 'vitest';
import { Arena, PthreadCond, PthreadMutex } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./pthread.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 8 });
  const stage = arena.alloc(16);
  arena.words.fill(0, stage, stage + 16);
  return { arena, stage, mutex: new PthreadMutex(arena, 'm'), cond: new PthreadCond(arena, 'c') };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a signal that is lost, and an item with it', async () => {
  const { arena, stage, mutex, cond } = setup();
  const consumers = Array.from({ length: 3 }, () => inThread<number>(arena, THREADS, 'consume', stage));
  for (let i = 0; i < 2000; i++) {
    const held = await mutex.acquireAsync();
    arena.words[stage] = (arena.words[stage] as number) + 1;
    held.release();
    cond.signal();
  }
  mutex.lock();
  arena.words[stage + 1] = 1;
  cond.broadcast();
  mutex.unlock();
  const got = await Promise.all(consumers.map(({ result }) => result));
  expect(got.reduce((sum, each) => sum + each)).toBe(2000);
});

test('a broadcast that leaves somebody asleep on the condition or on the mutex', async () => {
  const { arena, stage, mutex, cond } = setup();
  const threads = Array.from({ length: 4 }, () => inThread(arena, THREADS, 'waitForBroadcast', stage));
  const here = Array.from({ length: 4 }, async () => {
    const held = await mutex.acquireAsync();
    while (arena.words[stage + 2] === 0) await cond.waitAsync(held);
    held.release();
  });
  await until(arena, stage, 4);
  const held = await mutex.acquireAsync();
  arena.words[stage + 2] = 1;
  cond.broadcast();
  held.release();
  await Promise.all(here);
  await Promise.all(threads.map(({ result }) => result));
  expect(arena.words[stage + 1]).toBe(4);
  expect(mutex.isLocked).toBe(false);
  expect(arena.thread.tasksInUse).toBe(0);
  cond.destroy();
});

test('a cancelled waiter that takes a signal with it', async () => {
  const { mutex, cond } = setup();
  const wait = async (signal?: AbortSignal) => {
    const held = await mutex.acquireAsync();
    const ended = cond.waitAsync(held, { signal }).then(
      () => 'woken',
      (reason) => reason,
    );
    return ended.finally(() => held.release());
  };
  const controller = new AbortController();
  const one = wait(controller.signal);
  await turn();
  const two = wait();
  await turn();
  cond.signal();
  controller.abort('late');
  // Signalled and aborted at once: it was woken, or the other one is.
  if ((await one) === 'woken') cond.signal();
  expect(await two).toBe('woken');
  expect(mutex.isLocked).toBe(false);
});

test('a wait that ends without the mutex', async () => {
  const { arena, mutex, cond } = setup();
  mutex.lock();
  expect(thrown(() => cond.wait(mutex, { timeout: 5 })).code).toBe('ETIMEDOUT');
  mutex.unlock();
  const held = await mutex.acquireAsync();
  await expect(cond.waitAsync(held, { timeout: 5 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
  const controller = new AbortController();
  const waiting = cond.waitAsync(held, { signal: controller.signal });
  await turn();
  // Another has the mutex when the abort comes.
  mutex.lock();
  controller.abort('enough');
  await turn();
  mutex.unlock();
  await expect(waiting).rejects.toBe('enough');
  expect(mutex.tryLock()).toBe(false);
  held.release();
  expect(arena.thread.tasksInUse).toBe(0);
});

test('an abort that comes when the wait is over, and ends the wait for the mutex', async () => {
  const { arena, mutex, cond } = setup();
  const held = await mutex.acquireAsync();
  const controller = new AbortController();
  const waiting = cond.waitAsync(held, { signal: controller.signal });
  await turn();
  mutex.lock();
  cond.signal();
  await new Promise((resolve) => setTimeout(resolve, 5));
  controller.abort('too late');
  await turn();
  mutex.unlock();
  await waiting;
  expect(mutex.tryLock()).toBe(false);
  held.release();
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a wait with a mutex that is not held, held twice, or another than the others wait with', async () => {
  const { arena, mutex, cond } = setup();
  expect(thrown(() => cond.wait(mutex)).code).toBe('EPERM');
  expect(thrown(() => cond.wait({} as never)).code).toBe('EINVAL');
  const recursive = new PthreadMutex(arena, undefined, { type: 'recursive' });
  recursive.lock();
  recursive.lock();
  expect(thrown(() => cond.wait(recursive)).code).toBe('EPERM');
  recursive.unlock();
  const held = await mutex.acquireAsync();
  const waiting = cond.waitAsync(held);
  await turn();
  expect(thrown(() => cond.wait(recursive)).code).toBe('EINVAL');
  expect(thrown(() => cond.destroy()).code).toBe('EBUSY');
  cond.signal();
  await waiting;
  held.release();
  await expect(cond.waitAsync(held)).rejects.toMatchObject({ code: 'EPERM' });
});

test('a waiter that dies and takes the next signal with it', async () => {
  const { arena, stage, mutex, cond } = setup();
  const doomed = inThread(arena, THREADS, 'holdForEver', 'cond', stage);
  await until(arena, stage, 1);
  const held = await mutex.acquireAsync();
  const waiting = cond.waitAsync(held);
  await doomed.worker.terminate();
  await doomed.reaped();
  cond.signal();
  await waiting;
  expect(held.ownerDied).toBe(false);
  held.release();
  cond.destroy();
});
