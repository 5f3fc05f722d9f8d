import { expect, test } from 'vitest';
import { Arena, FUTEX_WAITV_MAX, Futex } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./futex.threads.ts', import.meta.url).href;

function setup() {
  const arena = Arena.create({ bytes: 512 << 10, maxThreads: 14 });
  const futex = new Futex(arena);
  const f1 = arena.alloc(16);
  const f2 = arena.alloc(16);
  const stage = arena.alloc(16);
  for (const block of [f1, f2, stage]) arena.words.fill(0, block, block + 16);
  return { arena, futex, f1, f2, stage };
}

/** A turn of the event loop, so that what is due runs. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    (value) => value,
    (error) => error.code ?? error,
  );

test('a wake that wakes nobody, or not its sleeper', async () => {
  const { arena, futex, f1, f2, stage } = setup();
  const sleeper = inThread<string>(arena, THREADS, 'waitOn', stage, f1, 0);
  await until(arena, stage, 1);
  expect(futex.wake(f2)).toBe(0);
  while (futex.wake(f1) === 0) await turn();
  expect(await sleeper.result).toBe('0');
  expect(futex.wake(f1)).toBe(0);
});

test('a mutex of one word that lets two in, or sleeps for ever', async () => {
  const { arena, f1, stage } = setup();
  const threads = Array.from({ length: 4 }, () => inThread<number>(arena, THREADS, 'increment', f1, stage, 4000));
  for (const { result } of threads) expect(await result).toBe(0);
  expect(arena.words[stage]).toBe(16_000);
});

test('a wait on a value that has changed already', async () => {
  const { futex, f1, f2, arena } = setup();
  Atomics.store(arena.words, f1, 7);
  expect(thrown(() => futex.wait(f1, 6))).toMatchObject({
    code: 'EAGAIN',
    message: expect.stringContaining('holds 7'),
  });
  expect(await codeOf(futex.waitAsync(f1, 6))).toBe('EAGAIN');
  expect(thrown(() => futex.waitBitset(f1, 6, 1)).code).toBe('EAGAIN');
  expect(
    thrown(() =>
      futex.waitv([
        { word: f2, value: 0 },
        { word: f1, value: 6 },
      ]),
    ).code,
  ).toBe('EAGAIN');
  expect(await codeOf(futex.waitvAsync([{ word: f1, value: 6 }]))).toBe('EAGAIN');
  expect(futex.wake(f2, Infinity)).toBe(0);
  Atomics.store(arena.words, f1, -1);
  expect(thrown(() => futex.wait(f1, 0xffffffff, { timeout: 0 })).code).toBe('ETIMEDOUT');
});

test('a timeout that waits on, in every form and on every clock', async () => {
  const { arena, futex, f1 } = setup();
  const forms = [
    () => futex.wait(f1, 0, { timeout: 5 }),
    () => futex.waitBitset(f1, 0, 1, { deadline: futex.now() + 5 }),
    () => futex.waitBitset(f1, 0, 1, { deadline: Date.now() + 5, clock: 'realtime' }),
    () => futex.waitv([{ word: f1, value: 0 }], { deadline: futex.now() + 5 }),
    () => futex.waitv([{ word: f1, value: 0 }], { deadline: Date.now() + 5, clock: 'realtime' }),
    () => futex.waitBitset(f1, 0, 1, { deadline: 0 }),
  ];
  for (const form of forms) expect(thrown(form).code).toBe('ETIMEDOUT');
  const promises = [
    futex.waitAsync(f1, 0, { timeout: 5 }),
    futex.waitBitsetAsync(f1, 0, 1, { deadline: futex.now() + 5 }),
    futex.waitBitsetAsync(f1, 0, 1, { deadline: Date.now() + 5, clock: 'realtime' }),
    futex.waitvAsync([{ word: f1, value: 0 }], { deadline: futex.now() + 5 }),
    futex.waitvAsync([{ word: f1, value: 0 }], { deadline: Date.now() + 5, clock: 'realtime' }),
  ];
  expect(await Promise.all(promises.map(codeOf))).toEqual(promises.map(() => 'ETIMEDOUT'));
  expect(futex.wake(f1, Infinity)).toBe(0);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a deadline that is taken for a timeout, or the other way round', () => {
  const { futex, f1 } = setup();
  expect(thrown(() => futex.waitBitset(f1, 0, 1, { timeout: 5 } as never)).code).toBe('EINVAL');
  expect(thrown(() => futex.waitBitset(f1, 0, 1, { deadline: Number.NaN })).code).toBe('EINVAL');
  expect(thrown(() => futex.waitBitset(f1, 0, 1, { deadline: 1, clock: 'tai' as never })).code).toBe('EINVAL');
  expect(thrown(() => futex.wait(f1, 0, { timeout: -1 })).code).toBe('EINVAL');
});

test('arguments that mean nothing', async () => {
  const { arena, futex, f1 } = setup();
  for (const word of [-1, 0, 0.5, arena.words.length, '0' as never, undefined as never]) {
    expect(thrown(() => futex.wait(word, 0)).code).toBe('EFAULT');
    expect(thrown(() => futex.wake(word)).code).toBe('EFAULT');
    expect(thrown(() => futex.requeue(f1, 1, word, 1)).code).toBe('EFAULT');
    expect(thrown(() => futex.setRobustList(word || -1)).code).toBe('EFAULT');
    expect(await codeOf(futex.waitvAsync([{ word, value: 0 }]))).toBe('EFAULT');
  }
  expect(thrown(() => futex.waitBitset(f1, 0, 0)).code).toBe('EINVAL');
  expect(thrown(() => futex.wakeBitset(f1, 1, 0)).code).toBe('EINVAL');
  expect(thrown(() => futex.wake(f1, -1)).code).toBe('EINVAL');
  expect(thrown(() => futex.requeue(f1, 1, f1, -1)).code).toBe('EINVAL');
  expect(thrown(() => futex.waitv([])).code).toBe('EINVAL');
  const many = Array.from({ length: FUTEX_WAITV_MAX + 1 }, () => ({ word: f1, value: 0 }));
  expect(thrown(() => futex.waitv(many)).code).toBe('EINVAL');
  const op = { op: 'add', arg: 0, cmp: 'eq', cmpArg: 0 } as const;
  expect(thrown(() => futex.wakeOp(f1, 1, f1, 1, { ...op, op: 'nand' as never })).code).toBe('ENOSYS');
  expect(thrown(() => futex.wakeOp(f1, 1, f1, 1, { ...op, cmp: 'toString' as never })).code).toBe('ENOSYS');
  expect(thrown(() => futex.wakeOp(f1, 1, f1, 1, { ...op, arg: 2048 })).code).toBe('EINVAL');
  expect(thrown(() => new Futex({} as never)).code).toBe('EINVAL');
});

test('a thread that waits for as many words as a chunk of nodes has writes to the neighbouring block', () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const futex = new Futex(arena);
  const word = arena.alloc(16);
  const entries = Array.from({ length: 15 }, (_, i) => ({ word: word + i, value: 0 }));
  expect(thrown(() => futex.waitv(entries, { deadline: futex.now() })).code).toBe('ETIMEDOUT');
  const neighbour = arena.alloc(64);
  expect(thrown(() => futex.waitv(entries, { deadline: futex.now() })).code).toBe('ETIMEDOUT');
  expect([...arena.words.subarray(neighbour, neighbour + 64)].filter((value) => value !== 0)).toEqual([]);
  expect(arena.fsck()).toEqual([]);
});

test('a bitset that is looked past', async () => {
  const { futex, f1 } = setup();
  const order: string[] = [];
  const one = futex.waitBitsetAsync(f1, 0, 0b01).then(() => order.push('one'));
  const two = futex.waitBitsetAsync(f1, 0, 0b10).then(() => order.push('two'));
  const any = futex.waitAsync(f1, 0).then(() => order.push('any'));
  await turn();
  expect(futex.wakeBitset(f1, 9, 0b100)).toBe(1);
  await any;
  expect(futex.wakeBitset(f1, 9, 0b10)).toBe(1);
  await two;
  expect(futex.wake(f1, 9)).toBe(1);
  await one;
  expect(order).toEqual(['any', 'two', 'one']);
});

test('waiters woken out of turn', async () => {
  const { arena, futex, f1 } = setup();
  const order: number[] = [];
  const sleepers = Array.from({ length: 6 }, (_, i) => futex.waitAsync(f1, 0).then(() => order.push(i)));
  await turn();
  expect(futex.wake(f1, 2)).toBe(2);
  await turn();
  await turn();
  expect(futex.wake(f1, Infinity)).toBe(4);
  await Promise.all(sleepers);
  expect(order).toEqual([0, 1, 2, 3, 4, 5]);
  expect(arena.thread.tasksInUse).toBe(0);
});

test('a synchronous waiter behind an asynchronous one of its own thread, which cannot run', async () => {
  const { arena, futex, f1 } = setup();
  const waiting = futex.waitAsync(f1, 0);
  await turn();
  // Moves both to and fro as well, until it has seen two; wakes one.
  const waker = inThread(arena, THREADS, 'wakeWhenThereAre', f1, 2);
  futex.wait(f1, 0);
  await waker.result;
  expect(futex.wake(f1)).toBe(1);
  await waiting;
});

test('requeued waiters that are lost, or woken by the old word', async () => {
  const { arena, futex, f1, f2, stage } = setup();
  const single = inThread<string>(arena, THREADS, 'waitOn', stage, f1, 0);
  while (futex.cmpRequeue(f1, 0, f2, 1, 0) === 0) await turn();
  expect(futex.wake(f1)).toBe(0);
  expect(futex.wake(f2)).toBe(1);
  expect(await single.result).toBe('0');
  // The kernel's own case: ten sleepers, wake three, requeue seven.
  const ten = Array.from({ length: 10 }, () => futex.waitAsync(f1, 0));
  await turn();
  expect(thrown(() => futex.cmpRequeue(f1, 3, f2, 7, 1)).code).toBe('EAGAIN');
  expect(futex.cmpRequeue(f1, 3, f2, 7, 0)).toBe(10);
  expect(futex.wake(f1, Infinity)).toBe(0);
  expect(futex.wake(f2, Infinity)).toBe(7);
  expect(await Promise.all(ten)).toEqual(ten.map(() => 0));
  expect(futex.requeue(f1, 1, f2, 1)).toBe(0);
});

test('waiters that are requeued to the word that they wait for already, and are not counted', async () => {
  const { futex, f1 } = setup();
  const three = Array.from({ length: 3 }, () => futex.waitAsync(f1, 0));
  await turn();
  expect(futex.requeue(f1, 0, f1, 2)).toBe(2);
  expect(futex.requeue(f1, 0, f1, Infinity)).toBe(3);
  expect(futex.cmpRequeue(f1, 1, f1, Infinity, 0)).toBe(3);
  expect(futex.wake(f1, Infinity)).toBe(2);
  expect(await Promise.all(three)).toEqual([0, 0, 0]);
});

test('a requeued waiter that cannot time out, or cannot be aborted', async () => {
  const { arena, futex, f1, f2 } = setup();
  const controller = new AbortController();
  const late = codeOf(futex.waitAsync(f1, 0, { timeout: 20 }));
  const aborted = codeOf(futex.waitAsync(f1, 0, { signal: controller.signal }));
  const stays = futex.waitAsync(f1, 0);
  // In the turn in which they line up: a busy machine may take longer than the timeout until the next.
  expect(futex.requeue(f1, 0, f2, Infinity)).toBe(3);
  controller.abort('enough');
  expect(await late).toBe('ETIMEDOUT');
  expect(await aborted).toBe('enough');
  expect(futex.wake(f2, Infinity)).toBe(1);
  await stays;
  expect(arena.thread.tasksInUse).toBe(0);
});

test('an aborted wait that takes a wake-up with it', async () => {
  const { futex, f1 } = setup();
  const controller = new AbortController();
  const first = codeOf(futex.waitAsync(f1, 0, { signal: controller.signal }));
  const second = futex.waitAsync(f1, 0);
  await turn();
  expect(futex.wake(f1)).toBe(1);
  controller.abort('late');
  expect(await first).toBe(0);
  expect(futex.wake(f1)).toBe(1);
  await second;
  await expect(futex.waitAsync(f1, 0, { signal: AbortSignal.abort('before') })).rejects.toBe('before');
  // Restart after a cancelled wait.
  const again = new AbortController();
  const waiting = codeOf(futex.waitAsync(f1, 0, { signal: again.signal }));
  await turn();
  again.abort('cancelled');
  expect(await waiting).toBe('cancelled');
  const restarted = futex.waitAsync(f1, 0);
  await turn();
  expect(futex.wake(f1)).toBe(1);
  expect(await restarted).toBe(0);
});

test('FUTEX_WAKE_OP that computes or compares wrongly', async () => {
  const { arena, futex, f1, f2 } = setup();
  const { words } = arena;
  const cases = [
    ['set', 5, false, 12, 5],
    ['add', -3, false, 12, 9],
    ['or', 3, false, 12, 15],
    ['andn', 4, false, 12, 8],
    ['xor', 10, false, 12, 6],
    ['or', 31, true, 12, (1 << 31) | 12],
    ['add', 33, true, 12, 14],
  ] as const;
  for (const [op, arg, shift, before, after] of cases) {
    Atomics.store(words, f2, before);
    expect(futex.wakeOp(f1, 1, f2, 1, { op, arg, shift, cmp: 'eq', cmpArg: 0 })).toBe(0);
    expect(words[f2]).toBe(after);
  }
  const truth = { eq: [0, 1, 0], ne: [1, 0, 1], lt: [1, 0, 0], le: [1, 1, 0], gt: [0, 0, 1], ge: [0, 1, 1] } as const;
  for (const [cmp, expected] of Object.entries(truth)) {
    for (const [i, old] of [-6, -5, -4].entries()) {
      Atomics.store(words, f2, old);
      const [one, other] = [futex.waitAsync(f1, 0), futex.waitAsync(f2, old)];
      await turn();
      const woken = futex.wakeOp(f1, 1, f2, 1, { op: 'add', arg: 0, cmp: cmp as 'eq', cmpArg: -5 });
      expect([cmp, old, woken]).toEqual([cmp, old, 1 + (expected[i] as number)]);
      futex.wake(f2);
      await Promise.all([one, other]);
    }
  }
});

test('waitv that misses a word, stays in the other lists, or names the wrong one', async () => {
  const { arena, futex, stage } = setup();
  const words = Array.from({ length: FUTEX_WAITV_MAX }, () => arena.alloc(1));
  for (const word of words) Atomics.store(arena.words, word, 0);
  const used = arena.use().used;
  for (const wakes of [0, 77, FUTEX_WAITV_MAX - 1]) {
    const waiting = futex.waitvAsync(words.map((word) => ({ word, value: 0 })));
    await turn();
    expect(futex.wake(words[wakes] as number)).toBe(1);
    expect(await waiting).toBe(wakes);
    for (const word of words) expect(futex.wake(word)).toBe(0);
  }
  const sleeper = inThread<string>(arena, THREADS, 'waitOnAll', stage, words.slice(0, 20));
  while (futex.wake(words[19] as number) === 0) await turn();
  expect(await sleeper.result).toBe('19');
  const one = words[0] as number;
  const twice = futex.waitvAsync([
    { word: one, value: 0 },
    { word: one, value: 0 },
  ]);
  await turn();
  expect(futex.wake(one, 1)).toBe(1);
  expect(await twice).toBe(0);
  const controller = new AbortController();
  const aborted = codeOf(futex.waitvAsync([{ word: one, value: 0 }], { signal: controller.signal }));
  await turn();
  controller.abort('enough');
  expect(await aborted).toBe('enough');
  expect(futex.wake(one)).toBe(0);
  await sleeper.reaped();
  // Nine chunks of nodes for the one task that waited for 128 words, two for the thread that waited for 20, and the
  // chunk of tasks.
  expect(arena.use().used - used).toBeLessThan((9 + 2) * 1024 + 4096);
});

test('a waitv without memory that loses its task', async () => {
  const arena = Arena.create({ bytes: 64 << 10, maxThreads: 2 });
  const futex = new Futex(arena);
  const word = arena.alloc(1);
  Atomics.store(arena.words, word, 0);
  expect(await codeOf(futex.waitAsync(word, 0, { timeout: 0 }))).toBe('ETIMEDOUT');
  arena.alloc(arena.use().largestFree / 4);
  const many = Array.from({ length: FUTEX_WAITV_MAX }, () => ({ word, value: 0 }));
  expect(await codeOf(futex.waitvAsync(many))).toBe('ENOMEM');
  expect(thrown(() => futex.waitv(many)).code).toBe('ENOMEM');
  expect(arena.thread.tasksInUse).toBe(0);
});
