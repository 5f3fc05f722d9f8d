/**
 * Replay: how plain synchronous code runs as a thread that can stop at any operation. Code cannot be suspended in the middle
 * of a function, so its thread is unwound by throwing UNWIND, and run again from its start each time it continues:
 * operations that are in its record get their recorded results, and the first that is not in it is new. That is right
 * because threads are deterministic given what memory returned; an operation that differs from the recorded one is
 * reported.
 *
 * Each machine keeps the record in the form that it needs. In the explored machine it is the graph of the execution, which a
 * search also cuts back; in the timed one it is a list that lasts for one step of the thread.
 */
import { OPERATIONS, opName } from './operations.ts';

/** Thrown to unwind a thread. An operation that an unwinding `finally` makes throws it again. */
export const UNWIND = Symbol('unwind');

/** A thread whose operation number `at` was another one when it first ran. */
export function divergence(thread: number, at: number, was: string, now: string): string {
  return `thread ${thread} is not deterministic: its operation ${at} was ${was}, and on replay, with the same values from memory, ${now}`;
}

/** An operation and its word as one number, for a record that keeps numbers. */
export function keyOf(op: number, address: number): number {
  return address * OPERATIONS + op;
}

/** As a report names it. */
export function describeKey(key: number): string {
  return `${opName(key % OPERATIONS)} of word ${Math.floor(key / OPERATIONS)}`;
}
