/** `runExclusive` and `runShared`, in all locks that have guards. */
import { describe, expect, test } from 'vitest';
import {
  Arena,
  type AsyncWaitOptions,
  type Guard,
  McsLock,
  Mutex,
  PercpuRwSemaphore,
  PthreadMutex,
  PthreadRwlock,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqLock,
  SpinLock,
  TicketLock,
  type WaitOptions,
} from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';

type Sync = <Result>(section: (held: Guard) => Result, options?: WaitOptions) => Result;
type Async = <Result>(
  section: (held: Guard) => Result | PromiseLike<Result>,
  options?: AsyncWaitOptions,
) => Promise<Result>;

interface Lock {
  run: Sync;
  runAsync?: Async;
  /** Whether a writer could have it. */
  isFree(): boolean;
}

const isNot = (isHeld: boolean) => !isHeld;
const exclusive = <L extends { runExclusive: Sync; runExclusiveAsync?: unknown }>(
  lock: L,
  isFree: (lock: L) => boolean,
): Lock => ({
  run: lock.runExclusive.bind(lock),
  runAsync: (lock.runExclusiveAsync as Async | undefined)?.bind(lock) as Async,
  isFree: () => isFree(lock),
});
const shared = <L extends { runShared: Sync; runSharedAsync?: unknown }>(
  lock: L,
  isFree: (lock: L) => boolean,
): Lock => ({
  run: lock.runShared.bind(lock),
  runAsync: (lock.runSharedAsync as Async | undefined)?.bind(lock) as Async,
  isFree: () => isFree(lock),
});

const isUnused = (lock: { readers: number; owner: unknown }) => lock.readers === 0 && lock.owner === undefined;
const wasHad = (had: boolean, release: () => void) => {
  if (had) release();
  return had;
};

const locks: Record<string, (arena: Arena) => Lock> = {
  Mutex: (arena) => exclusive(new Mutex(arena) as never, (lock: Mutex) => isNot(lock.isLocked)),
  RtMutex: (arena) => exclusive(new RtMutex(arena) as never, (lock: RtMutex) => isNot(lock.isLocked)),
  PthreadMutex: (arena) => exclusive(new PthreadMutex(arena) as never, (lock: PthreadMutex) => isNot(lock.isLocked)),
  Semaphore: (arena) => exclusive(new Semaphore(arena) as never, (lock: Semaphore) => lock.permits === 1),
  SpinLock: (arena) => exclusive(new SpinLock(arena) as never, (lock: SpinLock) => isNot(lock.isLocked)),
  McsLock: (arena) => exclusive(new McsLock(arena) as never, (lock: McsLock) => isNot(lock.isLocked)),
  TicketLock: (arena) => exclusive(new TicketLock(arena) as never, (lock: TicketLock) => isNot(lock.isLocked)),
  SeqLock: (arena) =>
    exclusive(new SeqLock(arena) as never, (lock: SeqLock) => wasHad(lock.tryLock(), () => lock.unlock())),
  'RwSemaphore, writing': (arena) => exclusive(new RwSemaphore(arena) as never, isUnused as never),
  'RwSemaphore, reading': (arena) => shared(new RwSemaphore(arena) as never, isUnused as never),
  'PercpuRwSemaphore, writing': (arena) => exclusive(new PercpuRwSemaphore(arena) as never, isUnused as never),
  'PercpuRwSemaphore, reading': (arena) => shared(new PercpuRwSemaphore(arena) as never, isUnused as never),
  'RwLock, writing': (arena) =>
    exclusive(new RwLock(arena) as never, (lock: RwLock) => wasHad(lock.tryWriteLock(), () => lock.writeUnlock())),
  'RwLock, reading': (arena) =>
    shared(new RwLock(arena) as never, (lock: RwLock) => wasHad(lock.tryWriteLock(), () => lock.writeUnlock())),
  'PthreadRwlock, writing': (arena) =>
    exclusive(new PthreadRwlock(arena) as never, (lock: PthreadRwlock) =>
      wasHad(lock.tryWriteLock(), () => lock.unlock()),
    ),
  'PthreadRwlock, reading': (arena) =>
    shared(new PthreadRwlock(arena) as never, (lock: PthreadRwlock) =>
      wasHad(lock.tryWriteLock(), () => lock.unlock()),
    ),
};

describe.each(Object.entries(locks))('%s', (_name, make) => {
  test('a section without the lock, or a lock that is kept after it', () => {
    const { run, isFree } = make(Arena.create({ bytes: 1 << 20 }));
    expect(run(() => isFree())).toBe(false);
    expect(isFree()).toBe(true);
    const error = new Error('inside');
    const fails = () => {
      throw error;
    };
    expect(thrown(() => run(fails))).toBe(error);
    expect(isFree()).toBe(true);
    // The section may let go before it ends.
    const letsGo = (held: Guard) => {
      held.release();
      return isFree();
    };
    expect(run(letsGo)).toBe(true);
    expect(thrown(() => run(async () => {})).message).toContain('returned a promise');
    expect(isFree()).toBe(true);
  });

  test('a lock that is taken for what is no function', async () => {
    const { run, runAsync, isFree } = make(Arena.create({ bytes: 1 << 20 }));
    expect(thrown(() => run(undefined as never)).message).toBe(
      'EINVAL: expected a section, a function; received undefined',
    );
    expect(isFree()).toBe(true);
    const refused = await run((held) => {
      // A call that tried to get the lock would say ETIMEDOUT, or EDEADLK.
      expect(thrown(() => run({ timeout: 0 } as never)).code).toBe('EINVAL');
      const refusal = runAsync?.({ timeout: 0 } as never).catch((error) => error.code);
      held.release();
      return [refusal];
    })[0];
    expect(refused ?? 'EINVAL').toBe('EINVAL');
    expect(isFree()).toBe(true);
  });

  test('a section that awaits, without the lock after that, or a lock that is kept', async () => {
    const { runAsync, isFree } = make(Arena.create({ bytes: 1 << 20 }));
    if (runAsync === undefined) return;
    const isHeld = async () => {
      await new Promise(setImmediate);
      return !isFree();
    };
    expect(await runAsync(isHeld)).toBe(true);
    expect(isFree()).toBe(true);
    expect(await runAsync(() => !isFree())).toBe(true);
    await expect(runAsync(async () => Promise.reject('inside'))).rejects.toBe('inside');
    expect(isFree()).toBe(true);
    let wasIn = false;
    const enter = () => {
      wasIn = true;
    };
    await expect(runAsync(enter, { signal: AbortSignal.abort('before') })).rejects.toBe('before');
    expect(wasIn).toBe(false);
    expect(isFree()).toBe(true);
  });
});
