/** The types of `types/`, used wrongly or with one method gone wrong. */

import type { Arena } from '../../arena/arena.ts';
import { Completion } from '../../locking/completion.ts';
import { WaitQueue } from '../../locking/wait-queue.ts';
import { PthreadOnce } from '../../pthread/once.ts';
import { isTimeout, type LockType, type View } from '../lock-type.ts';
import { futexMutex, piFutex } from '../types/futex-mutex.ts';
import { mapleType } from '../types/maple-tree.ts';
import { pthreadMutex, pthreadMutexInherit } from '../types/mutex.ts';
import { percpuRefType } from '../types/percpu-ref.ts';
import { barrierType } from '../types/pthread-barrier.ts';
import { pthreadCond } from '../types/pthread-cond.ts';
import { onceType } from '../types/pthread-once.ts';
import { asleep, openQsbr, openRcu, openSrcu, openTasks, outside, rcuType } from '../types/rcu.ts';
import { percpuRwSemaphore, pthreadRwlock, rwLock, rwSemaphore } from '../types/reader-writer.ts';
import { rtMutex } from '../types/rt-mutex.ts';
import { semaphore } from '../types/semaphore.ts';
import { seqCount, seqCountLatch, seqLock } from '../types/sequence.ts';
import { sharedCacheType } from '../types/shared-cache.ts';
import { sharedMapType } from '../types/shared-map.ts';
import { pthreadSem, tokenType } from '../types/token.ts';
import { vdsoType } from '../types/vdso.ts';
import { waitQueueType } from '../types/wait-queue.ts';
import { workType } from '../types/work.ts';
import { workqueueType } from '../types/workqueue.ts';
import { wwMutex } from '../types/ww-mutex.ts';
import { xarrayType } from '../types/xarray.ts';
import { GAP } from './busted-type.ts';
import { fleeting, hasty, hospitable, twin } from './twin.ts';

const TIMES_OUT = 'takes ETIMEDOUT for the lock';
const LETS_READERS_IN = 'lets readers in at any time';
const OUTSIDE = 'reads without going in';
const READS_ON = 'reads without a look at the sequence';

class Generous extends Completion {
  override complete(): void {
    super.complete();
    super.complete();
  }
}

class Sociable extends WaitQueue {
  override wake(): number {
    return super.wake(0);
  }
}

class Impatient extends PthreadOnce {
  override async callAsync(routine: () => Promise<void>): Promise<boolean> {
    try {
      return await super.callAsync(routine, { timeout: 0 });
    } catch (error) {
      if (!isTimeout(error)) throw error;
      await routine();
      return true;
    }
  }
}

/** Nanoseconds since the thread came here. */
const ownClock = () => {
  const zero = performance.now();
  return { fine: () => (performance.now() - zero) * 1e6, coarse: () => 0 };
};

const busted = (type: LockType): LockType => ({ ...type, isBusted: true });

/** Reads the words as they come. */
const careless = (_view: View, { words }: Arena): Partial<View> => ({
  snapshot(address, into) {
    into.set(words.subarray(address, address + into.length));
    return true;
  },
});

const byReading = (view: View): Partial<View> => ({
  lock: (_mode, timeout) => view.lock('read', timeout),
  unlock: () => view.unlock('read'),
});

export const TWINS: readonly LockType[] = [
  twin(seqLock, READS_ON, careless),
  twin(seqCount, READS_ON, careless),
  twin(seqCountLatch, READS_ON, careless),
  twin(rwLock, LETS_READERS_IN, hospitable),
  twin(rtMutex, TIMES_OUT, hasty),
  twin(wwMutex, 'lets go of the locks as soon as it has them all', fleeting),
  twin(semaphore, 'gives the permit back before it has done with it', fleeting),
  twin(rwSemaphore, 'writes as a reader', byReading),
  twin(percpuRwSemaphore, LETS_READERS_IN, hospitable),
  busted(tokenType('completion-busted', 'complete() lets two go', Generous)),
  busted(waitQueueType('wait-queue-busted', 'wakes nobody who waits alone; found at the end', Sociable)),
  twin(futexMutex, TIMES_OUT, hasty),
  twin(piFutex, TIMES_OUT, hasty),
  twin(pthreadMutex, TIMES_OUT, hasty),
  twin(pthreadMutexInherit, TIMES_OUT, hasty),
  twin(pthreadCond, 'returns from the wait without the mutex', fleeting),
  twin(pthreadRwlock, LETS_READERS_IN, hospitable),
  twin(pthreadSem, TIMES_OUT, hasty),
  busted(barrierType('pthread-barrier-busted', 'lets all go when all but one have come', 1)),
  busted(rcuType('rcu-busted', OUTSIDE, outside(openRcu))),
  busted(rcuType('rcu-qsbr-busted', OUTSIDE, outside(openQsbr))),
  busted(rcuType('srcu-busted', OUTSIDE, outside(openSrcu))),
  busted(rcuType('tasks-busted', 'sleeps while it reads', asleep(openTasks))),
  busted(percpuRefType('percpu-ref-busted', 'goes in before the references are drained', false)),
  busted(sharedMapType('shared-map-busted', 'sets the record in three steps', 3, GAP)),
  busted(sharedCacheType('shared-cache-busted', 'sets the record in three steps', 3, GAP)),
  busted(xarrayType('xarray-busted', 'takes a record for whole that is being erased', false)),
  busted(mapleType('maple-tree-busted', 'takes a record for whole that is being erased', false)),
  busted(vdsoType('vdso-busted', 'each thread counts from a zero of its own', ownClock)),
  busted(workType('work-busted', 'has a work for each thread where all should have the same', true)),
  busted(workqueueType('workqueue-busted', 'lets two in at a time', 2)),
  busted(onceType('pthread-once-busted', 'runs the routine while another runs it', Impatient)),
];
