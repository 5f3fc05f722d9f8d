/**
 * The futex operations that sleep: WAIT, WAIT_BITSET and waitv.
 *
 *   latch -> in the list -> SLEEPING -> value as expected? -> unlatch -> [ sleep -> woken? changed? late? ]*
 *
 * The value check and the enqueue are one step for everybody who takes the latch. A task that was not woken and whose
 * word still holds the value sleeps on where it is in the list; if the word has changed, it does not: so a waker that
 * is killed between its store and its wake leaves nobody asleep, because the reaper unparks everybody once. One that was
 * moved to another word does not know what that should hold, and returns. One that is late or aborted says so, whatever
 * its word holds: nobody has woken it.
 *
 * Source: kernel/futex/waitwake.c.
 */
import type { SlowPath, Waiter } from '../sched/drive.ts';
import { finishPark, prepareToPark, Task } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import { bucketOf, dequeue, enqueue, type Futexes, latchBucket, PLAIN, unlatchBucket } from './table.ts';

/** 'changed': the word holds another value than the one expected. */
export type WaitResult = 'woken' | 'changed' | 'timed-out' | 'aborted';

/**
 * Sleeps while `word` holds `value`, until woken by somebody whose bitset has a bit of `bitset` set. `purpose`: PLAIN, or
 * what else the node's `result` is to say.
 */
export function* wait(
  { thread, table }: Futexes,
  word: number,
  value: number,
  bitset: number,
  waiter: Waiter,
  purpose = PLAIN,
): SlowPath<WaitResult> {
  const { cpu } = thread;
  const { task } = waiter;
  if (cpu.load(word) !== value) return 'changed';
  if (waiter.aborted) return 'aborted';
  cpu.store(task + Task.want, bitset);
  cpu.store(task + Task.result, purpose);
  let bucket = bucketOf(table, word);
  latchBucket(thread, bucket);
  enqueue(cpu, bucket, word, task);
  let reason = 'woken';
  let isFirstLook = true;
  for (;;) {
    prepareToPark(cpu, task);
    let result: WaitResult | undefined;
    if (isFirstLook && cpu.load(word) !== value) result = 'changed';
    else if (waiter.aborted) result = 'aborted';
    else if (!isFirstLook && reason === 'timed-out') result = 'timed-out';
    // What its new word should hold is not known to a moved waiter. It was unparked where it is: somebody has died.
    else if (cpu.load(task + Task.blockedOn) !== word) result = 'woken';
    else if (cpu.load(word) !== value) result = 'changed';
    if (result !== undefined) {
      finishPark(cpu, task);
      dequeue(cpu, bucket, task);
      unlatchBucket(thread, bucket);
      return result;
    }
    unlatchBucket(thread, bucket);
    isFirstLook = false;
    reason = yield;
    bucket = latchOwnBucket(thread, task);
    if (bucket === 0) return 'woken';
  }
}

/** Latches the bucket that the node is in, wherever it was moved; 0 when it was woken. */
export function latchOwnBucket(thread: Thread, node: number): number {
  const { cpu } = thread;
  for (;;) {
    // Pairs with the release of whoever takes the node out.
    const bucket = cpu.loadAcquire(node + Task.list);
    if (bucket === 0) return 0;
    latchBucket(thread, bucket);
    if (cpu.load(node + Task.list) === bucket) return bucket;
    unlatchBucket(thread, bucket);
  }
}

/** One word of waitv, and the value it is expected to hold. */
export interface Expected {
  word: number;
  value: number;
}

/**
 * Sleeps while every word holds its value, until one of them is woken; returns that one's index. Of several that were
 * woken, the last. `nodes`: one for each word, of the waiter's task; 'exhausted' when there are fewer.
 */
export function* waitAll(
  { thread, table }: Futexes,
  words: readonly Expected[],
  nodes: readonly number[],
  waiter: Waiter,
): SlowPath<number | WaitResult | 'exhausted'> {
  if (nodes.length < words.length) return 'exhausted';
  const { cpu } = thread;
  const { task } = waiter;
  prepareToPark(cpu, task);
  const queued: number[] = [];
  let result: WaitResult | undefined;
  for (const [i, { word, value }] of words.entries()) {
    const node = nodes[i] as number;
    const bucket = bucketOf(table, word);
    cpu.store(node + Task.want, -1);
    cpu.store(node + Task.result, PLAIN);
    latchBucket(thread, bucket);
    enqueue(cpu, bucket, word, node);
    const isChanged = cpu.load(word) !== value;
    if (isChanged) dequeue(cpu, bucket, node);
    unlatchBucket(thread, bucket);
    if (isChanged) {
      result = 'changed';
      break;
    }
    queued.push(node);
  }
  const isMoved = (node: number, i: number) => cpu.load(node + Task.blockedOn) !== words[i]?.word;
  let hasSlept = false;
  for (let reason = 'woken'; result === undefined; hasSlept = true) {
    if (queued.some((node) => cpu.load(node + Task.list) === 0)) break;
    // As in `wait`.
    if (waiter.aborted) result = 'aborted';
    else if (hasSlept && reason === 'timed-out') result = 'timed-out';
    else if (hasSlept && queued.some(isMoved)) break;
    else if (words.some(({ word, value }) => cpu.load(word) !== value)) result = 'changed';
    else {
      reason = yield;
      prepareToPark(cpu, task);
    }
  }
  finishPark(cpu, task);
  let woken = -1;
  for (const [i, node] of queued.entries()) {
    const bucket = latchOwnBucket(thread, node);
    if (bucket === 0 || (result === undefined && woken < 0 && isMoved(node, i))) woken = i;
    if (bucket !== 0) {
      dequeue(cpu, bucket, node);
      unlatchBucket(thread, bucket);
    }
  }
  // Without a result, a node was out of its list, or had been moved.
  return woken >= 0 ? woken : (result as WaitResult);
}
