// System tasks, and threads that ask for them.
import { setTimeout as delay } from 'node:timers/promises';
import { isMainThread, threadId } from 'node:worker_threads';
import type { KthreadSelf } from '../../lib/index.ts';
import { Arena, defineTimerAction, kthreadRun, Mutex, Timer } from '../../lib/index.ts';
import { arrive, HELD, say } from '../support/stage.ts';

/** Counts in the word `data`, and runs until it is told to end; then counts in the word behind. */
export async function counts(arena: Arena, { data, signal }: KthreadSelf) {
  arrive(arena, data);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  arrive(arena, data + 1);
}

/** Writes down which thread it runs on: its CPU number and its threadId, both plus one. */
export function saysWhere(arena: Arena, { data }: KthreadSelf) {
  if (isMainThread) throw new Error('a system task on the main thread');
  arena.words[data + 1] = threadId + 1;
  say(arena, data, arena.thread.number + 1);
}

export function throwsError() {
  throw new Error('on purpose');
}

export async function throwsLater() {
  await delay(1);
  throw new Error('on purpose, later');
}

/** Ends its thread from within. */
export function endsItsThread(arena: Arena, { data }: KthreadSelf) {
  if (Atomics.add(arena.words, data, 1) < 2) process.exit();
  Atomics.notify(arena.words, data);
}

/** Holds the lock `held` until the task that it asks for runs. */
export function holdsAndAsks(arena: Arena, word: number) {
  const mutex = new Mutex(arena, 'held');
  mutex.lock();
  say(arena, word + 4, HELD);
  kthreadRun(arena, import.meta.url, 'counts', 'counts', { data: word }).ready();
  mutex.unlock();
}

defineTimerAction('test: count', (arena: Arena, data) => arrive(arena, data));

/** Starts a timer that counts in the word, in `ms`. */
export function startsTimer(arena: Arena, action: string, word: number, ms: number) {
  new Timer(arena, undefined, { action, data: word }).start(ms);
}

/** Ends the thread that it expires on, once. */
defineTimerAction('test: count and die', ({ words }: Arena, data) => {
  if (Atomics.add(words, data, 1) === 0) process.exit();
  Atomics.notify(words, data);
});

/** Makes an arena, and kthreadd for it, which ends with this thread; returns its handle and a word where the task counts. */
export function makesArena() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
  const word = arena.alloc(4);
  arena.words.fill(0, word, word + 4);
  kthreadRun(arena, import.meta.url, 'counts', 'counts', { data: word }).ready();
  Atomics.wait(arena.words, word, 0);
  return { handle: arena.handle, word };
}

/** Asks for a task and dies before it can have started. */
export function asksAndDies(arena: Arena, word: number) {
  kthreadRun(arena, import.meta.url, 'counts', 'counts', { data: word });
  process.exit();
}
