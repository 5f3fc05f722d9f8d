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
import type { Heap } from '../memory/heap.ts';
import { runLatching, type SlowPath, type Waiter } from '../sched/slow-path.ts';
import { finishPark, prepareToPark, Task } from '../sched/task.ts';
import type { Aside } from '../sched/thread.ts';
import { reserveNodes } from '../sched/vector.ts';
import { isStuck } from '../sched/wait-list.ts';
import {
  bucketOf,
  dequeue,
  type Expected,
  enqueue,
  type Futexes,
  latchedBucket,
  latchOwnBucket,
  nextFor,
  PLAIN,
  unlatchBucket,
} from './table.ts';
import { wake } from './wake.ts';

/** 'changed': the word holds another value than the one expected. */
export type WaitResult = 'woken' | 'changed' | 'timed-out' | 'aborted';

export interface Manner {
  /** What the node's `result` is to say. Default PLAIN. */
  readonly purpose?: number;
  /** As in `asideOf`. */
  readonly passOn?: () => void;
}

/** Sleeps while `word` holds `value`, until woken by somebody whose bitset has a bit of `bitset` set. */
export function* wait(
  futexes: Futexes,
  word: number,
  value: number,
  bitset: number,
  waiter: Waiter,
  { purpose = PLAIN, passOn }: Manner = {},
): SlowPath<WaitResult> {
  const { thread, table } = futexes;
  const { cpu } = thread;
  const { task } = waiter;
  if (cpu.load(word) !== value) return 'changed';
  if (waiter.aborted) return 'aborted';
  cpu.store(task + Task.want, bitset);
  cpu.store(task + Task.result, purpose);
  let bucket = bucketOf(table, word);
  yield* latchedBucket(waiter, bucket);
  enqueue(cpu, bucket, word, task);
  // Not before: a task that is in no list counts as woken.
  if (waiter.async && purpose === PLAIN) waiter.aside = asideOf(waiter, futexes, [task], passOn);
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
    bucket = yield* latchOwnBucket(waiter, task);
    if (bucket === 0) return 'woken';
  }
}

/**
 * What an asynchronous wait by `nodes`, which have lined up, does when it cannot run: for each that was woken already,
 * `passOn` wakes others for what it would have seen to; one that waits for the same word, if not said otherwise. Once for
 * each: until it runs, and waits again, it has no other wake-up.
 */
function asideOf(waiter: Waiter, futexes: Futexes, nodes: readonly number[], passOn?: () => void): Aside {
  const { thread } = futexes;
  const { cpu } = thread;
  const wakeAnother = (node: number) => void wake(futexes, cpu.load(node + Task.within), 1, cpu.load(node + Task.want));
  const passed = new Set<number>();
  // Under the latch: whoever takes the node out later finds that it cannot run.
  const isTakenOut = (node: number) => {
    const bucket = runLatching(thread, (caller) => latchOwnBucket(caller, node));
    if (bucket !== 0) unlatchBucket(thread, bucket);
    return bucket === 0;
  };
  const pass = () => {
    for (const node of nodes) {
      if (passed.has(node) || !isTakenOut(node)) continue;
      passed.add(node);
      if (passOn === undefined) wakeAnother(node);
      else passOn();
    }
  };
  return { of: waiter.task, pass };
}

/**
 * Sleeps while every word holds its value, until one of them is woken; returns that one's index. Of several that were
 * woken, the last. 'exhausted' when there is no memory for a node for each word.
 */
export function* waitAll(
  futexes: Futexes,
  heap: Heap,
  words: readonly Expected[],
  waiter: Waiter,
): SlowPath<number | WaitResult | 'exhausted'> {
  const nodes = yield* reserveNodes(waiter, heap, words.length);
  if (nodes.length < words.length) return 'exhausted';
  const { thread, table } = futexes;
  const { cpu } = thread;
  const { task } = waiter;
  prepareToPark(cpu, task);
  const queued: number[] = [];
  if (waiter.async) waiter.aside = asideOf(waiter, futexes, queued);
  let result: WaitResult | undefined;
  for (const [i, { word, value }] of words.entries()) {
    const node = nodes[i] as number;
    const bucket = bucketOf(table, word);
    cpu.store(node + Task.want, -1);
    cpu.store(node + Task.result, PLAIN);
    yield* latchedBucket(waiter, bucket);
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
    const bucket = yield* latchOwnBucket(waiter, node);
    if (bucket === 0 || (result === undefined && woken < 0 && isMoved(node, i))) woken = i;
    if (bucket !== 0) {
      dequeue(cpu, bucket, node);
      unlatchBucket(thread, bucket);
    }
  }
  // Without a result, a node was out of its list, or had been moved.
  return woken >= 0 ? woken : (result as WaitResult);
}

/** Whether a task that can run sleeps for `word` with a bit of `bitset` set. */
export function* isSleptFor(
  waiter: Waiter,
  { thread, table }: Futexes,
  word: number,
  bitset: number,
): SlowPath<boolean> {
  const { cpu } = thread;
  const bucket = bucketOf(table, word);
  yield* latchedBucket(waiter, bucket);
  let node = nextFor(cpu, bucket, word, 0);
  while (node !== 0 && (!(cpu.load(node + Task.want) & bitset) || isStuck(cpu, node))) {
    node = nextFor(cpu, bucket, word, node);
  }
  unlatchBucket(thread, bucket);
  return node !== 0;
}
