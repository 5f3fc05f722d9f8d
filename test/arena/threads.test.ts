/** Which threads an arena has, and who is told when one of them was killed. */
import { channel } from 'node:diagnostics_channel';
import { afterEach, expect, test } from 'vitest';
import { Arena, Mutex, PthreadCond, RwSemaphore, Semaphore, type ThreadDeath } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./deaths.threads.ts', import.meta.url).href;
const deaths = channel('holdfast:death');

const clean: (() => void)[] = [];
afterEach(() => {
  for (const end of clean.splice(0)) end();
});

/** What is published, and what `look` sees at that moment. */
function subscribed<Seen>(look: () => Seen): { death: ThreadDeath; seen: Seen }[] {
  const told: { death: ThreadDeath; seen: Seen }[] = [];
  const listener = (message: unknown) => told.push({ death: message as ThreadDeath, seen: look() });
  deaths.subscribe(listener);
  clean.push(() => deaths.unsubscribe(listener));
  return told;
}

async function holder(arena: Arena) {
  const ready = arena.alloc(1);
  arena.words[ready] = 0;
  const thread = inThread(arena, THREADS, 'hold', ready);
  await until(arena, ready, 1);
  return thread;
}

test('the attached threads are listed, with the numbers that they have elsewhere', async () => {
  const arena = Arena.create();
  const [me, ...none] = arena.threads();
  expect(me).toMatchObject({ thread: arena.thread.number, isAlive: true });
  expect(none).toEqual([]);
  const { worker, reaped } = await holder(arena);
  const { threadId } = worker;
  const theirs = arena.threads().find((thread) => thread.threadId === threadId);
  expect(theirs).toMatchObject({ thread: new Mutex(arena, 'm').owner?.thread, isAlive: true });
  await worker.terminate();
  await reaped();
  expect(arena.threads()).toEqual([me]);
  arena.detach();
  expect(thrown(() => arena.threads()).message).toMatch(/^EINVAL/);
});

test('a subscriber is told once of a thread that was killed, when its locks can be had', async () => {
  const arena = Arena.create();
  const mutex = new Mutex(arena, 'm');
  const told = subscribed(() => {
    if (!mutex.tryLock()) return 'held';
    const { ownerDied } = mutex;
    mutex.makeConsistent();
    mutex.unlock();
    return ownerDied;
  });
  const { worker, reaped } = await holder(arena);
  const { threadId } = worker;
  const thread = mutex.owner?.thread;
  await worker.terminate();
  await reaped();
  await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([{ death: { arena: arena.id, thread, threadId }, seen: true }]);
});

test.runIf(process.platform === 'linux')(
  'a subscriber does not run inside the synchronous call that finds the death',
  async () => {
    const arena = Arena.create();
    const mutex = new Mutex(arena, 'm');
    let isInside = false;
    const told = subscribed(() => isInside);
    const { worker } = await holder(arena);
    // Its end has not been told to this thread when it blocks.
    void worker.terminate();
    isInside = true;
    mutex.lock();
    isInside = false;
    expect(told).toEqual([]);
    expect(mutex.ownerDied).toBe(true);
    await Promise.resolve().then(() => {});
    expect(told.map(({ seen }) => seen)).toEqual([false]);
  },
);

test('a thread that ends in order is no death', async () => {
  const arena = Arena.create();
  const told = subscribed(() => {});
  await inThread(arena, THREADS, 'attachAll').exited;
  await new Promise((resolve) => setImmediate(resolve));
  expect(told).toEqual([]);
});

test('everything in the arena is listed, with who holds it and how many wait', async () => {
  const arena = Arena.create();
  const { worker } = await holder(arena);
  const semaphore = new Semaphore(arena, 'permits', { permits: 2 });
  const permit = semaphore.acquire();
  const rwlock = new RwSemaphore(arena, 'catalogue');
  const gone = new Mutex(arena, 'gone');
  const anonymous = new PthreadCond(arena);
  const reader = await rwlock.acquireReadAsync();
  const waits = [rwlock.acquireWriteAsync(), rwlock.acquireWriteAsync()];
  gone.destroy();
  const [me, other] = [arena.thread.number, new Mutex(arena, 'm').owner?.thread];
  const { address } = anonymous;
  const states = arena.list();
  const found = (kind: string, name: string | undefined) =>
    states
      .filter((state) => state.kind === kind && state.name === name)
      .map(({ holders, waiters }) => ({ holders, waiters }));
  expect(found('mutex', 'm')).toEqual([{ holders: [other], waiters: 0 }]);
  expect(found('semaphore', 'permits')).toEqual([{ holders: [me], waiters: 0 }]);
  expect(found('rw-semaphore', 'catalogue')).toEqual([{ holders: [me], waiters: 2 }]);
  expect(found('mutex', 'gone')).toEqual([]);
  expect(states.filter((state) => state.address === address)).toMatchObject([
    { kind: 'pthread cond', name: undefined },
  ]);
  expect(states.map((state) => state.address)).toEqual(
    [...new Set(states.map((state) => state.address))].sort((a, b) => a - b),
  );
  reader.release();
  for (const wait of waits) (await wait).release();
  permit.release();
  await worker.terminate();
});

test('what was destroyed is not listed, although a view of another thread keeps its memory', () => {
  const [mine, theirs] = stepper(2).arenas as [Arena, Arena];
  const mutex = new Mutex(mine, 'gone');
  expect(new Mutex(theirs, 'gone').isLocked).toBe(false);
  mutex.destroy();
  expect(mine.list().filter(({ kind }) => kind === 'mutex')).toEqual([]);
});
