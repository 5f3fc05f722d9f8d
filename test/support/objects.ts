/** One case for each class of shared objects: how to make one, and how to use it. For tests that go through all classes. */
import type { Arena } from '../../lib/arena/arena.ts';
import type { SharedObject } from '../../lib/arena/shared-object.ts';
import { Timer } from '../../lib/arena/timer.ts';
import {
  AtomicBigInt,
  AtomicInt,
  Completion,
  DelayedWork,
  Ida,
  KmemCache,
  MapleTree,
  McsLock,
  Mutex,
  OsqLock,
  PerCpu,
  PercpuCounter,
  PercpuRef,
  PercpuRwSemaphore,
  PthreadBarrier,
  PthreadCond,
  PthreadMutex,
  PthreadOnce,
  PthreadRwlock,
  PthreadSem,
  Refcount,
  RtMutex,
  RwLock,
  RwSemaphore,
  Semaphore,
  SeqCount,
  SeqCountLatch,
  SeqLock,
  SharedCache,
  SharedMap,
  SpinLock,
  Srcu,
  TicketLock,
  WaitQueue,
  Work,
  WwClass,
  WwMutex,
  XArray,
} from '../../lib/index.ts';
import { f } from '../workqueue/functions.ts';

type Call = (...args: readonly unknown[]) => unknown;

/** Calls of a view that a test makes by name. */
export type Calls = Readonly<Record<string, Call>>;

export const callsOf = (view: SharedObject): Calls => view as unknown as Calls;

/** How an object is held: what takes it, what gives it back, and the asynchronous form, which returns a guard. */
export interface Section {
  readonly take: string;
  readonly release: string;
  readonly acquireAsync?: string;
  /** Whether `take` has options: waits where the object is held, and gives up. */
  readonly hasOptions?: boolean;
}

export interface ObjectCase {
  readonly kind: string;
  make(arena: Arena): SharedObject;
  /** Arguments of calls that refuse to be called without; `words`: a word of the arena that may be written. */
  args?(arena: Arena, words: number): Readonly<Record<string, readonly unknown[]>>;
  readonly sections?: readonly Section[];
  /** Calls that end without another thread, and leave nobody inside. */
  readonly calls?: readonly string[];
  /** Ends what these calls leave under way. */
  settle?(view: Calls): void;
}

/** A section whose parts have these names; `hasOptions` where it has an asynchronous form. */
function section(take: string, release: string, acquireAsync?: string): Section {
  return acquireAsync === undefined ? { take, release } : { take, release, acquireAsync, hasOptions: true };
}

const SECTION = [() => {}];
export const SECTIONS = {
  runExclusive: SECTION,
  runExclusiveAsync: SECTION,
  runShared: SECTION,
  runSharedAsync: SECTION,
};

/** Calls of AtomicInt and AtomicBigInt that take numbers. */
const ATOMICS = [
  'set',
  'setRelease',
  'fetchAdd',
  'fetchSub',
  'fetchAnd',
  'fetchOr',
  'fetchAndNot',
  'fetchXor',
  'addReturn',
  'subReturn',
  'subAndTest',
  'addNegative',
  'xchg',
  'cmpxchg',
  'tryCmpxchg',
  'addUnless',
  'testAndSetBit',
  'testAndClearBit',
  'testAndChangeBit',
  'testBit',
];

export const CASES: readonly ObjectCase[] = [
  {
    kind: 'Mutex',
    make: (arena) => new Mutex(arena, 'x'),
    sections: [section('lock', 'unlock', 'acquireAsync')],
    calls: ['reset', 'tryLock'],
  },
  {
    kind: 'RtMutex',
    make: (arena) => new RtMutex(arena, 'x'),
    sections: [section('lock', 'unlock', 'acquireAsync')],
  },
  {
    kind: 'WwMutex',
    make: (arena) => new WwMutex(new WwClass(arena, 'class'), 'x'),
    args: (arena) => {
      const context = new WwClass(arena, 'class').beginAsync();
      return { lockAsync: [context], lockSlowAsync: [context], attemptAsync: [context], attemptWithin: [context] };
    },
    sections: [section('lock', 'unlock')],
  },
  { kind: 'WwClass', make: (arena) => new WwClass(arena, 'x') },
  { kind: 'SpinLock', make: (arena) => new SpinLock(arena, 'x'), sections: [section('lock', 'unlock')] },
  { kind: 'TicketLock', make: (arena) => new TicketLock(arena, 'x'), sections: [section('lock', 'unlock')] },
  { kind: 'McsLock', make: (arena) => new McsLock(arena, 'x'), sections: [section('lock', 'unlock')] },
  { kind: 'OsqLock', make: (arena) => new OsqLock(arena, 'x'), sections: [section('lock', 'unlock')] },
  {
    kind: 'RwLock',
    make: (arena) => new RwLock(arena, 'x'),
    sections: [section('readLock', 'readUnlock'), section('writeLock', 'writeUnlock')],
  },
  {
    kind: 'RwSemaphore',
    make: (arena) => new RwSemaphore(arena, 'x'),
    sections: [section('downRead', 'upRead', 'acquireReadAsync'), section('downWrite', 'upWrite', 'acquireWriteAsync')],
  },
  {
    kind: 'PercpuRwSemaphore',
    make: (arena) => new PercpuRwSemaphore(arena, 'x'),
    sections: [section('downRead', 'upRead', 'acquireReadAsync'), section('downWrite', 'upWrite', 'acquireWriteAsync')],
  },
  {
    kind: 'Semaphore',
    make: (arena) => new Semaphore(arena, 'x', { permits: 1 }),
    calls: ['down', 'tryDown', 'up'],
  },
  {
    kind: 'Completion',
    make: (arena) => {
      const completion = new Completion(arena, 'x');
      completion.completeAll();
      return completion;
    },
    calls: ['wait', 'tryWait', 'complete', 'completeAll', 'reinit'],
  },
  {
    kind: 'WaitQueue',
    make: (arena) => new WaitQueue(arena, 'x'),
    args: () => ({ wait: [() => false, { timeout: 1 }], waitAsync: [() => false] }),
    calls: ['wait', 'wake', 'wakeAll'],
  },
  {
    kind: 'SeqLock',
    make: (arena) => new SeqLock(arena, 'x'),
    args: (_arena, words) => ({
      read: [words, new Int32Array(1)],
      write: [words, [0]],
      writeAsync: [words, [0]],
    }),
    sections: [{ take: 'lock', release: 'unlock', hasOptions: true }],
    calls: ['read', 'write'],
  },
  {
    kind: 'SeqCount',
    make: (arena) => new SeqCount(arena, 'x'),
    args: (_arena, words) => ({ read: [words, new Int32Array(1)], write: [words, [0]] }),
    sections: [section('writeBegin', 'writeEnd')],
    calls: ['read', 'write'],
  },
  {
    kind: 'SeqCountLatch',
    make: (arena) => new SeqCountLatch(arena, 'x'),
    args: (_arena, words) => ({ read: [words, new Int32Array(1)], write: [words, [0]], update: [() => {}] }),
    calls: ['read', 'write', 'update'],
  },
  {
    kind: 'Refcount',
    make: (arena) => new Refcount(arena, 'x'),
    args: () => ({ set: [1] }),
    calls: ['inc', 'tryInc', 'dec', 'set'],
  },
  {
    kind: 'AtomicInt',
    make: (arena) => new AtomicInt(arena, 'x'),
    args: () => Object.fromEntries(ATOMICS.map((call) => [call, [1, 2]])),
    calls: ['read', 'inc', 'xchg', 'incNotZero'],
  },
  {
    kind: 'AtomicBigInt',
    make: (arena) => new AtomicBigInt(arena, 'x'),
    args: () => Object.fromEntries(ATOMICS.map((call) => [call, call.endsWith('Bit') ? [1] : [1n, 2n]])),
    calls: ['read', 'inc', 'dec', 'incNotZero'],
  },
  {
    kind: 'PercpuCounter',
    make: (arena) => new PercpuCounter(arena, 'x', { batch: 1 }),
    args: () => ({ add: [1], compare: [1] }),
    calls: ['add', 'read', 'sum'],
  },
  {
    kind: 'PthreadMutex',
    make: (arena) => new PthreadMutex(arena, 'x'),
    sections: [section('lock', 'unlock', 'acquireAsync')],
  },
  ...(['recursive', 'errorcheck'] as const).map((type) => ({
    kind: `PthreadMutex, ${type}`,
    make: (arena: Arena) => new PthreadMutex(arena, 'x', { type }),
    sections: [{ take: 'lock', release: 'unlock', hasOptions: true }],
  })),
  {
    kind: 'PthreadMutex, inherit',
    make: (arena) => new PthreadMutex(arena, 'x', { protocol: 'inherit' }),
    sections: [section('lock', 'unlock', 'acquireAsync')],
  },
  {
    kind: 'PthreadMutex, protect',
    make: (arena) => new PthreadMutex(arena, 'x', { protocol: 'protect', prioceiling: -1 }),
    args: () => ({ setPrioceiling: [-1] }),
    sections: [section('lock', 'unlock', 'acquireAsync')],
    calls: ['setPrioceiling'],
  },
  {
    kind: 'PthreadCond',
    make: (arena) => new PthreadCond(arena, 'x'),
    args: (arena) => {
      const mutex = new PthreadMutex(arena);
      mutex.lock();
      return { wait: [mutex] };
    },
    calls: ['signal', 'broadcast'],
  },
  {
    kind: 'PthreadRwlock',
    make: (arena) => new PthreadRwlock(arena, 'x'),
    sections: [section('readLock', 'unlock', 'acquireReadAsync'), section('writeLock', 'unlock', 'acquireWriteAsync')],
  },
  { kind: 'PthreadBarrier', make: (arena) => new PthreadBarrier(arena, 'x', { count: 1 }), calls: ['wait'] },
  { kind: 'PthreadSem', make: (arena) => new PthreadSem(arena, 'x', { value: 1 }), calls: ['wait', 'tryWait', 'post'] },
  {
    kind: 'PthreadOnce',
    make: (arena) => new PthreadOnce(arena, 'x'),
    args: () => ({ call: [() => {}], callAsync: [() => {}] }),
    calls: ['call'],
  },
  {
    kind: 'Srcu',
    make: (arena) => new Srcu(arena, 'x'),
    args: (arena) => {
      const { handle } = new Srcu(arena, 'other');
      const cookie = { arena: handle.arena, rcu: handle.address, normal: 0, expedited: 0 };
      return {
        readUnlock: [0],
        call: [() => {}],
        pollState: [cookie],
        condSynchronize: [cookie],
        condSynchronizeAsync: [cookie],
      };
    },
    sections: [section('readLock', 'readUnlock')],
    calls: ['synchronize', 'getState', 'startPoll', 'barrier'],
    settle: (view) => view.synchronize!(),
  },
  { kind: 'PerCpu', make: (arena) => new PerCpu(arena, 'x'), args: () => ({ of: [0] }), calls: ['of', 'sum'] },
  {
    kind: 'PercpuRef',
    // Only drained ones can be destroyed.
    make(arena) {
      const ref = new PercpuRef(arena, 'x');
      ref.kill();
      ref.confirm();
      return ref;
    },
    calls: ['tryGet', 'kill', 'drain', 'reinit'],
    settle(view) {
      view.kill!();
      view.confirm!();
    },
  },
  {
    kind: 'KmemCache',
    make: (arena) => new KmemCache(arena, 'x', { words: 20 }),
    calls: ['leaks'],
  },
  {
    kind: 'XArray',
    make: (arena) => new XArray(arena, 'x', { alloc: 'from-0' }),
    args: () => ({
      ...Object.fromEntries(['load', 'store', 'erase', 'insert', 'reserve', 'release'].map((call) => [call, [1, 5]])),
      cmpxchg: [1, undefined, 5],
      storeAsync: [1, 5],
      storeRange: [1, 2, 5],
      storeRangeAsync: [1, 2, 5],
      storeOrder: [1, 0, 5],
      getOrder: [1],
      split: [1, 0],
      alloc: [5],
      allocAsync: [5],
      allocCyclic: [5],
      getMark: [1, 1],
      setMark: [1, 1],
      clearMark: [1, 1],
      marked: [1],
      findAfter: [1],
      extract: [1],
    }),
    calls: ['load', 'store', 'alloc'],
  },
  {
    kind: 'Ida',
    make: (arena) => new Ida(arena, 'x'),
    args: () => ({ free: [1], has: [1] }),
    calls: ['alloc', 'has'],
  },
  {
    kind: 'SharedMap',
    make: (arena) => new SharedMap(arena, 'x'),
    args: () => ({
      ...Object.fromEntries(['get', 'has', 'set', 'setAsync', 'delete'].map((call) => [call, ['key', 1]])),
      compareAndSet: ['key', undefined, 1],
      update: ['key', () => 1],
      forEach: [() => {}],
    }),
    calls: ['get', 'set', 'delete', 'update'],
  },
  {
    kind: 'SharedCache',
    make: (arena) => new SharedCache(arena, 'x'),
    args: () => ({
      ...Object.fromEntries(
        ['get', 'has', 'set', 'setAsync', 'delete', 'pin', 'unpin'].map((call) => [call, ['key', 1]]),
      ),
      getOrCompute: ['key', () => 1],
      getOrComputeSync: ['key', () => 1],
    }),
    calls: ['get', 'delete', 'getOrComputeSync', 'stats'],
  },
  {
    kind: 'MapleTree',
    make: (arena) => new MapleTree(arena, 'x'),
    args: () => ({
      ...Object.fromEntries(
        ['load', 'store', 'insert', 'erase', 'eraseRange', 'findRange', 'next', 'prev'].map((call) => [call, [1, 5]]),
      ),
      storeRange: [1, 2, 5],
      storeRangeAsync: [1, 2, 5],
      insertRange: [1, 2, 5],
      forEach: [() => {}],
      emptyArea: [0, 9, 1],
      emptyAreaRev: [0, 9, 1],
      allocRange: [5, 1],
      allocRangeAsync: [5, 1],
    }),
    // Writers come and go as in the other structures, in more steps.
    calls: ['load', 'erase', 'find'],
  },
  {
    kind: 'Work',
    make: (arena) => new Work(arena, 'x', f.echo, 1),
    calls: ['flushWork', 'cancelWork', 'cancelWorkSync', 'disableWork', 'enableWork'],
    settle: (view) => {
      while ((view as unknown as Work).disabled > 0) view.enableWork!();
    },
  },
  {
    kind: 'DelayedWork',
    make: (arena) => new DelayedWork(arena, 'x', f.echo, 1),
    calls: ['flushDelayedWork', 'flushWork', 'cancelWork'],
  },
  {
    kind: 'Timer',
    make: (arena) => new Timer(arena, 'x', { action: 'none' }),
    args: () => ({ start: [1], startAt: [1e18] }),
    calls: ['start', 'cancel'],
    settle: (view) => view.cancel!(),
  },
];
