/** Every kind that can be waited for asynchronously: what an abort does, and when. */
import { describe, expect, test } from 'vitest';
import {
  Arena,
  type AsyncWaitOptions,
  Completion,
  Mutex,
  PthreadOnce,
  PthreadSem,
  Semaphore,
  SeqCountLatch,
  WaitQueue,
} from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';
import { WAITS } from '../support/waits.ts';
import { GIVE, GIVEN, GIVERS, READY, say } from './cancellation.threads.ts';

// First in this file: where it fails, those below wait for ever.
test('an abort of which a call hears only when somebody wakes it', async () => {
  const mutex = new Mutex(Arena.create());
  mutex.lock();
  const controller = new AbortController();
  let outcome: unknown;
  void mutex.acquireAsync({ signal: controller.signal }).catch((error) => (outcome = error));
  const turn = () => new Promise((resume) => setImmediate(resume));
  // Until the engine knows of its wait.
  await turn();
  await turn();
  controller.abort('given up');
  await turn();
  expect(outcome).toBe('given up');
  mutex.unlock();
});

describe.each(Object.entries(WAITS))('%s', (_name, make) => {
  test('what comes free after abort() goes to the call that has given up', async () => {
    const { wait, free, isLeft } = await make(Arena.create());
    const controller = new AbortController();
    const waiting = wait({ signal: controller.signal }).then(
      () => 'acquired',
      (error) => error,
    );
    await new Promise((resolve) => setTimeout(resolve, 5));
    controller.abort('given up');
    free();
    expect(await waiting).toBe('given up');
    if (isLeft !== undefined) expect(isLeft()).toBe(true);
  });

  test('the reason of another signal, because the options object has been used again', async () => {
    const { wait } = await make(Arena.create());
    const controller = new AbortController();
    const options: AsyncWaitOptions = { signal: controller.signal };
    const waiting = wait(options).catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 5));
    options.signal = undefined;
    controller.abort('the first reason');
    expect(await waiting).toBe('the first reason');
  });

  test('options that say something else when they are read again', async () => {
    const { wait } = await make(Arena.create());
    const reads: string[] = [];
    const options: AsyncWaitOptions = {
      get timeout() {
        reads.push('timeout');
        return 0;
      },
      get signal() {
        reads.push('signal');
        return undefined;
      },
    };
    await expect(wait(options)).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    expect(reads.sort()).toEqual(['signal', 'timeout']);
  });
});

/**
 * Another thread has ended the wait, and the engine's news of that waits for the event loop. `abort()` goes on with the
 * path now: what that takes may not lie about until the news comes, because the thread may block before, for ever if what it
 * waits for is what it has taken.
 */
test.each(Object.keys(GIVERS))('%s: what a call took inside abort() comes to its code turns later', async (kind) => {
  const arena = Arena.create();
  const stage = arena.alloc(1);
  Atomics.store(arena.words, stage, 0);
  const { result } = inThread(arena, new URL('./cancellation.threads.ts', import.meta.url).href, 'give', kind, stage);
  await until(arena, stage, READY);
  const controller = new AbortController();
  let isSettled = false;
  const settle = () => {
    isSettled = true;
  };
  const options = { signal: controller.signal };
  const object = {
    Mutex: () => new Mutex(arena, kind).lockAsync(options),
    Semaphore: () => new Semaphore(arena, kind).downAsync(options),
    Completion: () => new Completion(arena, kind).waitAsync(options),
    PthreadSem: () => new PthreadSem(arena, kind).waitAsync(options),
  }[kind]!();
  const waiting = object.then(settle, settle);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(isSettled).toBe(false);

  // One turn of the event loop: nothing that the engine has to tell comes in between.
  say(arena, stage, GIVE);
  Atomics.wait(arena.words, stage, GIVE);
  expect(Atomics.load(arena.words, stage)).toBe(GIVEN);
  controller.abort('too late');
  for (let hop = 0; hop < 20; hop++) await null;
  expect(isSettled).toBe(true);
  await waiting;
  await result;
});

test('a signal that is no instance of this AbortSignal: another realm, jsdom, a polyfill', async () => {
  class Polyfill extends EventTarget {
    aborted = false;
    reason: unknown;
    abort(reason?: unknown) {
      this.aborted = true;
      this.reason = reason;
      this.dispatchEvent(new Event('abort'));
    }
  }
  const lock = new Mutex(Arena.create());
  lock.lock();
  const waitWith = (signal: Polyfill) => lock.acquireAsync({ signal: signal as never }).catch((error) => error);
  const [one, silent] = [new Polyfill(), new Polyfill()];
  const [stopped, unexplained] = [waitWith(one), waitWith(silent)];
  one.abort('stopped');
  silent.abort();
  expect(await stopped).toBe('stopped');
  expect(await unexplained).toMatchObject({ name: 'AbortError' });
  expect(await waitWith(one)).toBe('stopped');
  expect(await lock.acquireAsync({ signal: {} as never }).catch((error) => error.code)).toBe('EINVAL');
});

test('a condition that aborts its own wait', async () => {
  const queue = new WaitQueue(Arena.create());
  for (const callsBefore of [0, 1, 2]) {
    const controller = new AbortController();
    let calls = 0;
    const waiting = queue
      .waitAsync(
        () => {
          if (calls++ === callsBefore) controller.abort('inside');
          return false;
        },
        { signal: controller.signal },
      )
      .catch((error) => error);
    await 0;
    queue.wakeAll();
    expect(await waiting).toBe('inside');
    expect(queue.waiting).toBe(0);
  }
});

test('a promise taken for a condition that holds, or for a routine or an update that is done', async () => {
  const arena = Arena.create();
  const queue = new WaitQueue(arena);
  const later = (async () => false) as never;
  expect(thrown(() => queue.wait(later)).code).toBe('EINVAL');
  expect(await queue.waitAsync(later).catch((error) => error.code)).toBe('EINVAL');
  let calls = 0;
  const turnsAsync = () => (calls++ === 0 ? false : Promise.resolve(false)) as never;
  const waiting = queue.waitAsync(turnsAsync).catch((error) => error.code);
  queue.wakeAll();
  expect(await waiting).toBe('EINVAL');
  expect(queue.waiting).toBe(0);

  const once = new PthreadOnce(arena);
  expect(thrown(() => once.call(async () => {})).message).toContain('returned a promise');
  expect(once.call(() => {})).toBe(true);

  const latch = new SeqCountLatch(arena);
  const before = latch.readBegin();
  expect(thrown(() => latch.update(later)).code).toBe('EINVAL');
  expect(latch.readBegin()).toBe(before);
});
