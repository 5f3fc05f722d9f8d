import { expect, test } from 'vitest';
import { isRunning } from '../../lib/arena/kthreadd.ts';
import { Arena, kthreadRun, Mutex } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { maxThreads, Slot, slotAddress } from '../../lib/sched/slot.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./kthread.threads.ts', import.meta.url).href;

/** An arena with some words for the tasks. */
function withWords() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
  const word = arena.alloc(8);
  arena.words.fill(0, word, word + 8);
  return { arena, word };
}

/** The threadId of the thread that is kthreadd. */
function kthreaddThread(arena: Arena): number {
  const { cpu } = arena;
  return cpu.load(slotAddress(cpu, (cpu.load(Header.kthreadd) >> 1) - 1) + Slot.life) - 1;
}

function isRunningKthreadd(arena: Arena): boolean {
  return isRunning(arena.cpu.load(Header.kthreadd));
}

test('a system task that runs on the thread that asks, or in a place of a user', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'saysWhere', 'one', { data: word }).readyAsync();
  await until(arena, word, maxThreads(arena.cpu) - 1);
  arena.detach();
});

test('a second task of one name, and a kthreadd for each task', async () => {
  const { arena, word } = withWords();
  const one = kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  const other = kthreadRun(arena, THREADS, 'saysWhere', 'where', { data: word + 4 });
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  await one.readyAsync();
  await other.readyAsync();
  await until(arena, word + 4, maxThreads(arena.cpu) - 1);
  expect(arena.words[word]).toBe(1);
  expect(arena.words[word + 5]).toBe(kthreaddThread(arena) + 1);
  one.stop();
  await until(arena, word + 1, 1);
  arena.detach();
});

test('a requester that blocks and so keeps the thread that is to make kthreadd from doing so', () => {
  const { arena, word } = withWords();
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word }).ready();
  Atomics.wait(arena.words, word, 0);
  expect(arena.words[word]).toBe(1);
  arena.detach();
});

test('a thread that made the arena, sleeps in a lock, and does not make kthreadd meanwhile', async () => {
  const { arena, word } = withWords();
  const mutex = new Mutex(arena, 'held');
  const holder = inThread(arena, THREADS, 'holdsAndAsks', word);
  await until(arena, word + 4, 1);
  // The holder releases it once its task runs.
  mutex.lock();
  mutex.unlock();
  await holder.exited;
  arena.detach();
});

test('a task that is gone with a kthreadd that was killed', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'counts', 'counts', { data: word }).readyAsync();
  await until(arena, word, 1);
  const first = kthreaddThread(arena);
  await kthreadRun(arena, THREADS, 'endsItsThread', 'ends', { data: word + 4 }).readyAsync();
  await until(arena, word, 2);
  await until(arena, word + 4, 3);
  expect(kthreaddThread(arena)).not.toBe(first);
  arena.detach();
});

test('a task on a thread of its own that is not started again when that dies', async () => {
  const { arena, word } = withWords();
  const kthread = kthreadRun(arena, THREADS, 'endsItsThread', 'ends', { data: word, thread: true });
  await kthread.readyAsync();
  await until(arena, word, 3);
  while (kthread.state !== 'ended') await new Promise((resolve) => setImmediate(resolve));
  expect(isRunningKthreadd(arena)).toBe(true);
  arena.detach();
});

test('a task on the thread of kthreadd that asked for its own', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'saysWhere', 'where', { data: word, thread: true }).readyAsync();
  await until(arena, word, 2);
  expect(arena.words[word + 1]).not.toBe(kthreaddThread(arena) + 1);
  arena.detach();
});

test('a task that cannot be loaded, or throws, and nobody learns why', async () => {
  const { arena } = withWords();
  const run = (exported: string, module = THREADS) => kthreadRun(arena, module, exported, exported).readyAsync();
  await expect(run('absent')).rejects.toThrow(/EAGAIN: the system task "absent" failed: .*has no function absent/);
  await expect(run('none', 'file:///none/none.mjs')).rejects.toMatchObject({ code: 'EAGAIN' });
  for (const name of ['throwsError', 'throwsLater']) {
    const kthread = kthreadRun(arena, THREADS, name, name);
    while (kthread.state !== 'failed') await new Promise((resolve) => setImmediate(resolve));
    expect(thrown(() => kthread.ready()).message).toContain('on purpose');
  }
  arena.detach();
});
