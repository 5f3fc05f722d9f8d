/** A guard that nobody has any more, while what it stands for is held: collected by the garbage collector, and told. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import {
  Arena,
  type LockdepReport,
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
  startLockdep,
  TicketLock,
} from '../../../lib/index.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

type Take = (arena: Arena) => { release(): void } | Promise<{ release(): void }>;

const TAKES: Record<string, Take> = {
  Mutex: (arena) => new Mutex(arena, 'lock').acquire(),
  'Mutex, async': (arena) => new Mutex(arena, 'lock').acquireAsync(),
  RtMutex: (arena) => new RtMutex(arena, 'lock').acquire(),
  'RtMutex, async': (arena) => new RtMutex(arena, 'lock').acquireAsync(),
  SpinLock: (arena) => new SpinLock(arena, 'lock').acquire(),
  TicketLock: (arena) => new TicketLock(arena, 'lock').acquire(),
  McsLock: (arena) => new McsLock(arena, 'lock').acquire(),
  'RwLock, read': (arena) => new RwLock(arena, 'lock').acquireRead(),
  'RwLock, write': (arena) => new RwLock(arena, 'lock').acquireWrite(),
  SeqLock: (arena) => new SeqLock(arena, 'lock').acquire(),
  'RwSemaphore, read': (arena) => new RwSemaphore(arena, 'lock').acquireRead(),
  'RwSemaphore, write, async': (arena) => new RwSemaphore(arena, 'lock').acquireWriteAsync(),
  'PercpuRwSemaphore, read': (arena) => new PercpuRwSemaphore(arena, 'lock').acquireRead(),
  'PercpuRwSemaphore, read, async': (arena) => new PercpuRwSemaphore(arena, 'lock').acquireReadAsync(),
  Semaphore: (arena) => new Semaphore(arena, 'lock').acquire(),
  'Semaphore, several permits': (arena) => new Semaphore(arena, 'lock', { permits: 3 }).acquire({ permits: 2 }),
  'Semaphore, async': (arena) => new Semaphore(arena, 'lock').acquireAsync(),
  PthreadMutex: (arena) => new PthreadMutex(arena, 'lock').acquire(),
  'PthreadMutex, async': (arena) => new PthreadMutex(arena, 'lock').acquireAsync(),
  'PthreadRwlock, read': (arena) => new PthreadRwlock(arena, 'lock').acquireRead(),
  'PthreadRwlock, write': (arena) => new PthreadRwlock(arena, 'lock').acquireWrite(),
  'PthreadRwlock, read, async': (arena) => new PthreadRwlock(arena, 'lock').acquireReadAsync(),
};

function watched() {
  const arena = Arena.create({ bytes: 2 << 20 });
  return { arena, lockdep: startLockdep(arena, { quiet: true }) };
}

/** Until `told` says so: a collection is told of in a later turn, which the engine chooses. */
async function collectUntil(told: () => boolean): Promise<void> {
  while (!told()) {
    collect();
    await setImmediate();
  }
}

test.each(Object.entries(TAKES))('a guard that is lost: %s', async (_, take) => {
  const { arena, lockdep } = watched();
  const heard: LockdepReport[] = [];
  const hear = (report: unknown) => void heard.push(report as LockdepReport);
  subscribe('holdfast:lockdep', hear);
  await (async () => void (await take(arena)))();
  await collectUntil(() => heard.some(({ finding }) => finding === 'guard'));
  unsubscribe('holdfast:lockdep', hear);
  const [report] = lockdep.reports();
  expect(report?.classes[0]).toContain('"lock"');
  expect(report?.text).toContain('the guard that was to release it has been collected');
  expect(report?.text).toContain('guards.test.ts');
});

test('guards that were released, or whose lock was taken again, are told of', async () => {
  const { arena, lockdep } = watched();
  const collected: string[] = [];
  const registry = new FinalizationRegistry((name: string) => collected.push(name));
  const pass = async (name: string, take: Take) => {
    const guard = await take(arena);
    registry.register(guard, name);
    guard.release();
  };
  for (const [name, take] of Object.entries(TAKES)) if (name.startsWith('Mutex')) await pass(name, take);
  const held = new Mutex(arena, 'lock').acquire();
  await collectUntil(() => collected.length === 2);
  await setImmediate();
  expect(lockdep.reports()).toEqual([]);
  held.release();
});

test('of two guards of one semaphore, the one that is lost is told of', async () => {
  const { arena, lockdep } = watched();
  const semaphore = new Semaphore(arena, 'lock', { permits: 2 });
  let collected = 0;
  const registry = new FinalizationRegistry(() => collected++);
  const first = semaphore.acquire();
  (() => {
    const second = semaphore.acquire();
    registry.register(second, undefined);
    second.release();
  })();
  await collectUntil(() => collected === 1);
  await setImmediate();
  expect(lockdep.reports()).toEqual([]);
  (() => {
    const third = semaphore.acquire();
    registry.register(third, undefined);
  })();
  first.release();
  await collectUntil(() => lockdep.reports().length > 0);
  expect(lockdep.reports().map(({ finding }) => finding)).toEqual(['guard']);
});

test('an arena that nobody can reach is kept for what lockdep knows of its thread', async () => {
  const use = async () => {
    const { arena } = watched();
    const lock = new Mutex(arena, 'lock');
    lock.runExclusive(() => {});
    await lock.runExclusiveAsync(() => {});
    // Its memory is what costs.
    return [new WeakRef(arena), new WeakRef(arena.words)];
  };
  const arenas: WeakRef<object>[] = [];
  for (let i = 0; i < 10; i++) arenas.push(...(await use()));
  const alive = () => arenas.filter((arena) => arena.deref() !== undefined).length;
  for (let i = 0; i < 20 && alive() > 4; i++) {
    await setImmediate();
    collect();
  }
  expect(alive()).toBeLessThan(5);
});
