/**
 * The queue of waiters behind McsLock and SpinLock (Mellor-Crummey and Scott 1991): each waits on a word of its own
 * node, and the one in front grants it.
 *
 *   tail ---------------------------.
 *                                   v
 *   head  <- prev -  node  <- prev - node
 *         -- next ->       -- next ->
 *
 * `locked` of a node, which carries the number of the use the node is in, so that a late exchange cannot hit the next:
 *
 *   who                 from       to        what it means
 *   owner of the node   any        WAITING   before it lines up
 *   the node in front   WAITING    GRANTED   the node is the head
 *   the reaper          WAITING    EVICTED   the queue in front is broken; line up again
 *
 * Two journals for the reaper: `prev` is UNKNOWN from before the exchange on the tail until its result is stored, and 0
 * for a node that found the queue empty. `settled` is 0 while the node lines up and is not its predecessor's `next` yet,
 * and while a head tries to leave.
 *
 * What the reaper does with the queue: `spin-queue-repair.ts`.
 */

import type { Cpu } from '../machine/cpu.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { pvWait } from '../sched/schedule.ts';
import { Slot, slotAddress, slotArea, slotNumberAt } from '../sched/slot.ts';
import { finishPark, prepareToPark, SLEEPING, Task, unpark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';

/** One waiter of a queued spinning lock. */
export const SpinNode = struct({
  /** The lock whose queue the node is in or about to enter, 0 when unused. Journal: written first, cleared last. */
  lock: 1,
  /** The node in front, once it is known. */
  prev: 1,
  /** The node behind, once it has said so. */
  next: 1,
  /** Which threads are let in; see the table above. */
  locked: 1,
  /** 0 while the owner of the node is between two steps that belong together, 1 otherwise. Journal. */
  settled: 1,
  /** For a reaper's node: the era in which it lined up, plus one; 0 for a waiter's, and while a reaper works on it. */
  era: 1,
  pad: LINE_WORDS - 6,
});

/**
 * Where a thread waits for a SpinLock or an RwLock. The kernel has four nodes a CPU, one for each context that can
 * interrupt another; a JavaScript thread waits for one lock at a time.
 */
export const SpinNodes = slotArea(
  'spinQueue',
  {
    waiter: SpinNode,
    /** For the reaper, once the thread is dead, to line up behind the dead. */
    proxy: SpinNode,
  },
  { vacate: (cpu, slot) => vacateNodes(cpu, slot + SpinNodes.waiter, 2) },
);

/** A dead thread is in no queue any more. `locked` counts the node's uses, so it stays. */
export function vacateNodes(cpu: Cpu, first: number, nodes: number): void {
  for (let node = first; node < first + nodes * SpinNode.words; node += SpinNode.words) {
    cpu.store(node + SpinNode.era, 0);
    cpu.store(node + SpinNode.lock, 0);
  }
}

/** The task that waits in a node: the main task of the thread whose slot the node is in. */
export function taskOf(cpu: Cpu, node: number): number {
  return slotAddress(cpu, slotNumberAt(cpu, node)) + Slot.mainTask;
}

const WAITING = 0;
export const GRANTED = 1;
export const EVICTED = 2;
const STATE = 3;
const USE = 4;

const UNKNOWN = -1;

export const isWaiting = (grant: number) => (grant & STATE) === WAITING;
export const isGranted = (locked: number) => (locked & STATE) === GRANTED;
export const isEvicted = (grant: number) => (grant & STATE) === EVICTED;
export const isDecided = (grant: number) => (grant & STATE) !== WAITING;
export const isSome = (next: number) => next !== 0;
const differs = (next: number, from: number) => next !== from;
export const isSettled = (settled: number) => settled !== 0;

/** Makes `node` ready to line up for `lock`; the caller's exchange on the tail, a release, publishes it. */
export function prepareNode(cpu: Cpu, node: number, lock: number): void {
  cpu.store(node + SpinNode.next, 0);
  cpu.store(node + SpinNode.settled, 0);
  cpu.store(node + SpinNode.prev, UNKNOWN);
  // Pairs with the acquire in grant: who sees the new use does not see the old prev.
  cpu.storeRelease(node + SpinNode.locked, (cpu.load(node + SpinNode.locked) & ~STATE) + USE);
  // Pairs with the acquire in nodesOf: a reaper that finds the node finds it not settled.
  cpu.storeRelease(node + SpinNode.lock, lock);
}

/** Links `node` behind `prev`, which its exchange on the tail returned. */
export function linkNode(cpu: Cpu, node: number, prev: number): void {
  cpu.store(node + SpinNode.prev, prev);
  // Pairs with the acquires in `unlockQueue` and `grantNext`: a thread that finds the node finds it prepared.
  if (prev !== 0) cpu.storeRelease(prev + SpinNode.next, node);
  // Pairs with the acquires of the reaper behind `settle`: `prev` is known, and the predecessor's `next` written.
  cpu.storeRelease(node + SpinNode.settled, 1);
}

/** Waits behind another node until this one is the head. False, and the node is released, when the reaper has evicted it. */
export function waitToBeHead(thread: Thread, node: number): boolean {
  const { cpu, self } = thread;
  // The acquires pair with the release in `grant`.
  let locked = cpu.condLoadAcquire(node + SpinNode.locked, isDecided, 0, thread.spins);
  while (isWaiting(locked)) {
    prepareToPark(cpu, self);
    // SLEEPING before this load (prepareToPark, an exchange): a thread that grants, and then looks for a sleeper (`kick`), finds it.
    if (isWaiting(cpu.loadAcquire(node + SpinNode.locked))) sleep(thread);
    else finishPark(cpu, self);
    locked = cpu.loadAcquire(node + SpinNode.locked);
  }
  if (isGranted(locked)) return true;
  releaseNode(cpu, node);
  return false;
}

export function sleep(thread: Thread): void {
  thread.counters.parks++;
  pvWait(thread.cpu, thread.self);
}

/** Wakes a task that may sleep. The caller's last step, fully ordered, is what the sleeper looks at before it sleeps. */
export function kick(cpu: Cpu, task: number): void {
  if (cpu.load(task + Task.state) === SLEEPING) unpark(cpu, task);
}

/** The node's use is over: evicted, or out of the queue. */
export function releaseNode(cpu: Cpu, node: number): void {
  cpu.store(node + SpinNode.lock, 0);
  // Pairs with the acquire behind `settle` in allSettled and isHead: a reaper that finds it settled finds that it has left.
  cpu.storeRelease(node + SpinNode.settled, 1);
}

/** Where the nodes of one kind of lock are, and how that kind's tail works. */
export interface QueueKind {
  /** Offsets in a slot of the nodes that waiters use, and of those that the reaper may line up. */
  readonly nodes: readonly number[];
  readonly proxies: readonly number[];
  /** Exchanges the tail of `lock` for `node`, fully ordered; returns the node that was there, or 0. */
  exchangeTail(cpu: Cpu, lock: number, node: number): number;
  /** If `node` is the tail of `lock`, empties the queue: a release. */
  removeTail(cpu: Cpu, lock: number, node: number): boolean;
  /** `node` is about to become the head: called by the head, before it grants `node`. Afterwards only `node` may say so. */
  nameHead?(cpu: Cpu, lock: number, node: number): void;
  /** A thread that was the head has died; called while the proxy takes its place, and perhaps again. */
  headDied?(cpu: Cpu, lock: number): void;
}

/** The head leaves, and its successor is the head. Returns that node, or 0 when the queue is empty. */
export function unlockQueue(cpu: Cpu, kind: QueueKind, lock: number, node: number): number {
  // Pairs with the release in linkNode.
  const next = cpu.loadAcquire(node + SpinNode.next);
  if (next === 0) {
    cpu.store(node + SpinNode.settled, 0);
    if (kind.removeTail(cpu, lock, node)) {
      releaseNode(cpu, node);
      return 0;
    }
    // Pairs with the acquire behind `settle` in `isHead` (spin-queue-repair.ts); so does the one in `grantNext`.
    cpu.storeRelease(node + SpinNode.settled, 1);
  }
  return grantNext(cpu, kind, lock, node, next);
}

/**
 * The head leaves, somebody having lined up behind: `next`, or 0 when that is not known yet. Returns the new head.
 * The release in `grant` pairs with the acquire of the successor's wait on `locked`.
 */
export function grantNext(cpu: Cpu, kind: QueueKind, lock: number, node: number, next: number): number {
  // This acquire and the one below pair with the releases in linkNode and placeProxy.
  let successor = next || cpu.condLoadAcquire(node + SpinNode.next, isSome, 0, Number.POSITIVE_INFINITY);
  for (;;) {
    cpu.store(node + SpinNode.settled, 0);
    kind.nameHead?.(cpu, lock, successor);
    if (grant(cpu, successor, node)) break;
    // The reaper has evicted it, and puts its proxy there.
    cpu.storeRelease(node + SpinNode.settled, 1);
    successor = cpu.condLoadAcquire(node + SpinNode.next, differs, successor, Number.POSITIVE_INFINITY);
  }
  releaseNode(cpu, node);
  return successor;
}

/** Makes `node` the head if it waits behind `prev`; evicted, it may be waiting elsewhere by now. */
function grant(cpu: Cpu, node: number, prev: number): boolean {
  // Pairs with the release in prepareNode: if this is a new use of the node, its `prev` is not this head any more.
  const value = cpu.loadAcquire(node + SpinNode.locked);
  if (!isWaiting(value) || cpu.load(node + SpinNode.prev) !== prev) return false;
  // WAITING -> GRANTED. Release: pairs with the acquires in waitToBeHead.
  return cpu.cmpxchgRelease(node + SpinNode.locked, value, value | GRANTED) === value;
}
