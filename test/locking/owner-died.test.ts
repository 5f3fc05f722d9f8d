/** What a mutex's next owner does about a death: `onOwnerDied`, and `reset` when nobody did anything. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Mutex, type MutexOptions } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

let stage: ReturnType<typeof stepper>;

beforeEach(() => {
  stage = stepper(3);
});

const open = (thread: number, options?: MutexOptions) => new Mutex(stage.arenas[thread]!, 'm', options);

/** The mutex, as its holder left it who has died. */
function orphaned(): void {
  open(2).lock();
  stage.die(2);
  expect(stage.reap(0)).toBe('done');
}

/** A mutex that is of no use any more. */
function unrecoverable(): void {
  orphaned();
  open(1).lock();
  open(1).unlock();
  expect(thrown(() => open(0).lock()).code).toBe('ENOTRECOVERABLE');
}

/** Each way to get the lock, and to let it go. */
const ways: Record<string, (mutex: Mutex) => Promise<() => void>> = {
  async lock(mutex) {
    mutex.lock();
    return () => mutex.unlock();
  },
  async tryLock(mutex) {
    expect(mutex.tryLock()).toBe(true);
    return () => mutex.unlock();
  },
  async acquire(mutex) {
    const held = mutex.acquire();
    return () => held.release();
  },
  async lockAsync(mutex) {
    await mutex.lockAsync();
    return () => mutex.unlock();
  },
  async acquireAsync(mutex) {
    const held = await mutex.acquireAsync();
    return () => held.release();
  },
};

describe.each(Object.entries(ways))('onOwnerDied, by %s', (name, take) => {
  test('does not run, runs without the lock, or leaves it inconsistent', async () => {
    orphaned();
    const seen: unknown[] = [];
    const mutex = open(0, { onOwnerDied: () => void seen.push(mutex.owner?.thread, mutex.ownerDied) });
    const release = await take(mutex);
    expect(seen).toEqual([0, true]);
    expect(mutex.ownerDied).toBe(false);
    release();
    (await take(mutex))();
    expect(seen).toEqual([0, true]);
  });

  test('says itself that all is consistent, and the call throws with the lock held', async () => {
    orphaned();
    const mutex = open(0, { onOwnerDied: () => mutex.makeConsistent() });
    const release = await take(mutex);
    expect([mutex.owner?.thread, mutex.ownerDied]).toEqual([0, false]);
    release();
    expect(open(1).tryLock()).toBe(true);
  });

  test('fails, and the lock passes for recovered, or stays held', async () => {
    orphaned();
    const onOwnerDied = () => {
      throw new Error('cannot be repaired');
    };
    await expect(take(open(0, { onOwnerDied }))).rejects.toThrow('cannot be repaired');
    expect(open(0).isLocked).toBe(false);
    await expect(take(open(1))).rejects.toMatchObject({ code: 'ENOTRECOVERABLE' });
  });

  test('returns a promise that nobody awaits', async () => {
    orphaned();
    let isRepaired = false;
    const onOwnerDied = async () => {
      await new Promise(setImmediate);
      isRepaired = true;
    };
    const taken = take(open(0, { onOwnerDied }));
    if (name.endsWith('Async')) {
      (await taken)();
      expect(isRepaired).toBe(true);
    } else await expect(taken).rejects.toMatchObject({ code: 'EINVAL' });
  });
});

describe('reset', () => {
  test('of a mutex that can be had', () => {
    const refused = () => thrown(() => open(0).reset());
    expect(refused()).toMatchObject({ code: 'EINVAL', message: expect.stringContaining('is free') });
    open(1).lock();
    expect(refused().code).toBe('EINVAL');
    expect(open(1).owner?.thread).toBe(1);
    open(1).unlock();
    orphaned();
    expect(refused().code).toBe('EINVAL');
    expect(open(0).ownerDied).toBe(true);
  });

  test('that lets two in', () => {
    unrecoverable();
    const [first, second] = [open(0), open(1)];
    first.reset();
    expect(thrown(() => second.reset()).code).toBe('EINVAL');
    expect(second.tryLock()).toBe(false);
    expect(first.ownerDied).toBe(false);
    first.unlock();
    second.lock();
    second.unlock();
  });

  test('in the middle of which another has reset it', () => {
    unrecoverable();
    const [first, second] = [open(0), open(1)];
    stage.before(
      0,
      ({ op }) => op === 'cmpxchgAcquire',
      () => second.reset(),
    );
    expect(thrown(() => first.reset()).code).toBe('EINVAL');
    expect(second.owner?.thread).toBe(1);
    second.unlock();
  });

  test('by a thread that dies with the lock: the next owner is told', () => {
    unrecoverable();
    open(1).reset();
    stage.die(1);
    expect(stage.reap(0)).toBe('done');
    const mutex = open(0);
    mutex.lock();
    expect(mutex.ownerDied).toBe(true);
    mutex.makeConsistent();
    mutex.unlock();
  });
});

test('options of a mutex that mean nothing', () => {
  expect(thrown(() => open(0, { onOwnerDead: () => {} } as never)).message).toContain('onOwnerDied');
  expect(thrown(() => open(0, { onOwnerDied: true as never })).code).toBe('EINVAL');
});
