/**
 * What a run shares between the director and its threads, beside the lock: one block of the arena. A seat is a thread's
 * place in the run; when a worker is killed, the next one, the seat's next incarnation, takes over its words.
 */
import { LINE_WORDS, struct } from '../memory/struct.ts';

/** What the lock under test protects. */
export const RECORD_WORDS = 8;

/** What the lock is to protect, and how many threads will use it. */
export interface Scene {
  readonly address: number;
  readonly words: number;
  readonly threads: number;
}

export const Stage = struct({
  /** 1: finish what you are doing, and return. */
  stop: 1,
  violations: 1,
  pad: LINE_WORDS - 2,
  /** The thread that is inside: a tag of `section.ts`, or 0. From here on plain data, protected by the lock under test. */
  inside: 1,
  /** Sections completed. */
  counter: 1,
  /** The record's version, and the version being written. */
  version: 1,
  next: 1,
  /** Word `i` of version `v` is `recordWord(v, i)`. */
  record: RECORD_WORDS,
  padding: LINE_WORDS - 4 - RECORD_WORDS + LINE_WORDS,
});

export const Actor = struct({ phase: 1, turn: 1 });
/** Acquirers of one thread: one synchronous, the others asynchronous. */
export const ACTORS = 3;

export const Seat = struct({
  /** n: the n-th worker has the seat. -n: that worker is to die, or has died. Written by the director. */
  incarnation: 1,
  /** A Doom. Written by the director. */
  doom: 1,
  /** With the doom AIMED: where the worker is to die (`aim.ts`). Written by the director; the worker makes it 0 when it is there. */
  aim: 1,
  /** Sections completed, protected by the lock under test like `counter`, which is the sum of all seats'. */
  writes: 1,
  /** From here on, each word has one writer, the thread, and says how often something happened. */
  reads: 1,
  contended: 1,
  busy: 1,
  timeouts: 1,
  aborts: 1,
  deadlocks: 1,
  parks: 1,
  handoffs: 1,
  recoveries: 1,
  /** A hash of the first decisions of the seat's first synchronous acquirer; 0 before it has made that many. */
  decisions: 1,
  actors: ACTORS * Actor.words,
  pad: 2 * LINE_WORDS - 14 - ACTORS * Actor.words,
});

export const IDLE = 0;
export const WAITING = 1;
export const HOLDING = 2;
export const DONE = 3;
/** The worker is still starting. */
export const ABSENT = 4;

/**
 * What a seat's worker does when it is next inside the lock: nothing, wait there to be terminated, or exit; AIMED: it stops before an
 * operation, wherever that is.
 */
export const SPARED = 0;
export const LINGER = 1;
export const EXIT = 2;
export const AIMED = 3;

export function seatAddress(stage: number, seat: number): number {
  return stage + Stage.words + seat * Seat.words;
}

export function actorAddress(stage: number, seat: number, actor: number): number {
  return seatAddress(stage, seat) + Seat.actors + actor * Actor.words;
}

export function stageWords(seats: number): number {
  return Stage.words + seats * Seat.words;
}

/** What the lock under test protects: all from `inside` on, the seats' counts among it. The last seat is the director's. */
export function sceneOf(stage: number, seats: number): Scene {
  return { address: stage + Stage.inside, words: stageWords(seats) - Stage.inside, threads: seats - 1 };
}

export function recordWord(version: number, index: number): number {
  return Math.imul(version ^ (index * 0x9e3779b1), 0x85ebca6b);
}
