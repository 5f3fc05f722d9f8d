/**
 * The futex operations that never sleep: WAKE, REQUEUE and WAKE_OP. Each takes waiters out of the buckets under their
 * latches, and unparks them when it has released these. A thread that is killed between the two leaves its wake-ups
 * to the reaper, which unparks everybody.
 *
 * Source: kernel/futex/waitwake.c, kernel/futex/requeue.c.
 */
import type { Cpu } from '../machine/cpu.ts';
import { isDying } from '../sched/slot.ts';
import type { SlowPath, Waiter } from '../sched/slow-path.ts';
import { Task, unparkAll } from '../sched/task.ts';
import { isStuck } from '../sched/wait-list.ts';
import { findPiState } from './pi-state.ts';
import {
  bucketOf,
  countWaiting,
  dequeue,
  type Expected,
  type Futexes,
  latchBoth,
  latchBucket,
  latchedBucket,
  mayHaveWaiters,
  moveNode,
  nextFor,
  PLAIN,
  sleeperOf,
  unlatchBoth,
  unlatchBucket,
} from './table.ts';

/** Matches every bitset. */
export const MATCH_ANY = -1;

/**
 * Wakes at most `count` of those who wait for `word` with a bit of `bitset` set in their own, and returns how many.
 * 'mismatch' for a waiter that has to be woken by UNLOCK_PI or CMP_REQUEUE_PI. Takes no latch when nobody waits. Those in
 * front that cannot run are woken besides, and count if there are not enough others.
 */
export function wake(futexes: Futexes, word: number, count: number, bitset: number): number | 'mismatch' {
  const sleepers: number[] = [];
  const able = takeWaiters(futexes, word, count, bitset, sleepers);
  unparkAll(futexes.thread.cpu, sleepers);
  return able === 'mismatch' ? able : Math.min(count, sleepers.length);
}

/**
 * `wake` for callers under another latch: appends to `sleepers` the tasks to unpark once that is free. Returns how many
 * of them can run.
 */
export function takeWaiters(
  { thread, table }: Futexes,
  word: number,
  count: number,
  bitset: number,
  sleepers: number[],
): number | 'mismatch' {
  const { cpu } = thread;
  const bucket = bucketOf(table, word);
  if (count === 0 || !mayHaveWaiters(cpu, bucket)) return 0;
  latchBucket(thread, bucket);
  const able = takeOut(cpu, bucket, word, count, bitset, sleepers);
  unlatchBucket(thread, bucket);
  return able;
}

/**
 * `wake` of each of `words` in a slow path. If the thread goes to sleep in a synchronous call before the path has come to
 * all of them, that call wakes the rest first: what it waits for may be theirs to give.
 */
export function* wakeIn(
  waiter: Waiter,
  futexes: Futexes,
  words: readonly number[],
  count: number,
  bitset: number,
): SlowPath<void> {
  const { thread, table } = futexes;
  const { cpu } = thread;
  const left = words.filter((word) => mayHaveWaiters(cpu, bucketOf(table, word)));
  const pass = () => {
    for (const word of left.splice(0)) wake(futexes, word, count, bitset);
  };
  if (waiter.async) waiter.aside = { of: waiter.task, pass };
  for (let word = left[0]; word !== undefined; word = left[0]) {
    const bucket = bucketOf(table, word);
    const sleepers: number[] = [];
    yield* latchedBucket(waiter, bucket);
    if (left.shift() !== undefined) takeOut(cpu, bucket, word, count, bitset, sleepers);
    unlatchBucket(thread, bucket);
    unparkAll(cpu, sleepers);
  }
  waiter.aside = undefined;
}

/**
 * Wakes at most `wakes` of those who wait for `from`, and lets at most `moves` of the others wait for `to` instead.
 * Returns how many were woken and moved, or 'changed' when the word of `expected` does not hold its value.
 */
export function requeue(
  { thread, table }: Futexes,
  from: number,
  wakes: number,
  to: number,
  moves: number,
  expected: Expected | undefined,
): number | 'changed' | 'mismatch' {
  const { cpu } = thread;
  const [source, target] = [bucketOf(table, from), bucketOf(table, to)];
  const sleepers: number[] = [];
  let moved = 0;
  let isPlain = true;
  latchBoth(thread, source, target);
  // The woken waiter may lock and unlock `to` before the moved ones get there: its unlock must find that somebody waits.
  countWaiting(cpu, target, 1);
  const isChanged = expected !== undefined && cpu.load(expected.word) !== expected.value;
  if (!isChanged) {
    isPlain = takeOut(cpu, source, from, wakes, MATCH_ANY, sleepers) !== 'mismatch';
    let node = nextFor(cpu, source, from, 0);
    for (let next: number; isPlain && node !== 0 && moved < moves; node = next) {
      next = nextFor(cpu, source, from, node);
      // The reaper may have been through the target bucket: a dead node that came there would stay.
      if (isDying(cpu, cpu.load(node + Task.thread))) dequeue(cpu, source, node);
      else if (cpu.load(node + Task.result) === PLAIN) {
        // A waiter that stays with its word counts too, as in the kernel; at the end of its bucket it would be met again.
        if (from !== to) moveNode(cpu, source, target, to, node);
        moved++;
      } else isPlain = false;
    }
  }
  countWaiting(cpu, target, -1);
  unlatchBoth(thread, source, target);
  unparkAll(cpu, sleepers);
  if (isChanged) return 'changed';
  return isPlain ? Math.min(wakes, sleepers.length) + moved : 'mismatch';
}

export type WakeOperator = 'set' | 'add' | 'or' | 'andn' | 'xor';
export type WakeComparison = 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge';

/** What FUTEX_WAKE_OP does to its second word, and when it wakes that word's waiters. */
export interface WakeOp {
  op: WakeOperator;
  /** -2048 to 2047; with `shift`, the operand is 1 << (arg & 31). */
  arg: number;
  shift?: boolean;
  /** Compares the word's old value with `cmpArg`. */
  cmp: WakeComparison;
  /** -2048 to 2047. */
  cmpArg: number;
}

export const OPERATORS: Readonly<Record<WakeOperator, (cpu: Cpu, word: number, arg: number) => number>> = {
  set: (cpu, word, arg) => cpu.xchg(word, arg),
  add: (cpu, word, arg) => cpu.fetchAdd(word, arg),
  or: (cpu, word, arg) => cpu.fetchOr(word, arg),
  andn: (cpu, word, arg) => cpu.fetchAnd(word, ~arg),
  xor: (cpu, word, arg) => {
    for (let old = cpu.load(word); ; ) {
      const seen = cpu.cmpxchg(word, old, old ^ arg);
      if (seen === old) return old;
      old = seen;
    }
  },
};

export const COMPARISONS: Readonly<Record<WakeComparison, (old: number, arg: number) => boolean>> = {
  eq: (old, arg) => old === arg,
  ne: (old, arg) => old !== arg,
  lt: (old, arg) => old < arg,
  le: (old, arg) => old <= arg,
  gt: (old, arg) => old > arg,
  ge: (old, arg) => old >= arg,
};

/**
 * Changes `second`, wakes at most `wakes` waiters of `word` and, if the old value of `second` compares, at most
 * `secondWakes` of that one's: one step for everybody who waits for either.
 */
export function wakeOp(
  { thread, table }: Futexes,
  word: number,
  wakes: number,
  second: number,
  secondWakes: number,
  { op, arg, shift, cmp, cmpArg }: WakeOp,
): number | 'mismatch' {
  const { cpu } = thread;
  const [one, other] = [bucketOf(table, word), bucketOf(table, second)];
  const sleepers: number[] = [];
  latchBoth(thread, one, other);
  const old = OPERATORS[op](cpu, second, shift ? 1 << (arg & 31) : arg);
  let isPlain = takeOut(cpu, one, word, wakes, MATCH_ANY, sleepers) !== 'mismatch';
  let count = Math.min(wakes, sleepers.length);
  if (isPlain && COMPARISONS[cmp](old, cmpArg)) {
    const before = sleepers.length;
    isPlain = takeOut(cpu, other, second, secondWakes, MATCH_ANY, sleepers) !== 'mismatch';
    count += Math.min(secondWakes, sleepers.length - before);
  }
  unlatchBoth(thread, one, other);
  unparkAll(cpu, sleepers);
  return isPlain ? count : 'mismatch';
}

/**
 * Takes out at most `count` nodes that can run, and those in front that cannot, noting whom they wake. Illegal to count the
 * latter: what they are woken for would have to wait for them. Returns the number of the former; 'mismatch' when it meets
 * one that is not to be woken so.
 */
function takeOut(
  cpu: Cpu,
  bucket: number,
  word: number,
  count: number,
  bitset: number,
  sleepers: number[],
): number | 'mismatch' {
  if (findPiState(cpu, bucket, word) !== 0) return 'mismatch';
  let able = 0;
  let node = nextFor(cpu, bucket, word, 0);
  for (let next: number; able < count && node !== 0; node = next) {
    next = nextFor(cpu, bucket, word, node);
    if (cpu.load(node + Task.result) !== PLAIN) return 'mismatch';
    if (!(cpu.load(node + Task.want) & bitset)) continue;
    if (!isStuck(cpu, node)) able++;
    dequeue(cpu, bucket, node);
    sleepers.push(sleeperOf(cpu, node));
  }
  return able;
}
