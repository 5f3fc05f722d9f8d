/** Views remember where the record of their thread is, which another lock may have by now. */
import { describe, expect, test } from 'vitest';
import { type Arena, PercpuRwSemaphore, RwSemaphore } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const LOCKS = { RwSemaphore, PercpuRwSemaphore };

describe.each(Object.entries(LOCKS))('%s', (_, Lock) => {
  /** Two locks, which another thread reads; both views have met it. */
  function setup() {
    const { arenas } = stepper(2);
    const [here, there] = arenas as [Arena, Arena];
    const locks = [new Lock(here), new Lock(here)] as const;
    const others = locks.map((lock) => Lock.from(there, lock.handle));
    for (const other of others) other.downRead();
    // What is not in use goes to the next lock that wants a record.
    for (const lock of [...locks, ...locks]) {
      lock.downRead();
      lock.upRead();
    }
    return { locks, others };
  }

  test("a reader in another lock's record", () => {
    const { locks, others } = setup();
    const [first, second] = locks;
    first.downRead();
    first.upRead();
    second.downRead();
    first.downRead();
    expect([first.readers, second.readers]).toEqual([2, 2]);
    second.upRead();
    expect(thrown(() => second.upRead()).code).toBe('EPERM');
    expect([first.readers, second.readers]).toEqual([2, 1]);
    first.upRead();
    expect(thrown(() => first.upRead()).code).toBe('EPERM');
    for (const other of others) other.upRead();
    for (const lock of locks) {
      lock.downWrite();
      lock.upWrite();
    }
  });

  test("a read given back that is the other lock's", () => {
    const { locks } = setup();
    const [first, second] = locks;
    first.downRead();
    first.upRead();
    second.downRead();
    expect(thrown(() => first.upRead()).code).toBe('EPERM');
    expect([first.readers, second.readers]).toEqual([1, 2]);
    second.upRead();
  });

  test('readers that leave past a writer that waits', async () => {
    const { locks, others } = setup();
    const [first] = locks;
    first.downRead();
    const writing = others[0]!.acquireWriteAsync();
    others[0]!.upRead();
    first.upRead();
    (await writing).release();
  }, 30_000);
});
