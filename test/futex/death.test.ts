import { expect, test } from 'vitest';
import { Arena, FUTEX_OWNER_DIED, FUTEX_WAITERS, Futex } from '../../lib/index.ts';
import { inThread, until } from '../support/threads.ts';

const THREADS = new URL('./futex.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 10 });
  const blocks = Array.from({ length: 8 }, () => {
    const block = arena.alloc(16);
    arena.words.fill(0, block, block + 16);
    return block;
  });
  return { arena, futex: new Futex(arena), blocks };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>) => promise.catch((error) => error.code);

test('a waiter that dies and takes the next wake-up with it', async () => {
  const { arena, futex, blocks } = setup();
  const [stage, word, other] = blocks as [number, number, number];
  const doomed = [
    inThread(arena, THREADS, 'waitOn', stage, word, 0),
    inThread(arena, THREADS, 'waitOnAll', stage, [other, word]),
  ];
  await until(arena, stage, 2);
  const survivor = futex.waitAsync(word, 0);
  await Promise.all(doomed.map(({ worker }) => worker.terminate()));
  await Promise.all(doomed.map(({ reaped }) => reaped()));
  expect(futex.wake(other)).toBe(0);
  expect(futex.wake(word, 1)).toBe(1);
  expect(await survivor).toBe(0);
});

test('a waker that dies between its store and its wake', async () => {
  const { arena, futex, blocks } = setup();
  const [word] = blocks as [number];
  const waiting = [codeOf(futex.waitAsync(word, 0)), codeOf(futex.waitvAsync([{ word, value: 0 }]))];
  const unchanged = futex.waitAsync(word + 1, 0);
  await turn();
  const { result, exited } = inThread(arena, THREADS, 'changeAndDie', word);
  await Promise.all([expect(result).rejects.toThrow('code 1'), exited]);
  expect(await Promise.all(waiting)).toEqual(['EAGAIN', 'EAGAIN']);
  expect(futex.wake(word + 1)).toBe(1);
  await unchanged;
});

test('threads killed while they lie down, wake and requeue', async () => {
  const { arena, futex, blocks } = setup();
  const [stage, one, two, three] = blocks as [number, number, number, number];
  for (let round = 0; round < 6; round++) {
    Atomics.store(arena.words, stage, 0);
    const victims = [
      inThread(arena, THREADS, 'shuffle', stage, one, two),
      inThread(arena, THREADS, 'restless', stage, [one, two, three]),
    ];
    const waiting = Array.from({ length: 4 }, (_, i) => codeOf(futex.waitAsync(i % 2 ? one : two, 0)));
    await until(arena, stage, 2);
    for (let i = 0; i < round * 3; i++) await turn();
    await Promise.all(victims.map(({ worker }) => worker.terminate()));
    await Promise.all(victims.map(({ reaped }) => reaped()));
    // A waiter that was not woken by the restless one is in exactly one of the two lists.
    futex.wake(one, Infinity);
    futex.wake(two, Infinity);
    expect(await Promise.all(waiting)).toEqual([0, 0, 0, 0]);
    expect(futex.wake(three, Infinity)).toBe(0);
  }
  expect(arena.thread.tasksInUse).toBe(0);
});

for (const how of ['holding', 'circular', 'astray'] as const) {
  test(`robust list: owner death not told, ${how}`, async () => {
    const { arena, futex, blocks } = setup();
    const [stage, list, ...entries] = blocks as [number, number, ...number[]];
    const locks = entries.slice(0, 3);
    const { worker, reaped } = inThread(arena, THREADS, 'holdRobustly', stage, list, locks, how);
    await until(arena, stage, 1);
    const [word] = locks.map((entry) => entry + 1) as [number];
    const held = Atomics.or(arena.words, word, FUTEX_WAITERS);
    const waiting = codeOf(futex.waitAsync(word, held | FUTEX_WAITERS));
    await turn();
    await worker.terminate();
    await reaped();
    // Woken, or found that the word had changed: whichever the reaper did first.
    expect([0, 'EAGAIN']).toContain(await waiting);
    expect(Atomics.load(arena.words, word)).toBe(FUTEX_WAITERS | FUTEX_OWNER_DIED);
    for (const entry of locks.slice(1)) expect(Atomics.load(arena.words, entry + 1)).toBe(FUTEX_OWNER_DIED);
  });
}

test('robust list: an operation under way that is left out', async () => {
  for (const [how, after] of [
    ['taking', FUTEX_OWNER_DIED],
    ['releasing', 0],
  ] as const) {
    const { arena, futex, blocks } = setup();
    const [stage, list, entry] = blocks as [number, number, number];
    const { worker, reaped } = inThread(arena, THREADS, 'holdRobustly', stage, list, [entry], how);
    await until(arena, stage, 1);
    // The thread that releases has stored 0 in a word that others wait for, and dies before it wakes them.
    if (how === 'releasing') Atomics.store(arena.words, entry + 1, FUTEX_WAITERS | 32);
    const waiting = codeOf(futex.waitAsync(entry + 1, FUTEX_WAITERS | 32));
    if (how === 'releasing') Atomics.store(arena.words, entry + 1, 0);
    await worker.terminate();
    await reaped();
    expect(await waiting).toBe('EAGAIN');
    expect(Atomics.load(arena.words, entry + 1)).toBe(after);
  }
});

test("robust list: another thread's word marked, or a slot's next thread that inherits the list", async () => {
  const { arena, blocks } = setup();
  const [stage, list, mine] = blocks as [number, number, number];
  const first = inThread(arena, THREADS, 'holdRobustly', stage, list, [mine], 'holding');
  await until(arena, stage, 1);
  Atomics.store(arena.words, mine + 1, new Futex(arena).tid);
  await first.worker.terminate();
  await first.reaped();
  expect(Atomics.load(arena.words, mine + 1)).toBe(new Futex(arena).tid);
  expect(await inThread<number>(arena, THREADS, 'robustListHere').result).toBe(0);
});
