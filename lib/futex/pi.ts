/**
 * The priority-inheriting futex operations: LOCK_PI, TRYLOCK_PI, UNLOCK_PI, WAIT_REQUEUE_PI, CMP_REQUEUE_PI.
 *
 * Word:   bit 31  FUTEX_WAITERS      unlocking takes UNLOCK_PI
 *         bit 30  FUTEX_OWNER_DIED   an owner died inside; the program clears it
 *         0 - 29  the owner's thread id (a task), or 0
 *
 *   the program     0             -> tid             locks without us
 *                   tid           -> 0               unlocks without us
 *   LOCK_PI         x             -> x|WAITERS       and waits for the word's state (`pi-state.ts`), an rt-mutex
 *                   [DIED|]WAITERS -> tid|...        who has got the rt-mutex, under the bucket's latch
 *   UNLOCK_PI       tid|WAITERS   -> WAITERS         and unlocks the rt-mutex; 0 without waiters
 *   owner dies      its rt-mutex is freed, marked; the next owner's word says OWNER_DIED
 *
 *   CMP_REQUEUE_PI  0             -> tid of a waiter, which wakes up owning the word
 *                   x             -> x|WAITERS       and lets the waiter, asleep as it is, wait for the word's state
 *
 * Next owner: by priority, as for `RtMutex`. Latch order: bucket, then priorityLatch. Wake-ups and reorderings run
 * after both are released.
 *
 * Source: kernel/futex/pi.c.
 */
import { makeConsistent, OWNER_DIED, ownerOf } from '../locking/owner-word.ts';
import { enqueueSleeper, lockSlow, tryLockDeferred, unlockDeferred } from '../locking/rt-mutex/core.ts';
import { RtWords } from '../locking/rt-mutex/words.ts';
import type { Cpu } from '../machine/cpu.ts';
import { RtWait } from '../sched/priority.ts';
import { isDying, isTaskOf, maxThreads, phaseOf, Slot, slotAddress } from '../sched/slot.ts';
import type { SlowPath, Waiter } from '../sched/slow-path.ts';
import { Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { type WakeQueue, wakeQueue, wakeQueued } from '../sched/wake-queue.ts';
import { attachPiState, clearPiOwner, findPiState, getPiState, PiState, putPiState } from './pi-state.ts';
import { FUTEX_OWNER_DIED, FUTEX_TID_MASK, FUTEX_WAITERS } from './robust-list.ts';
import {
  bucketOf,
  dequeue,
  type Futexes,
  latchBoth,
  latchBucket,
  latchedBucket,
  nextFor,
  PI,
  PLAIN,
  unlatchBoth,
  unlatchBucket,
} from './table.ts';
import { wait } from './wait.ts';
import { MATCH_ANY } from './wake.ts';

/**
 * 'busy': it has an owner, who may be waited for. 'dying': the owner is dead or leaving. Illegal to say 'busy' then, unless
 * others wait already: whoever repairs what it leaves may have been through this bucket.
 */
export type Attempt = 'acquired' | 'busy' | 'dying' | 'deadlock' | 'mismatch' | 'no-owner';
/** 'no-state': the thread has no state to bring along; `reservePiState`, and again. */
export type PiOutcome = Attempt | 'no-state' | 'timed-out' | 'aborted';

/** `futex_lock_pi_atomic`, without waiting. Under the latch. */
function tryAtomic({ thread }: Futexes, bucket: number, word: number, task: number): Attempt {
  const { cpu } = thread;
  if (nextFor(cpu, bucket, word, 0) !== 0) return 'mismatch';
  const isWaitedFor = findPiState(cpu, bucket, word) !== 0;
  for (let value = cpu.load(word); ; ) {
    const tid = value & FUTEX_TID_MASK;
    if (tid === task) return 'deadlock';
    if (isWaitedFor) return 'busy';
    if (tid !== 0) {
      const slot = slotOfTid(cpu, tid);
      // Acquire: pairs with the release by which a thread attaches or ends. 'busy' is said of one that still runs.
      const phase = slot === 0 ? 'free' : phaseOf(cpu.loadAcquire(slot + Slot.life));
      return phase === 'attached' ? 'busy' : phase === 'dying' ? 'dying' : 'no-owner';
    }
    // [DIED|]0 -> [DIED|]task. Acquire: pairs with the program's unlock, and with the release in unlockPi.
    const seen = cpu.cmpxchgAcquire(word, value, (value & FUTEX_OWNER_DIED) | task);
    if (seen === value) return 'acquired';
    value = seen;
  }
}

/** The slot whose task a thread id names, or 0: a word may hold anything. */
function slotOfTid(cpu: Cpu, tid: number): number {
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (isTaskOf(cpu, slot, tid)) return slot;
  }
  return 0;
}

/** TRYLOCK_PI, and the first attempt of LOCK_PI. */
export function tryLockPi(futexes: Futexes, word: number, task: number): Attempt {
  const { thread, table } = futexes;
  const bucket = bucketOf(table, word);
  const wakes = wakeQueue();
  latchBucket(thread, bucket);
  let attempt = tryAtomic(futexes, bucket, word, task);
  const state = findPiState(thread.cpu, bucket, word);
  // The rt-mutex may have been released, and not taken yet.
  if (attempt === 'busy' && state !== 0 && (thread.cpu.load(word) & FUTEX_TID_MASK) === 0) {
    if (tryLockDeferred(thread, state, task, wakes)) {
      own(thread.cpu, word, state, task);
      attempt = 'acquired';
    }
  }
  unlatchBucket(thread, bucket);
  wakeQueued(thread, wakes);
  return attempt;
}

/** LOCK_PI. `isRequeued`: for one whom CMP_REQUEUE_PI took out of its queue, and may have put in this one. */
export function* lockPi(futexes: Futexes, word: number, waiter: Waiter, isRequeued = false): SlowPath<PiOutcome> {
  const { thread, table } = futexes;
  const { cpu } = thread;
  const { task } = waiter;
  const bucket = bucketOf(table, word);
  if (isRequeued) {
    yield* latchedBucket(waiter, bucket);
    const state = cpu.load(task + Task.result) === PI ? cpu.load(task + Task.want) : 0;
    if (state === 0) cpu.store(task + Task.result, PLAIN);
    // A mover that died may have said what this task waits for, and not have put it in that queue.
    if (cpu.load(task + RtWait.mutex) === 0) cpu.store(task + Task.blockedOn, 0);
    const isMine = (cpu.load(word) & FUTEX_TID_MASK) === task;
    unlatchBucket(thread, bucket);
    if (state !== 0) return yield* sleep(futexes, bucket, word, state, waiter);
    if (isMine) return 'acquired';
  }
  for (;;) {
    yield* latchedBucket(waiter, bucket);
    const value = cpu.load(word);
    const attempt = tryAtomic(futexes, bucket, word, task);
    const state = attempt === 'busy' ? attach(thread, bucket, word, value, task) : 0;
    unlatchBucket(thread, bucket);
    if (state === 'no-state') return state;
    if (attempt === 'busy' && state === 0) continue;
    if (state !== 0) return yield* sleep(futexes, bucket, word, state, waiter);
    if (attempt !== 'dying') return attempt;
    // The thread that repairs what the owner leaves marks the word if it can, vacates the slot, and unparks everybody.
    const slot = slotOfTid(cpu, value & FUTEX_TID_MASK);
    const life = slot === 0 ? 0 : cpu.load(slot + Slot.life);
    const result =
      phaseOf(life) === 'dying' ? yield* wait(futexes, slot + Slot.life, life, MATCH_ANY, waiter) : 'changed';
    if (result === 'timed-out' || result === 'aborted') return result;
  }
}

/** WAIT_REQUEUE_PI. */
export function* waitRequeuePi(
  futexes: Futexes,
  word: number,
  value: number,
  to: number,
  waiter: Waiter,
): SlowPath<PiOutcome | 'changed'> {
  const result = yield* wait(futexes, word, value, MATCH_ANY, waiter, { purpose: to });
  if (result === 'woken') return yield* lockPi(futexes, to, waiter, true);
  futexes.thread.cpu.store(waiter.task + Task.result, PLAIN);
  return result;
}

/** `attach_to_pi_owner`: the task is going to wait. 0 when the word does not hold `value` any more. Under the latch. */
function attach(thread: Thread, bucket: number, word: number, value: number, task: number): number | 'no-state' {
  const { cpu } = thread;
  const state = findPiState(cpu, bucket, word) || attachPiState(thread, bucket, word);
  if (state === 0) return 'no-state';
  if (cpu.cmpxchg(word, value, value | FUTEX_WAITERS) !== value) return 0;
  if (cpu.read(state + PiState.refs) === 0) cpu.store(state + PiState.rt + RtWords.owner, value & FUTEX_TID_MASK);
  getPiState(cpu, bucket, state, task);
  return state;
}

function* sleep(futexes: Futexes, bucket: number, word: number, state: number, waiter: Waiter): SlowPath<PiOutcome> {
  const { thread } = futexes;
  const { cpu } = thread;
  const { task } = waiter;
  const outcome = yield* lockSlow(state, waiter, []);
  yield* latchedBucket(waiter, bucket);
  putPiState(cpu, bucket, state, task);
  const isMine = outcome === 'acquired' || outcome === 'owner-died';
  if (isMine) own(cpu, word, state, task);
  if (cpu.read(state + PiState.refs) === 0) clearPiOwner(cpu, state);
  unlatchBucket(thread, bucket);
  if (isMine) return 'acquired';
  return outcome === 'timed-out' || outcome === 'aborted' ? outcome : 'deadlock';
}

/** `fixup_pi_owner`: who has the rt-mutex has the word. Under the latch. */
function own(cpu: Cpu, word: number, state: number, task: number): void {
  const died = cpu.load(state + PiState.rt + RtWords.owner) & OWNER_DIED ? FUTEX_OWNER_DIED : 0;
  makeConsistent(cpu, state);
  const waits = cpu.read(state + PiState.refs) > 0 ? FUTEX_WAITERS : 0;
  for (let value = cpu.load(word); ; ) {
    // x -> task|WAITERS|DIED, as it applies. The rt-mutex is this task's already, so nobody else changes the owner.
    const seen = cpu.cmpxchgAcquire(word, value, task | waits | died | (value & FUTEX_OWNER_DIED));
    if (seen === value) return;
    value = seen;
  }
}

/** UNLOCK_PI, for the owner `task`. 'mismatch' when others wait some other way. */
export function unlockPi({ thread, table }: Futexes, word: number, task: number): 'unlocked' | 'mismatch' {
  const { cpu } = thread;
  const bucket = bucketOf(table, word);
  const wakes = wakeQueue();
  latchBucket(thread, bucket);
  const state = findPiState(cpu, bucket, word);
  const isRight =
    nextFor(cpu, bucket, word, 0) === 0 &&
    (state === 0 || ownerOf(cpu.load(state + PiState.rt + RtWords.owner)) === task);
  if (isRight) {
    // tid|WAITERS -> WAITERS, or 0 when nobody waits. Release: pairs with the acquire in tryAtomic, and in the program's lock.
    cpu.xchgRelease(word, state === 0 ? 0 : FUTEX_WAITERS);
    if (state !== 0) unlockDeferred(thread, state, wakes);
  }
  unlatchBucket(thread, bucket);
  wakeQueued(thread, wakes);
  return isRight ? 'unlocked' : 'mismatch';
}

/**
 * CMP_REQUEUE_PI: lets one, and at most `moves` others, of those who wait for `word` by WAIT_REQUEUE_PI wait for `to`
 * instead, or have it. Returns how many.
 */
export function requeuePi(
  futexes: Futexes,
  word: number,
  to: number,
  moves: number,
  expected: number,
): number | 'changed' | 'mismatch' {
  const { thread, table } = futexes;
  const { cpu } = thread;
  const [source, target] = [bucketOf(table, word), bucketOf(table, to)];
  const wakes = wakeQueue();
  let count = 0;
  let isRight = true;
  latchBoth(thread, source, target);
  const isChanged = cpu.load(word) !== expected;
  let node = isChanged ? 0 : nextFor(cpu, source, word, 0);
  for (let next: number; node !== 0 && count <= moves; node = next) {
    next = nextFor(cpu, source, word, node);
    if (isDying(cpu, cpu.load(node + Task.thread))) {
      // Illegal to give the word to the dead, or to line them up: the reaper may have been through the target bucket.
      dequeue(cpu, source, node);
      continue;
    }
    isRight = cpu.load(node + Task.result) === to;
    if (!isRight) break;
    // In neither queue for a moment: if this thread dies here, the waiter is woken, and goes to lock by itself.
    dequeue(cpu, source, node);
    if (!moveSleeper(futexes, target, to, node, wakes)) wakes.wake.push(node);
    count++;
  }
  unlatchBoth(thread, source, target);
  wakeQueued(thread, wakes);
  if (isChanged) return 'changed';
  return isRight ? count : 'mismatch';
}

/** Lets a task that sleeps wait for the word. False when it must wake up: because it has it, or to see why not. */
function moveSleeper(futexes: Futexes, bucket: number, word: number, task: number, wakes: WakeQueue): boolean {
  const { thread } = futexes;
  const { cpu } = thread;
  for (;;) {
    const value = cpu.load(word);
    if (tryAtomic(futexes, bucket, word, task) !== 'busy') return false;
    const state = attach(thread, bucket, word, value, task);
    if (state === 'no-state') return false;
    if (state === 0) continue;
    if (enqueueSleeper(thread, state, task, wakes)) return true;
    putPiState(cpu, bucket, state, task);
    if (cpu.read(state + PiState.refs) === 0) clearPiOwner(cpu, state);
    return false;
  }
}
