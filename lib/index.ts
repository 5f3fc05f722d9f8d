export { Arena, type ArenaHandle, type ArenaOptions, type ArenaSummary } from './arena/arena.ts';
export type { ThreadDeath } from './arena/deaths.ts';
export type { Guard, LockGuard } from './arena/guard.ts';
export { Kthread, type KthreadOptions, type KthreadState, kthreadRun } from './arena/kthread.ts';
export type { KthreadSelf } from './arena/kthreadd.ts';
export type { ObjectHandle, SharedObject } from './arena/shared-object.ts';
export type { ThreadState } from './arena/thread-state.ts';
export {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  type TimeNamespaceOffsets,
} from './arena/time-namespace.ts';
export { Timer, type TimerOptions } from './arena/timer.ts';
export { holdfastHandler, type LiveHandler } from './debug/live/handler.ts';
export type { PromFigures } from './debug/live/metrics.ts';
export { type Observer, type ObserverOptions, observe } from './debug/live/observer.ts';
export type { LiveOptions } from './debug/live/options.ts';
export { type PromMetric, type PromMetrics, promMetrics } from './debug/live/prom.ts';
export type { ArenaState, ObservedThread } from './debug/live/state.ts';
export type {
  ContentionProfile,
  LockContention,
  StackContention,
  WaiterAndHolder,
  WaitTimes,
} from './debug/profile/read.ts';

import './debug/lockdep/auto.ts';
import './debug/profile/auto.ts';
import './debug/trace/auto.ts';
import './debug/trace/program/auto.ts';

export {
  assertHeld,
  assertHeldRead,
  assertHeldWrite,
  assertNotHeld,
  type CheckedLock,
  nested,
} from './debug/lockdep/assert.ts';
export type { LockdepReport } from './debug/lockdep/reporter.ts';
export { Lockdep, type LockdepOptions, type LockdepStats, startLockdep } from './debug/lockdep/session.ts';
export type { Finding as LockdepFinding } from './debug/lockdep/words.ts';
export { filterProfile, type ProfileFilter } from './debug/profile/filter.ts';
export { setLockClass } from './debug/profile/given-classes.ts';
export type { ProfileOptions } from './debug/profile/options.ts';
export type { Pressure } from './debug/profile/pressure.ts';
export type { HeldTimes, LockHeldTimes } from './debug/profile/read-holds.ts';
export { profileTable, saveProfile } from './debug/profile/save.ts';
export { ProfileSession, startProfile } from './debug/profile/session.ts';
export type { Frame as StackFrame } from './debug/profile/stacks.ts';
export { type LockWait, type OpenTelemetryApi, spansOfWaits } from './debug/profile/wait-events.ts';
export type { TracedLock } from './debug/trace/locks.ts';
export { perfettoTrace } from './debug/trace/perfetto/perfetto.ts';
export {
  type Field as TraceField,
  type FieldType as TraceFieldType,
  POINTS as TRACE_POINTS,
  type TracePoint,
} from './debug/trace/points.ts';
export {
  TraceProgram,
  type TraceProgramOptions,
  type TraceProgramResult,
  traceProgram,
  traceProgramText,
} from './debug/trace/program/session.ts';
export type { TraceBucket, TraceEntry, TraceMap } from './debug/trace/program/shown.ts';
export type { Trace, TracedThread, TraceEvent } from './debug/trace/read.ts';
export { saveTrace, traceSummary } from './debug/trace/save.ts';
export { startTrace, type TraceOptions, TraceSession } from './debug/trace/session.ts';
export { type ErrorCode, HoldfastError, type WaitedHandle, type WaitsFor } from './errors.ts';
export type { AsyncDeadlineOptions, DeadlineOptions, FutexClock } from './futex/deadline.ts';
export { FUTEX_WAITV_MAX, Futex } from './futex/futex.ts';
export { PiFutex } from './futex/pi-futex.ts';
export { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS, ROBUST_PI } from './futex/robust-list.ts';
export type { Expected as FutexExpected } from './futex/table.ts';
export type { WakeComparison, WakeOp, WakeOperator } from './futex/wake.ts';
export { AtomicBigInt } from './locking/atomic-big-int.ts';
export { AtomicInt } from './locking/atomic-int.ts';
export { Completion } from './locking/completion.ts';
export type { LockOwner } from './locking/lock-owner.ts';
export { McsLock } from './locking/mcs-lock.ts';
export { Mutex, type MutexOptions } from './locking/mutex.ts';
export { OsqLock } from './locking/osq-lock.ts';
export { PerCpu } from './locking/per-cpu.ts';
export { PercpuCounter, type PercpuCounterOptions } from './locking/percpu-counter.ts';
export { PercpuRwSemaphore } from './locking/percpu-rw-semaphore/percpu-rw-semaphore.ts';
export { Refcount } from './locking/refcount.ts';
export { type RtAsyncOptions, RtMutex } from './locking/rt-mutex/rt-mutex.ts';
export { RwLock } from './locking/rw-lock.ts';
export { RwSemaphoreGuard } from './locking/rw-semaphore/guard.ts';
export { RwSemaphore, type RwSemaphoreOptions } from './locking/rw-semaphore/rw-semaphore.ts';
export { SemaphoreGuard } from './locking/semaphore/guard.ts';
export {
  type AsyncDownOptions,
  type DownOptions,
  Semaphore,
  type SemaphoreOptions,
} from './locking/semaphore/semaphore.ts';
export { SeqCount } from './locking/seqlock/seq-count.ts';
export { SeqCountLatch } from './locking/seqlock/seq-count-latch.ts';
export { SeqLock } from './locking/seqlock/seq-lock.ts';
export { SpinLock, SpinLock as PthreadSpin } from './locking/spin-lock.ts';
export { TicketLock } from './locking/ticket-lock.ts';
export { type AsyncWaitQueueOptions, WaitQueue, type WaitQueueOptions } from './locking/wait-queue.ts';
export { WwClass, type WwClassOptions, type WwContextOptions, type WwPolicy } from './locking/ww-mutex/class.ts';
export { WwContext } from './locking/ww-mutex/context.ts';
export { WwMutex } from './locking/ww-mutex/ww-mutex.ts';
export type { HeapUse } from './memory/heap.ts';
export { PthreadBarrier, type PthreadBarrierOptions } from './pthread/barrier.ts';
export { PthreadCond } from './pthread/cond.ts';
export type { PthreadMutexAttributes, PthreadMutexProtocol, PthreadMutexType } from './pthread/mutex/attributes.ts';
export { PthreadMutexGuard } from './pthread/mutex/guard.ts';
export { PthreadMutex } from './pthread/mutex/mutex.ts';
export { PthreadOnce } from './pthread/once.ts';
export { PthreadRwlock, type PthreadRwlockOptions, type PthreadRwlockPreference } from './pthread/rwlock.ts';
export { PthreadSem, type PthreadSemOptions, SEM_VALUE_MAX } from './pthread/sem.ts';
export type { RcuMisuse } from './rcu/checks.ts';
export type { RcuCookie, RcuDomain } from './rcu/domain.ts';
export { RcuHlist, type RcuHlistOptions } from './rcu/hlist.ts';
export { RcuList, type RcuListOptions } from './rcu/list.ts';
export { PercpuRef } from './rcu/percpu-ref.ts';
export { Rcu } from './rcu/rcu.ts';
export { RcuQsbr } from './rcu/rcu-qsbr.ts';
export { type RcuSelfTestOptions, type RcuSelfTestResult, rcuSelfTest } from './rcu/self-test.ts';
export { KmemCache, type KmemCacheOptions, type KmemLeak } from './rcu/slab/kmem-cache.ts';
export { Srcu } from './rcu/srcu.ts';
export type { RcuStall, StalledThread } from './rcu/stall.ts';
export { TasksRcu } from './rcu/tasks-rcu.ts';
export type { AbortableOptions, AsyncWaitOptions, TimeoutOptions, WaitOptions } from './sched/drive.ts';
export type { ObjectState } from './sched/object-states.ts';
export type { Thread } from './sched/thread.ts';
export { defineTimerAction, type TimerAction } from './sched/timer.ts';
export type { ObservedLock } from './sched/watch.ts';
export type { CachePinOptions, SharedCacheOptions } from './structures/cache/options.ts';
export {
  type AsyncCacheComputeOptions,
  type AsyncCacheSetOptions,
  type CacheComputeOptions,
  type CacheSetOptions,
  SharedCache,
} from './structures/cache/shared-cache.ts';
export type { CacheStats } from './structures/cache/stats.ts';
export { SharedMap } from './structures/map/shared-map.ts';
export { MapleState, type MapleStatus } from './structures/maple/maple-state.ts';
export {
  type MapleAllocation,
  type MapleRange,
  type MapleSearch,
  type MapleSlot,
  MapleTree,
  type MapleTreeOptions,
} from './structures/maple/maple-tree.ts';
export { XA_VALUE_MAX, type XaEntry, XaPointer, xaPointer } from './structures/xarray/entry.ts';
export { IDA_MAX, Ida, type IdRange } from './structures/xarray/ida.ts';
export type { XArrayOptions, XaAllocation, XaMark, XaRange, XaSearch } from './structures/xarray/options.ts';
export { XaState, type XaStatus } from './structures/xarray/xa-state.ts';
export { XArray } from './structures/xarray/xarray.ts';
export { Vdso, type VdsoOptions, type WallTime } from './vdso/vdso.ts';
export type { WorkqueueAttributes } from './workqueue/attributes.ts';
export type { WorkqueueRunMessage } from './workqueue/channels.ts';
export type { WorkqueueConfiguration } from './workqueue/configuration.ts';
export { currentWork, type WorkContext } from './workqueue/context.ts';
export { freezeWorkqueues, freezeWorkqueuesBusy, thawWorkqueues } from './workqueue/freeze.ts';
export type { RunOptions, WorkqueueOptions } from './workqueue/options.ts';
export type { WorkqueueCounts } from './workqueue/queue-state.ts';
export {
  setUnboundCpumask,
  unboundCpumask,
  workqueueOfflineSlot,
  workqueueOnlineSlot,
  workqueueOnlineSlots,
} from './workqueue/slots.ts';
export type { WorkqueueStatistics } from './workqueue/statistics.ts';
export { type SystemWorkqueueName, systemWorkqueue } from './workqueue/system.ts';
export type { WorkTimes } from './workqueue/times.ts';
export { type WorkFunction, work } from './workqueue/work.ts';
export { DelayedWork, Work, type WorkBusy } from './workqueue/work-item.ts';
export { Workqueue } from './workqueue/workqueue.ts';
