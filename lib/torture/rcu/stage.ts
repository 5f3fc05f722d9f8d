/**
 * What the threads of an RCU torture share, beside the domain: one block of the arena.
 *
 *   Stage | seats, one for each thread | elements
 *
 * A seat outlives its thread: when that is killed, or leaves, the next one takes it over. Elements are the writer's: it alone
 * writes to them, so what a dead writer has left is found in their words.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { LINE_WORDS, struct } from '../../memory/struct.ts';

/** How many grace periods an element is watched for after its removal: RCU_TORTURE_PIPE_LEN. */
export const PIPE_LENGTH = 10;
export const BUCKETS = PIPE_LENGTH + 1;
const ELEMENTS = 10 * PIPE_LENGTH;

export const Stage = struct({
  /** 1: all come to an end. */
  stop: 1,
  /** 1: readers and writers pause, until it is 0 again. */
  stutter: 1,
  /** Address of the element that readers find. */
  current: 1,
  /** Counts publications. */
  version: 1,
  /** Of the barrier tests: counts them; callbacks that were queued for the present one; and those of them that have run. */
  barriers: 1,
  posted: 1,
  invoked: 1,
  pad: LINE_WORDS - 7,
});

/** Each word has one writer, the seat's thread, but for `doom`. */
export const Seat = struct({
  /** Counts rounds of the thread. */
  turns: 1,
  /** 1: the thread leaves the arena, and another takes the seat. */
  doom: 1,
  /** A reader's: in how many reads an element had gone through so many periods since its removal. More than 1 is an error. */
  pipe: BUCKETS,
  /** A reader's: how many periods, begun before it or after, went by during a read. More than 1 is an error. */
  batch: BUCKETS,
  /** A reader's: elements that were free, or not written yet. */
  torn: 1,
  /** The writer's: elements taken, none to be had, given back; and how often one went on from which bucket. */
  taken: 1,
  missing: 1,
  given: 1,
  circulation: BUCKETS,
  /** The barrier thread's: tests in which a callback had not run. */
  failed: 1,
  /** The flooding thread's: floods. */
  floods: 1,
  pad: 3 * LINE_WORDS - 8 - 3 * BUCKETS,
});

export const Element = struct({
  /** Periods since its removal; 0 while readers may find it, 1 when they just could. */
  pipe: 1,
  isFree: 1,
  /** 1 from before its publication until it is free. */
  isWritten: 1,
  pad: LINE_WORDS - 3,
});

export function stageWords(seats: number): number {
  return Stage.words + seats * Seat.words + ELEMENTS * Element.words;
}

export function seatAddress(stage: number, seat: number): number {
  return stage + Stage.words + seat * Seat.words;
}

export function elementsOf(stage: number, seats: number): number[] {
  const first = seatAddress(stage, seats);
  return Array.from({ length: ELEMENTS }, (_, i) => first + i * Element.words);
}

/** Writes the first state. The first element is published already. */
export function formatRcuStage(cpu: Cpu, stage: number, seats: number): void {
  for (let word = 0; word < stageWords(seats); word++) cpu.write(stage + word, 0);
  const [first = 0, ...others] = elementsOf(stage, seats);
  cpu.write(first + Element.isWritten, 1);
  for (const element of others) cpu.write(element + Element.isFree, 1);
  cpu.storeRelease(stage + Stage.current, first);
}

/** The seat's word `word`, which the calling thread alone writes, is `by` more. */
export function count(cpu: Cpu, seat: number, word: number, by = 1): void {
  cpu.store(seat + word, (cpu.load(seat + word) + by) | 0);
}
