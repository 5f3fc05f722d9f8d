import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { Arena, PercpuRwSemaphore, RwSemaphore, RwSemaphoreGuard } from '../../lib/index.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./reader-writer.threads.ts', import.meta.url).href;

const turn = () => new Promise((resolve) => setImmediate(resolve));

function say(arena: Arena, stage: number, value: number): void {
  Atomics.store(arena.words, stage, value);
  Atomics.notify(arena.words, stage);
}

function expectFree(lock: RwSemaphore | PercpuRwSemaphore): void {
  expect(inspect(lock)).toBe(`${lock.constructor.name}(${lock.name}, free)`);
  if (lock instanceof RwSemaphore) expect(lock.isContended).toBe(false);
}

/** Until a writer waits for this thread to stop reading. */
async function isWaitedFor(lock: RwSemaphore | PercpuRwSemaphore): Promise<void> {
  if (lock instanceof RwSemaphore) {
    while (!lock.isContended) await turn();
    return;
  }
  while (lock.tryDownRead()) {
    lock.upRead();
    await turn();
  }
}

/** Locks are named after their class, by which threads open them. */
describe.each([RwSemaphore, PercpuRwSemaphore])('%o', (Lock) => {
  function setup() {
    const arena = Arena.create({ bytes: 512 << 10, maxThreads: 12 });
    const lock = new Lock(arena, Lock.name);
    const stage = arena.alloc(8);
    arena.words.fill(0, stage, stage + 8);
    return { arena, lock, stage };
  }

  test('a writer inside with anybody else, all ways of entering mixed over threads', async () => {
    const { arena, lock, stage } = setup();
    const threads = Array.from({ length: 4 }, (_, i) =>
      inThread<number>(arena, THREADS, 'churn', Lock.name, stage, 3000, i),
    );
    for (const { result } of threads) expect(await result).toBe(0);
    expect(arena.words[stage]).toBe(arena.words[stage + 1]);
    expectFree(lock);
    lock.destroy();
  });

  test('readers that keep each other out', async () => {
    const { arena, lock, stage } = setup();
    lock.downRead();
    const other = inThread(arena, THREADS, 'hold', Lock.name, 'read', stage);
    await until(arena, stage, 1);
    const held = await lock.acquireReadAsync();
    expect(lock.readers).toBe(3);
    expect(lock.tryDownWrite()).toBe(false);
    lock.upRead();
    held.release();
    say(arena, stage, 2);
    await other.result;
    expect(lock.readers).toBe(0);
  });

  test('leaving by who did not enter', async () => {
    const { arena, lock } = setup();
    expect(thrown(() => lock.upRead()).message).toContain('free');
    expect(thrown(() => lock.upWrite()).code).toBe('EPERM');
    lock.downRead();
    expect(thrown(() => lock.upWrite()).code).toBe('EPERM');
    if (lock instanceof RwSemaphore) expect(thrown(() => lock.downgradeWrite()).code).toBe('EPERM');
    for (const mode of ['read', 'write']) {
      expect(await inThread(arena, THREADS, 'leaveElsewhere', Lock.name, mode).result).toBe('EPERM');
    }
    const guard = await lock.acquireReadAsync();
    lock.upRead();
    expect(thrown(() => lock.upRead()).code).toBe('EPERM');
    guard.release();
    expect(thrown(() => guard.release()).code).toBe('EPERM');
    lock.downWrite();
    expect(thrown(() => lock.upRead()).code).toBe('EPERM');
    expect(await inThread(arena, THREADS, 'leaveElsewhere', Lock.name, 'write').result).toBe('EPERM');
    lock.upWrite();
    await lock.downReadAsync();
    await lock.downReadAsync();
    lock.upRead();
    lock.upRead();
    expect(thrown(() => lock.upRead()).code).toBe('EPERM');
    await lock.downWriteAsync();
    lock.upWrite();
    expect(arena.thread.tasksInUse).toBe(0);
  });

  test('a thread that waits for itself', async () => {
    const { lock, arena } = setup();
    lock.downWrite();
    expect(thrown(() => lock.downWrite()).code).toBe('EDEADLK');
    expect(thrown(() => lock.downRead()).code).toBe('EDEADLK');
    lock.upWrite();
    lock.downRead();
    expect(thrown(() => lock.downWrite({ timeout: 1000 })).code).toBe('EDEADLK');
    lock.downRead();
    expect(thrown(() => lock.downWrite()).code).toBe('EDEADLK');
    lock.upRead();
    lock.upRead();
    const held = await lock.acquireReadAsync();
    expect(thrown(() => lock.downWrite()).code).toBe('EDEADLK');
    held.release();
    const writing = await lock.acquireWriteAsync();
    expect(thrown(() => lock.downRead()).code).toBe('EDEADLK');
    writing.release();
    expect(arena.thread.tasksInUse).toBe(0);
  });

  test('a thread that reads, locked out of reading again by a writer that waits for it', async () => {
    const { arena, lock, stage } = setup();
    const held = await lock.acquireReadAsync();
    const writer = inThread(arena, THREADS, 'waitFor', Lock.name, 'write', stage);
    await until(arena, stage, 1);
    await isWaitedFor(lock);
    lock.downRead();
    if (lock instanceof RwSemaphore) {
      expect(lock.tryDownRead()).toBe(true);
      lock.upRead();
    }
    held.release();
    expect(arena.words[stage + 1]).toBe(0);
    lock.upRead();
    await writer.result;
  });

  test('a writer that gives up, and leaves the readers behind it asleep', async () => {
    const { arena, lock } = setup();
    const reading = await lock.acquireReadAsync();
    const controller = new AbortController();
    const writer = lock.acquireWriteAsync({ signal: controller.signal });
    // Heard of from the beginning: it may end before the next turn.
    const late = expect(lock.acquireWriteAsync({ timeout: 20 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const readers = [lock.acquireReadAsync(), lock.acquireReadAsync()];
    await turn();
    expect(lock.readers).toBe(1);
    controller.abort('enough');
    await expect(writer).rejects.toBe('enough');
    await late;
    for (const held of await Promise.all(readers)) held.release();
    reading.release();
    const reason = new Error('no');
    lock.downWrite();
    const aborted = lock.acquireReadAsync({ signal: AbortSignal.timeout(5) });
    await expect(aborted).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(lock.acquireReadAsync({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    lock.upWrite();
    expectFree(lock);
    expect(arena.thread.tasksInUse).toBe(0);
  });

  test('a timeout that waits on, or takes the lock with it', async () => {
    const { arena, lock, stage } = setup();
    const holder = inThread(arena, THREADS, 'hold', Lock.name, 'write', stage);
    await until(arena, stage, 1);
    for (const timeout of [0, 5]) {
      expect(thrown(() => lock.downRead({ timeout })).message).toContain('written by thread 1');
      expect(thrown(() => lock.downWrite({ timeout })).code).toBe('ETIMEDOUT');
      await expect(lock.acquireReadAsync({ timeout })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
      await expect(lock.acquireWriteAsync({ timeout })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    }
    say(arena, stage, 2);
    await holder.result;
    lock.downWrite({ timeout: 10_000 });
    lock.upWrite();
    expectFree(lock);
  });

  test('a writer that readers without a pause keep out, and a reader that writers do', async () => {
    const { arena, lock, stage } = setup();
    const readers = Array.from({ length: 3 }, () => inThread(arena, THREADS, 'readOn', Lock.name, stage, stage + 1));
    while ((arena.words[stage + 1] as number) < 10) await turn();
    for (let i = 0; i < 20; i++) {
      lock.downWrite({ timeout: 20_000 });
      lock.upWrite();
    }
    say(arena, stage, 2);
    await Promise.all(readers.map(({ result }) => result));
    say(arena, stage, 0);
    const writers = Array.from({ length: 2 }, () => inThread(arena, THREADS, 'writeOn', Lock.name, stage));
    for (let i = 0; i < 20; i++) (await lock.acquireReadAsync({ timeout: 20_000 })).release();
    say(arena, stage, 2);
    await Promise.all(writers.map(({ result }) => result));
  });

  test('a synchronous call that waits behind, or for, its own thread’s asynchronous waiters', async () => {
    const { arena, lock, stage } = setup();
    for (const mode of ['read', 'write'] as const) {
      say(arena, stage, 0);
      const holder = inThread(arena, THREADS, 'hold', Lock.name, 'write', stage);
      await until(arena, stage, 1);
      const order: string[] = [];
      const waiting = (mode === 'read' ? lock.acquireReadAsync() : lock.acquireWriteAsync()).then((held) => {
        order.push('async');
        held.release();
      });
      await turn();
      // The event loop stands still from here.
      say(arena, stage, 2);
      lock.downWrite();
      order.push('sync');
      lock.upWrite();
      await waiting;
      await holder.result;
      expect(order).toEqual(['sync', 'async']);
    }
    lock.downWrite();
    const reading = lock.acquireReadAsync();
    await turn();
    lock.upWrite();
    // The reader was let in and cannot know yet.
    expect(lock.readers).toBe(1);
    lock.downWrite({ timeout: 10_000 });
    expect(lock.readers).toBe(0);
    lock.upWrite();
    (await reading).release();
    expect(arena.thread.tasksInUse).toBe(0);
  });

  test('a reader that dies and stays in the count', async () => {
    const { arena, lock, stage } = setup();
    for (const how of ['throw', 'exit', 'return'] as const) {
      for (const times of [1, 3]) {
        await inThread(arena, THREADS, 'holdAndEnd', Lock.name, 'read', how, stage, times).exited;
        (await lock.acquireWriteAsync({ timeout: 10_000 })).release();
      }
    }
    for (const how of ['wait', 'async'] as const) {
      say(arena, stage, 0);
      const doomed = Array.from({ length: 2 }, () =>
        inThread(arena, THREADS, 'holdAndEnd', Lock.name, 'read', how, stage, 2),
      );
      await until(arena, stage, 2);
      lock.downRead();
      expect(lock.readers).toBe(5);
      await Promise.all(doomed.map(({ worker }) => worker.terminate()));
      while (lock.readers > 1) await turn();
      lock.upRead();
      const held = await lock.acquireWriteAsync({ timeout: 10_000 });
      expect(held.ownerDied).toBe(false);
      held.release();
    }
  });

  test('a writer that dies inside without anyone’s being told', async () => {
    const { arena, lock, stage } = setup();
    for (const how of ['wait', 'async', 'throw'] as const) {
      say(arena, stage, 0);
      const holder = inThread(arena, THREADS, 'holdAndEnd', Lock.name, 'write', how, stage);
      await until(arena, stage, 1);
      const waiting = lock.acquireReadAsync();
      // The one that throws is not terminated as well: at an unlucky moment Node dies of that, with all its threads.
      if (how !== 'throw') await holder.worker.terminate();
      const reader = await waiting;
      expect(reader.ownerDied).toBe(true);
      expect(thrown(() => reader.makeConsistent()).code).toBe('EPERM');
      reader.release();
      const writer = await lock.acquireWriteAsync();
      expect(writer.ownerDied).toBe(true);
      writer.makeConsistent();
      expect(thrown(() => writer.makeConsistent()).code).toBe('EINVAL');
      if (writer instanceof RwSemaphoreGuard) writer.downgrade();
      expect(writer.ownerDied).toBe(false);
      writer.release();
    }
  });

  test('waiters that die in line and take the next wake-up with them', async () => {
    const { arena, lock, stage } = setup();
    lock.downWrite();
    const doomed = (['read', 'write', 'read'] as const).map((mode) =>
      inThread(arena, THREADS, 'waitFor', Lock.name, mode, stage),
    );
    await until(arena, stage, 3);
    const survivors = (['read', 'write'] as const).map((mode) =>
      inThread(arena, THREADS, 'waitFor', Lock.name, mode, stage + 2),
    );
    await until(arena, stage + 2, 2);
    await Promise.all(doomed.map(({ worker }) => worker.terminate()));
    lock.upWrite();
    await Promise.all(survivors.map(({ result }) => result));
    expectFree(lock);
  });

  test.each([0, 3])(
    'readers lost or made by a thread that is killed anywhere, %s of 10 times writing',
    async (writes) => {
      const { arena, lock, stage } = setup();
      for (let round = 0; round < 5; round++) {
        say(arena, stage, 0);
        const doomed = Array.from({ length: 3 }, () =>
          inThread(arena, THREADS, 'churnForEver', Lock.name, stage, writes),
        );
        await until(arena, stage, 1);
        for (const { worker } of doomed) {
          await new Promise((resolve) => setTimeout(resolve, 20 + round));
          await worker.terminate();
          const held = await lock.acquireWriteAsync({ timeout: 20_000 });
          expect(lock.readers).toBe(0);
          if (held.ownerDied) held.makeConsistent();
          held.release();
        }
        // All have been killed: a reader that is counted now was made by a death.
        expect(lock.readers).toBe(0);
      }
      expect(inspect(lock)).toBe(`${Lock.name}(${Lock.name}, free)`);
    },
  );

  test('options that mean nothing, and a lock that is in use', async () => {
    const { lock, arena } = setup();
    const before = [...arena.words];
    for (const timeout of [-1, Number.NaN, '5' as never]) {
      expect(thrown(() => lock.downRead({ timeout })).code).toBe('EINVAL');
      expect(thrown(() => lock.acquireWrite({ timeout })).code).toBe('EINVAL');
      await expect(lock.downReadAsync({ timeout })).rejects.toMatchObject({ code: 'EINVAL' });
      await expect(lock.acquireWriteAsync({ timeout })).rejects.toMatchObject({ code: 'EINVAL' });
    }
    expect([...arena.words]).toEqual(before);
    lock.downRead();
    lock.downRead();
    expect(thrown(() => lock.destroy()).code).toBe('EBUSY');
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    lock.upRead();
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    expect(inspect(lock)).toBe(`${Lock.name}(${Lock.name}, 1 reader)`);
    lock.upRead();
    arena.detach();
    expect(thrown(() => lock.downRead()).code).toBe('EINVAL');
    expect(thrown(() => lock.upRead()).code).toBe('EINVAL');
  });
});

test('a lock that looks at all that wait, once for each of thousands that give up together', async () => {
  const arena = Arena.create({ bytes: 8 << 20, maxThreads: 4 });
  const { cpu } = arena;
  const lock = new PercpuRwSemaphore(arena, 'l');
  lock.downRead();
  let looks = 0;
  for (const op of ['load', 'loadAcquire', 'read'] as const) {
    const look = cpu[op];
    cpu[op] = (address) => {
      looks++;
      return look.call(cpu, address);
    };
  }
  // Each writer that gives up makes the next one the writer that waits for the readers to leave.
  const waits = Array.from({ length: 2000 }, (_, i) => {
    const options = { timeout: 1 };
    return i % 2 === 0 ? lock.acquireWriteAsync(options) : lock.acquireReadAsync(options);
  });
  // A reader that has come to the front may be let in before it gives up.
  await Promise.all(waits.map((wait) => wait.then((guard) => guard.release()).catch(() => {})));
  expect(looks / waits.length).toBeLessThan(1000);
  lock.upRead();
  lock.destroy();
});
