/**
 * The shared memory of an RCU domain: an object of the heap with a tree of nodes and a line for each thread behind it.
 *
 *   queue | latch … | normal | expedited | nodes, leaves first, root last | lines
 *
 * A leaf stands for `LEAF_THREADS` threads, an inner node for `FAN_OUT` nodes (the kernel's 16, and 32 for its 64: a
 * word has 32 bits). The geometry is written into the object, so tests can make a domain with smaller numbers.
 */
import { WaitQueueWords } from '../locking/wait-queue-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { maxThreads } from '../sched/slot.ts';

/** The periods of one pace, one after the other; see `sequence.ts` for the first three words. */
export const Period = struct({
  high: 1,
  low: 1,
  highAgain: 1,
  /** Low word of the number with which the latest period ends that was asked for. Guarded by the domain's latch. */
  needed: 1,
  /** The record of `stall.ts`: its latch, the period that it is about, and what it says of that; ms, which wrap. */
  stallLatch: 1,
  stallOf: 1,
  stallSince: 1,
  stallDue: 1,
  stallLooked: 1,
  stallHalf: 1,
  pad: LINE_WORDS - 10,
});

export const RcuWords = struct({
  /** An object header, and the tasks that wait for the end of a period or for callbacks. */
  queue: WaitQueueWords,
  /** Guards the periods: each step of `grace-period.ts` is made under it. Taken before the nodes' latches. */
  latch: 1,
  /** Threads with a lower CPU number may have been readers. Only grows. */
  threads: 1,
  leafThreads: 1,
  fanOut: 1,
  /** After how many ms a period that does not end is reported; 0 for never. */
  stallTimeout: 1,
  /** Address of the object in which debug mode notes where readers went in, or 0. */
  stacks: 1,
  /** Whether a thread is rung when a period waits for it: see `tasks-rcu.ts`. Set once. */
  rings: 1,
  pad: 2 * LINE_WORDS - WaitQueueWords.words - 7,
  normal: Period,
  expedited: Period,
});

export const Node = struct({
  /** Guards masks and bits, and for a leaf the `awaited` of its threads. A child's is taken before its parent's. */
  latch: 1,
  /** A bit for each child (of a leaf: thread) that the current period waits for. `qsmask`, `expmask`. */
  mask: 1,
  expeditedMask: 1,
  /** Address of the parent, 0 for the root; and the node's bit there. Set once. */
  parent: 1,
  bit: 1,
  pad: LINE_WORDS - 5,
});

/** Reader lanes of a line; see `reader.ts`. */
export const LANES = 3;

export const Line = struct({
  /** OUTSIDE, INSIDE or AWAITED, for each lane. */
  lanes: LANES,
  /** A bit for each lane that the current period waits for: for each pace from its `shift` on. Guarded by the leaf's latch. */
  awaited: 1,
  /** Callbacks that the thread has queued, and those that are over: two counts that wrap. Written by the thread. */
  queued: 1,
  done: 1,
  /** The same for what the thread has given to `kfree`. */
  kfreed: 1,
  reclaimed: 1,
  /** CPU time that the thread had used when a period that waits for it had lasted for half a stall timeout, ms; by pace. */
  usedAtHalf: 2,
  pad: LINE_WORDS - LANES - 7,
});

/** Normal and expedited periods: one algorithm, each with words of its own. */
export interface Pace {
  readonly period: number;
  readonly mask: number;
  /** Of the lane bits in `Line.awaited`. */
  readonly shift: number;
  readonly usedAtHalf: number;
}
export const NORMAL: Pace = { period: RcuWords.normal, mask: Node.mask, shift: 0, usedAtHalf: Line.usedAtHalf };
export const EXPEDITED: Pace = {
  period: RcuWords.expedited,
  mask: Node.expeditedMask,
  shift: 8,
  usedAtHalf: Line.usedAtHalf + 1,
};
export const PACES: readonly Pace[] = [NORMAL, EXPEDITED];

export interface Geometry {
  readonly leafThreads: number;
  readonly fanOut: number;
}
export const GEOMETRY: Geometry = { leafThreads: 16, fanOut: 32 };

/**
 * The first period's number: three hundred before the low word wraps, so that a program that runs for a second has seen
 * it wrap. The kernel's RCU_SEQ starts there as well.
 */
const FIRST = -300 * 4;

/** The kernel's CONFIG_RCU_CPU_STALL_TIMEOUT, ms. */
export const STALL_TIMEOUT = 21_000;

/** How many nodes each level has, leaves first. */
export function levelsOf(slots: number, { leafThreads, fanOut }: Geometry): number[] {
  const levels = [Math.ceil(slots / leafThreads)];
  for (let count = levels[0] as number; count > 1; levels.push(count)) count = Math.ceil(count / fanOut);
  return levels;
}

function nodesIn(levels: readonly number[]): number {
  return levels.reduce((sum, count) => sum + count, 0);
}

/** Words behind a domain's own: its nodes and lines. */
export function trailingWords(cpu: Cpu, geometry: Geometry): number {
  const slots = maxThreads(cpu);
  return nodesIn(levelsOf(slots, geometry)) * Node.words + slots * Line.words;
}

/** Writes the first state: memory that is all zero and that no other thread can reach yet. */
export function formatDomain(cpu: Cpu, rcu: number, geometry: Geometry, rings: boolean): void {
  cpu.write(rcu + RcuWords.rings, rings ? 1 : 0);
  cpu.write(rcu + RcuWords.leafThreads, geometry.leafThreads);
  cpu.write(rcu + RcuWords.fanOut, geometry.fanOut);
  cpu.write(rcu + RcuWords.stallTimeout, STALL_TIMEOUT);
  for (const { period } of PACES) {
    cpu.write(rcu + period + Period.low, FIRST);
    cpu.write(rcu + period + Period.needed, FIRST);
  }
  const levels = levelsOf(maxThreads(cpu), geometry);
  let first = rcu + RcuWords.words;
  for (const count of levels.slice(0, -1)) {
    const above = first + count * Node.words;
    for (let i = 0; i < count; i++) {
      cpu.write(first + i * Node.words + Node.parent, above + Math.floor(i / geometry.fanOut) * Node.words);
      cpu.write(first + i * Node.words + Node.bit, 1 << (i % geometry.fanOut));
    }
    first = above;
  }
}

/** Where things are in one domain. All of it is set once, so each thread looks it up once. */
export interface Domain {
  readonly rcu: number;
  readonly leafThreads: number;
  readonly leaves: number;
  readonly root: number;
  readonly lines: number;
  readonly rings: boolean;
}

export function domainAt(cpu: Cpu, rcu: number): Domain {
  const leafThreads = cpu.read(rcu + RcuWords.leafThreads);
  const levels = levelsOf(maxThreads(cpu), { leafThreads, fanOut: cpu.read(rcu + RcuWords.fanOut) });
  const lines = rcu + RcuWords.words + nodesIn(levels) * Node.words;
  const rings = cpu.read(rcu + RcuWords.rings) !== 0;
  return { rcu, leafThreads, leaves: levels[0] as number, root: lines - Node.words, lines, rings };
}

export function leafAt({ rcu }: Domain, index: number): number {
  return rcu + RcuWords.words + index * Node.words;
}

/** All nodes, each before its parent. */
export function nodesOf({ rcu, root }: Domain): number[] {
  const nodes: number[] = [];
  for (let node = rcu + RcuWords.words; node <= root; node += Node.words) nodes.push(node);
  return nodes;
}

/** Threads with a lower CPU number may have been readers, so their lines are to be looked at. */
export function threadsOf(cpu: Cpu, rcu: number): number {
  return Math.min(cpu.load(rcu + RcuWords.threads), maxThreads(cpu));
}

export function lineOf({ lines }: Domain, number: number): number {
  return lines + number * Line.words;
}
