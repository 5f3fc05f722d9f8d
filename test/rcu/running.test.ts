import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { expect, test, vi } from 'vitest';
import { Arena, Rcu, type RcuStall } from '../../lib/index.ts';
import { STALL_CHANNEL } from '../../lib/rcu/stall.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./rcu.threads.ts', import.meta.url).href;

vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  writeSync: () => 0,
}));

/** The next warning in this thread for which `isMeant` holds. */
function nextStall(isMeant: (stall: RcuStall) => boolean): Promise<RcuStall> {
  return new Promise((resolve) => {
    const listen = (message: unknown) => {
      const stall = message as RcuStall;
      if (!isMeant(stall)) return;
      unsubscribe(STALL_CHANNEL, listen);
      resolve(stall);
    };
    subscribe(STALL_CHANNEL, listen);
  });
}

test('a stall warning says where a thread of its own computes, if it may ask', async () => {
  const arena = Arena.create();
  const rcu = new Rcu(arena);
  const word = arena.alloc(1);
  Atomics.store(arena.words, word, 0);
  const reader = inThread<boolean>(arena, THREADS, 'readUntilTold', word);
  await until(arena, word, 1);
  expect(rcu.stallStacks).toBe(false);
  rcu.stallTimeout = 1;
  const first = nextStall(() => true);
  const waiting = rcu.synchronizeAsync();
  expect((await first).threads).toMatchObject([{ isSync: true, running: '' }]);
  const second = nextStall(({ threads }) => threads.some(({ running }) => running !== ''));
  rcu.stallStacks = true;
  const { threads, message } = await second;
  expect(threads).toHaveLength(1);
  expect(threads[0]?.running).toContain('readUntilTold');
  expect(message).toContain(`rcu: \t${threads[0]?.thread} is now\nrcu: \t    at `);
  rcu.stallStacks = false;
  rcu.stallTimeout = 0;
  Atomics.store(arena.words, word, 2);
  await waiting;
  expect(await reader.result).toBe(true);
});

test('what is neither true nor false is no answer to whether a thread may ask', () => {
  const rcu = new Rcu(Arena.create());
  expect(thrown(() => ((rcu as { stallStacks: unknown }).stallStacks = 1))).toMatchObject({ code: 'EINVAL' });
  expect(rcu.stallStacks).toBe(false);
});
