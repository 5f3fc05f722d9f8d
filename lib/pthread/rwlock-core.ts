/**
 * The pthread read-write lock: a latch over a few words, and one futex, the gate, that all waiters sleep on.
 *
 *   writer   the task that holds it for writing, or 0
 *   state    READ, WRITE: tasks that want that may sleep on the gate, with that bitset. Legal to be set though none does;
 *            illegal to be clear while one does: a release would wake nobody. Set and cleared under the latch
 *            OWNER_DIED: a writer died inside. Set by the reaper, cleared by makeConsistent
 *            WRITTEN: there is a writer
 *            READER: one for each that holds it for reading: the sum of the readers' own records (`sched/holds.ts`)
 *            Its changes are atomic while somebody writes, who may call makeConsistent at any time; else the latch guards it
 *   gate     counts the times the lock came free, or who may have it changed
 *
 *   take     latch; free for me? else note that I wait, and the gate; unlatch; FUTEX_WAIT_BITSET(gate)
 *   release  latch; if it is free now: gate + 1, take those whose turn it is from the gate; unlatch; wake them
 *
 *   take   tries under the latch ------------- free for it -----------------------------> has the lock
 *            | busy: its flag is set, the gate known                                         ^
 *            v                                                                               |
 *          asleep at the gate --- a release opens it: gate + 1, woken: tries again ----------+
 *            | timeout, abort                          (the gate has moved meanwhile: does not sleep at all)
 *            v
 *          gone; a writer opens the gate for the readers that only it kept out
 *
 * The unlatch is a release's last access to the lock, which its next owner may destroy. So the latch of the gate's futex
 * bucket is taken inside the lock's own, and nobody who holds a bucket's latch takes a lock's.
 *
 * A writer that is preferred keeps readers out by WRITE, except those whose thread's task reads already, for
 * they would never let the writer in. When a release finds no writer to wake, it takes the flag back.
 *
 * Nor does it keep out a synchronous reader whose thread has asynchronous tasks that read this lock or wait at its gate:
 * one of these may be that writer, or the reader that it waits for, and cannot go on while the thread sleeps. Such a reader
 * sleeps as writers do, so that it gets the wake-ups that its thread's own writers would have got: it stands in front of
 * them. A writer that cannot run (`isStuck`) keeps no reader out of a lock that is free.
 *
 * Death: readers are counted again from the records of the living, a dead writer's word is cleared, everybody looks again.
 */
import type { Futexes } from '../futex/table.ts';
import { isSleptFor, wait } from '../futex/wait.ts';
import { MATCH_ANY, takeWaiters, wakeIn } from '../futex/wake.ts';
import type { Cpu } from '../machine/cpu.ts';
import { latch, latchOwner, tryLatch, unlatch } from '../memory/latch.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { claimHold, findHold, HELD, Hold, heldBy, holdsOf } from '../sched/holds.ts';
import { asyncTasks, maxThreads } from '../sched/slot.ts';
import { type Concluded, latched, type Outcome, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { ASYNC, Task, unparkAll } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';

// Constants of this file alone, functions among them, for the fast paths: V8 has them in the code, whereas it loads and checks those that
// are imported, at each use.
const HOLD_LOCK = Hold.lock;
const HOLD_COUNT = Hold.count;
const ONE = HELD;

export const RwlockWords = struct({
  header: ObjectHeader,
  latch: 1,
  gate: 1,
  writer: 1,
  state: 1,
});

/** What is wanted; also the bitset that one sleeps with, and the flag that says so. */
export const READ = 1;
export const WRITE = 2;
export const OWNER_DIED = 4;
const WRITTEN = 8;
const READER = 16;
const READER_SHIFT = 4;

const LATCH = RwlockWords.latch;
const takeLatch = tryLatch;
const freeLatch = unlatch;
const isThere = isPresent;
const STATE = RwlockWords.state;
const KEEPS_OUT = WRITTEN | WRITE;
const SLEEPERS = READ | WRITE;

/** Whether anybody holds the lock. */
const isHeldIn = (state: number) => state >= WRITTEN;
export const readersIn = (state: number) => state >> READER_SHIFT;

const isFree = (value: number) => value === 0;
/** Loads that `isBusy` waits for the latch: longer than anybody holds it who is not preempted. */
const LATCH_SPINS = 1000;

export type Preference = 'readers' | 'writers';
/** Whether somebody holds the lock, or is in the middle of a call: one that releases it is, until it has unlatched it. */
export function isBusy(cpu: Cpu, lock: number): boolean {
  cpu.condLoad(lock + RwlockWords.latch, isFree, 0, LATCH_SPINS);
  // First: one that has it now may take the lock, and one that gets it later finds that the lock is to go (`tryAndUnlatch`).
  // A read-modify-write, because a load may be too early to see the one that has it now.
  if (cpu.fetchAdd(lock + RwlockWords.latch, 0) !== 0) return true;
  if (isHeldIn(cpu.load(lock + RwlockWords.state))) return true;
  return latchOwner(cpu, lock + RwlockWords.latch) !== 0;
}

/**
 * One attempt for `task`. 'deadlock': what is in the way is this thread's own. With `waiter`, one that fails leaves
 * word that somebody waits, in the same step, unless waiting would never end.
 */
export function tryTake(
  { thread }: Futexes,
  lock: number,
  task: number,
  want: number,
  preference: Preference,
  waiter?: Waiter,
): Concluded | 'busy' {
  latch(thread.cpu, lock + RwlockWords.latch, thread.id);
  return tryAndUnlatch(thread, lock, task, want, preference, waiter);
}

/** The latch is held, and free afterwards. */
function tryAndUnlatch(
  thread: Thread,
  lock: number,
  task: number,
  want: number,
  preference: Preference,
  waiter?: Waiter,
): Concluded | 'busy' {
  const { cpu, id } = thread;
  let outcome: Concluded | 'busy' = 'busy';
  // Under the latch: whoever destroys the lock waits for that to come free, so this finds it destroyed or that finds it taken.
  if (isPresent(cpu, lock)) {
    outcome = want === READ ? tryRead(thread, lock, task, preference) : tryWrite(cpu, lock, task);
  }
  if (outcome === 'busy') {
    const isEndless = waiter === undefined || waiter.deadline === Number.POSITIVE_INFINITY;
    const isSync = cpu.load(task + Task.mode) !== ASYNC;
    if (isEndless && isSync && isInOwnWay(cpu, lock, id, want)) outcome = 'deadlock';
    else if (waiter !== undefined) cpu.fetchOrRelaxed(lock + RwlockWords.state, sleepsAs(thread, lock, task, want));
  }
  unlatch(cpu, lock + RwlockWords.latch);
  return outcome;
}

/** The bits that `task` sets in the flags and sleeps with. The same as long as it waits: its thread's others cannot run. */
function sleepsAs(thread: Thread, lock: number, task: number, want: number): number {
  return thread.cpu.load(task + Task.mode) !== ASYNC && isHereAsync(thread, lock) ? want | WRITE : want;
}

/** Whether an asynchronous task of this thread reads, or waits at the gate. */
function isHereAsync({ cpu, slot, tasksInUse }: Thread, lock: number): boolean {
  if (tasksInUse === 0) return false;
  return asyncTasks(cpu, slot).some(
    (task) => cpu.load(task + Task.within) === lock + RwlockWords.gate || heldBy(cpu, task, lock) > 0,
  );
}

function tryRead(thread: Thread, lock: number, task: number, preference: Preference): Concluded | 'busy' {
  const { cpu } = thread;
  // Claim a record. First: illegal to fail for want of one after having slept, for the wake-up would be lost.
  const record = claimHold(cpu, task, lock);
  if (record === 0) return 'exhausted';
  const state = cpu.load(lock + RwlockWords.state);
  if (state & WRITTEN) return 'busy';
  const isKeptOut = preference === 'writers' && (state & WRITE) !== 0;
  if (isKeptOut && heldBy(cpu, task, lock) === 0 && sleepsAs(thread, lock, task, READ) === READ) return 'busy';
  // n -> n + 1: the record first, from which the reaper counts anew. Pairs with the acquires of `isHeld` (sched/holds.ts).
  cpu.storeRelease(record + Hold.count, cpu.load(record + Hold.count) + HELD);
  cpu.store(lock + RwlockWords.state, state + READER);
  return 'acquired';
}

function tryWrite(cpu: Cpu, lock: number, task: number): Concluded | 'busy' {
  const state = cpu.load(lock + RwlockWords.state);
  if (isHeldIn(state)) return 'busy';
  // 0 -> task. Written under the latch only, whose release orders it. First: from it the reaper makes the state anew.
  cpu.storeUnordered(lock + RwlockWords.writer, task);
  cpu.storeUnordered(lock + RwlockWords.state, state | WRITTEN);
  return 'acquired';
}

function isInOwnWay(cpu: Cpu, lock: number, id: number, want: number): boolean {
  const writer = cpu.load(lock + RwlockWords.writer);
  if (writer !== 0) return cpu.load(writer + Task.thread) === id;
  return want === WRITE && holdsOf(cpu, maxThreads(cpu), lock, (thread) => thread === id).length > 0;
}

/** Everything beyond the first attempt. */
export function* takeSlow(
  futexes: Futexes,
  lock: number,
  waiter: Waiter,
  want: number,
  preference: Preference,
): SlowPath<Outcome> {
  const { cpu, counters } = futexes.thread;
  const bits = sleepsAs(futexes.thread, lock, waiter.task, want);
  const passOn = () => wakeIfFree(futexes, lock, preference);
  counters.contended++;
  for (;;) {
    // Note the gate. Illegal to do so after the attempt: a release in between would have moved it already, and wake nobody.
    const gate = cpu.loadAcquire(lock + RwlockWords.gate);
    yield* latched(waiter, lock + RwlockWords.latch);
    // Try, or say under the same latch that this task waits.
    const outcome = tryAndUnlatch(waiter.thread, lock, waiter.task, want, preference, waiter);
    if (outcome !== 'busy') return outcome;
    // Sleep, unless a release has come since: `wait` compares the gate under the latch of its bucket.
    const result = yield* wait(futexes, lock + RwlockWords.gate, gate, bits, waiter, { passOn });
    if (result === 'timed-out' || result === 'aborted') {
      if (bits & WRITE) yield* giveUp(waiter, futexes, lock);
      return result;
    }
  }
}

/**
 * A writer that gives up clears WRITE, which kept readers out, unless another writer that can run sleeps. A writer that is
 * about to sleep finds another gate, and sets WRITE again.
 */
function* giveUp(waiter: Waiter, futexes: Futexes, lock: number): SlowPath<void> {
  const { cpu } = futexes.thread;
  if (yield* isSleptFor(waiter, futexes, lock + RwlockWords.gate, WRITE)) return;
  yield* latched(waiter, lock + RwlockWords.latch);
  openGate(cpu, lock, ~WRITE);
  unlatch(cpu, lock + RwlockWords.latch);
  yield* wakeIn(waiter, futexes, [lock + RwlockWords.gate], Number.POSITIVE_INFINITY, MATCH_ANY);
}

/** Under the latch: a task that looked before and is about to sleep finds another gate, and looks again. `keep`: the flags that stay. */
function openGate(cpu: Cpu, lock: number, keep: number): void {
  cpu.fetchAndRelaxed(lock + RwlockWords.state, keep);
  cpu.store(lock + RwlockWords.gate, (cpu.load(lock + RwlockWords.gate) + 1) | 0);
}

/** Releases what `task` holds. False when it holds nothing. */
export function release(futexes: Futexes, lock: number, task: number, preference: Preference): boolean {
  const { cpu, id } = futexes.thread;
  latch(cpu, lock + RwlockWords.latch, id);
  const isWriter = cpu.load(lock + RwlockWords.writer) === task;
  const record = isWriter ? 0 : findHold(cpu, task, lock);
  const holds = isWriter || (record !== 0 && cpu.load(record + Hold.count) > 0);
  let state = cpu.load(lock + RwlockWords.state);
  // me -> 0, or n -> n - 1; the state second, as above. What came before reaches the next owner by the latch.
  if (isWriter) {
    cpu.storeUnordered(lock + RwlockWords.writer, 0);
    state = cpu.fetchAndRelaxed(lock + RwlockWords.state, ~WRITTEN) & ~WRITTEN;
  } else if (holds) {
    cpu.storeRelease(record + Hold.count, cpu.load(record + Hold.count) - HELD);
    state -= READER;
    cpu.storeUnordered(lock + RwlockWords.state, state);
  }
  if (holds && !isHeldIn(state) && (state & (READ | WRITE)) !== 0) unlatchToNext(futexes, lock, preference);
  else unlatch(cpu, lock + RwlockWords.latch);
  return holds;
}

/**
 * The quick way in for a reader whose record, perhaps, `record` is: nobody writes, or sleeps to. False otherwise, with nothing
 * changed. Ordinary loads do under the latch: a pair costs little more than its two latches.
 */
export function readAtOnce({ cpu, id }: Thread, lock: number, record: number): boolean {
  if (record === 0 || cpu.read(record + HOLD_LOCK) !== lock || !takeLatch(cpu, lock + LATCH, id)) return false;
  const state = cpu.loadUnordered(lock + STATE);
  // The latch first, as in `tryAndUnlatch`.
  const isOpen = (state & KEEPS_OUT) === 0 && isThere(cpu, lock);
  if (isOpen) {
    // As in `tryRead`.
    cpu.storeReleaseLight(record + HOLD_COUNT, cpu.read(record + HOLD_COUNT) + ONE);
    cpu.storeUnordered(lock + STATE, state + READER);
  }
  freeLatch(cpu, lock + LATCH);
  return isOpen;
}

/** The way out, for one that leaves nobody to wake. False otherwise, with nothing changed. */
export function leaveAtOnce({ cpu, id }: Thread, lock: number, record: number): boolean {
  if (record === 0 || cpu.read(record + HOLD_LOCK) !== lock) return false;
  const count = cpu.read(record + HOLD_COUNT);
  if (count < ONE || !takeLatch(cpu, lock + LATCH, id)) return false;
  const state = cpu.loadUnordered(lock + STATE);
  const wakesNobody = (state & SLEEPERS) === 0 || state >> READER_SHIFT > 1;
  if (wakesNobody) {
    cpu.storeReleaseLight(record + HOLD_COUNT, count - ONE);
    cpu.storeUnordered(lock + STATE, state - READER);
  }
  freeLatch(cpu, lock + LATCH);
  return wakesNobody;
}

/** A task that was woken for a free lock goes without it: others are woken, unless the lock is held. Then its holder wakes them. */
function wakeIfFree(futexes: Futexes, lock: number, preference: Preference): void {
  const { cpu, id } = futexes.thread;
  latch(cpu, lock + RwlockWords.latch, id);
  if (!isHeldIn(cpu.load(lock + RwlockWords.state))) unlatchToNext(futexes, lock, preference);
  else unlatch(cpu, lock + RwlockWords.latch);
}

/** The lock is free: wakes those whose turn it is. The unlatch is the last access to it: the next owner may destroy it. */
function unlatchToNext(futexes: Futexes, lock: number, preference: Preference): void {
  const { cpu } = futexes.thread;
  const woken = takeNext(futexes, lock, preference);
  unlatch(cpu, lock + RwlockWords.latch);
  unparkAll(cpu, woken);
}

/** The lock is free: takes those whose turn it is from the gate, for the caller to unpark. Under the latch. */
function takeNext(futexes: Futexes, lock: number, preference: Preference): number[] {
  const { cpu } = futexes.thread;
  const woken: number[] = [];
  const takesAble = (count: number, bits: number) =>
    takeWaiters(futexes, lock + RwlockWords.gate, count, bits, woken) !== 0;
  // Illegal to take a waiter before: it would find the old gate, and could sleep again.
  openGate(cpu, lock, ~READ);
  if (preference === 'readers' && takesAble(Number.POSITIVE_INFINITY, READ)) return woken;
  if (takesAble(1, WRITE)) return woken;
  // No writer can run. Those that can't, and the readers, look themselves; readers are kept out no more.
  cpu.fetchAndRelaxed(lock + RwlockWords.state, ~WRITE);
  takesAble(Number.POSITIVE_INFINITY, MATCH_ANY);
  return woken;
}

/** After deaths. */
export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, threads, isDead } = repairer;
  if (!repairer.latch(lock + RwlockWords.latch, () => {})) return false;
  const living = holdsOf(cpu, threads, lock, (id) => !isDead(id));
  const readers = living.reduce((sum, record) => sum + (cpu.load(record + Hold.count) >> 1), 0);
  // Acquire: pairs with the barrier in `TaskStore`.
  const writer = cpu.loadAcquire(lock + RwlockWords.writer);
  const writerDied = writer !== 0 && isDead(cpu.load(writer + Task.thread));
  const held = readers * READER + (writer !== 0 && !writerDied ? WRITTEN : 0) + (writerDied ? OWNER_DIED : 0);
  for (;;) {
    const state = cpu.load(lock + RwlockWords.state);
    if (cpu.cmpxchg(lock + RwlockWords.state, state, (state & (READ | WRITE | OWNER_DIED)) | held) === state) break;
  }
  // Second: while it is there, a reaper that goes on where this one has died sets OWNER_DIED.
  if (writerDied) cpu.store(lock + RwlockWords.writer, 0);
  // All waiters are unparked, find the gate moved, and say again what they wait for.
  openGate(cpu, lock, ~(READ | WRITE));
  unlatch(cpu, lock + RwlockWords.latch);
  return true;
}
