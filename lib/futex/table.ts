/**
 * The futex table: hash buckets, each with a latch and a list of the tasks that wait for the words that hash there. An
 * arena has one, a named object that the first thread that uses a futex makes.
 *
 *   table:   header | bucket 0 | bucket 1 | ...        one cache line a bucket
 *
 * A node in a bucket's list is a task, or stands in for one (`sched/vector.ts`). Of its words
 *
 *   list       is the bucket, 0 when the node waits for nothing or has been woken
 *   blockedOn  is the word it waits for
 *   want       is its bitset
 *   result     is PLAIN, or the word that WAIT_REQUEUE_PI is to lock then (`pi.ts`)
 *
 * A task whose `result` is PI waits in no bucket, but for the state in its `want` (`pi-state.ts`).
 *
 * A thread that takes a node out to wake it does so under the latch; unpark comes after. A waiter that finds its `list` 0
 * has been woken, whatever else has happened to it.
 *
 * Woken next: of the waiters for one word the most urgent, first come first served among equals. A synchronous
 * waiter goes in front of its own thread's asynchronous ones, which could not run as long as it sleeps. Waiters that cannot
 * run (`isStuck`) are woken as well as those that were to be: they look at the word once they can.
 *
 * Source: kernel/futex/core.c.
 */

import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { arrayOf, LINE_WORDS, struct } from '../memory/struct.ts';
import { Slot, slotAddress } from '../sched/slot.ts';
import { type Latching, latched, type SlowPath } from '../sched/slow-path.ts';
import { ASYNC, MAIN, Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { Vector } from '../sched/vector.ts';
import { firstWaiter, joinList, leaveList, moveToList, nextWaiter, WaitList } from '../sched/wait-list.ts';

/** A node's `result`. */
export const PLAIN = 0;
export const PI = -1;

/** The kernel has 256 for each CPU; one line each. */
export const BUCKET_BITS = 7;

export const Bucket = struct({
  list: WaitList,
  /** The first of the states for priority-inheriting words of this bucket. */
  piStates: 1,
  /**
   * How many nodes are in the list, or wait for a state, or are on the way here. Written under the latch, read by wakers
   * without it. Illegal to be 0 while a node is in the list, or is to be moved there: raised before a node is listed, and
   * before one that is to come is taken out of another bucket; lowered after. The reaper counts again.
   */
  waiting: 1,
  /**
   * 1 from the first time on that anybody takes the latch, so that the reaper leaves out the others: most. Illegal to be 0
   * while a thread has the latch.
   */
  used: 1,
  pad: LINE_WORDS - WaitList.words - 3,
});

export const TableWords = struct({
  header: ObjectHeader,
  pad: LINE_WORDS - ObjectHeader.words,
  buckets: arrayOf(1 << BUCKET_BITS, Bucket),
});

/** One thread's view of its arena's table. */
export interface Futexes {
  readonly thread: Thread;
  /** The table's address. */
  readonly table: number;
}

/** One word of waitv, and the value it is expected to hold. */
export interface Expected {
  word: number;
  value: number;
}

/** The bucket of a word. Multiplicative hashing (Knuth), so that neighbouring words part. */
export function bucketOf(table: number, word: number): number {
  const hash = Math.imul(word, 0x9e3779b1) >>> (32 - BUCKET_BITS);
  return table + TableWords.buckets + hash * Bucket.words;
}

/**
 * Whether anybody may wait in the bucket: for a waker, which has changed the word before. Its fence pairs with the one
 * in `enqueue`: either the waker sees the waiter in the list, or the waiter sees the word changed.
 */
export function mayHaveWaiters(cpu: Cpu, bucket: number): boolean {
  cpu.mb();
  // Not the list's head: `reorder` takes a node out for a moment, and `requeue` has one that is in no list.
  return cpu.load(bucket + Bucket.waiting) !== 0;
}

/** One waiter more, or one less. Under the latch. */
export function countWaiting(cpu: Cpu, bucket: number, change: 1 | -1): void {
  cpu.store(bucket + Bucket.waiting, cpu.load(bucket + Bucket.waiting) + change);
}

export function latchBucket({ cpu, id }: Thread, bucket: number): void {
  use(cpu, bucket);
  latch(cpu, bucket + WaitList.latch, id);
}

/** `latchBucket` in a slow path. */
export function* latchedBucket(waiter: Latching, bucket: number): SlowPath<void> {
  use(waiter.thread.cpu, bucket);
  yield* latched(waiter, bucket + WaitList.latch);
}

/**
 * Before the latch. The load and the exchange pair with the fence in `repair` (open.ts): if the reaper skips this bucket, the
 * thread that latches it sees which threads are dead.
 */
function use(cpu: Cpu, bucket: number): void {
  if (cpu.loadAcquire(bucket + Bucket.used) === 0) cpu.xchg(bucket + Bucket.used, 1);
}

export function unlatchBucket({ cpu }: Thread, bucket: number): void {
  unlatch(cpu, bucket + WaitList.latch);
}

/** Latches two buckets that may be one, the lower first. `double_lock_hb`. */
export function latchBoth(thread: Thread, one: number, other: number): void {
  latchBucket(thread, Math.min(one, other));
  if (one !== other) latchBucket(thread, Math.max(one, other));
}

export function unlatchBoth(thread: Thread, one: number, other: number): void {
  unlatchBucket(thread, one);
  if (one !== other) unlatchBucket(thread, other);
}

/** Puts a node in the bucket of `word`. What the caller loads afterwards is ordered behind it. Under the latch. */
export function enqueue(cpu: Cpu, bucket: number, word: number, node: number): void {
  countWaiting(cpu, bucket, 1);
  joinList(cpu, bucket, word, node, ownAsync(cpu, bucket, word, node));
  // Pairs with the fence in mayHaveWaiters.
  cpu.mb();
}

/** Lets a node that waits in `from` wait for `word` in the bucket `to` instead. Under both latches. */
export function moveNode(cpu: Cpu, from: number, to: number, word: number, node: number): void {
  countWaiting(cpu, to, 1);
  moveToList(cpu, from, to, word, node, ownAsync(cpu, to, word, node));
  countWaiting(cpu, from, -1);
}

/** Takes a node out. Under the latch. */
export function dequeue(cpu: Cpu, bucket: number, node: number): void {
  leaveList(cpu, bucket, node);
  countWaiting(cpu, bucket, -1);
}

/** Latches the bucket that the node is in, wherever it was moved; 0 when it was woken. */
export function* latchOwnBucket(waiter: Latching, node: number): SlowPath<number> {
  const { thread } = waiter;
  const { cpu } = thread;
  for (;;) {
    // Pairs with the release of whoever takes the node out.
    const bucket = cpu.loadAcquire(node + Task.list);
    if (bucket === 0) return 0;
    yield* latchedBucket(waiter, bucket);
    if (cpu.load(node + Task.list) === bucket) return bucket;
    unlatchBucket(thread, bucket);
  }
}

/** The first node behind `node` (0: from the start) that waits for `word`, or 0. Under the latch. */
export function nextFor(cpu: Cpu, bucket: number, word: number, node: number): number {
  let next = node === 0 ? firstWaiter(cpu, bucket) : nextWaiter(cpu, bucket, node);
  while (next !== 0 && cpu.load(next + Task.blockedOn) !== word) next = nextWaiter(cpu, bucket, next);
  return next;
}

/** The task that a node wakes. */
export function sleeperOf(cpu: Cpu, node: number): number {
  return cpu.read(node + Vector.sleeper) || node;
}

/**
 * For a synchronous waiter: the first asynchronous node of its thread that waits for the word, or 0. It goes in front of
 * that, unless its own priority takes it further to the front.
 */
function ownAsync(cpu: Cpu, bucket: number, word: number, node: number): number {
  if (cpu.load(node + Task.mode) !== MAIN) return 0;
  const thread = cpu.load(node + Task.thread);
  // A thread that only blocks looks at nobody: thousands may wait for the word.
  if (cpu.load(slotAddress(cpu, thread - 1) + Slot.chunks) === 0) return 0;
  let other = nextFor(cpu, bucket, word, 0);
  while (other !== 0 && (cpu.load(other + Task.thread) !== thread || cpu.load(other + Task.mode) !== ASYNC)) {
    other = nextFor(cpu, bucket, word, other);
  }
  return other;
}
