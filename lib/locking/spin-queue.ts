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
 * Repair. A dead node would hold up everyone behind it, and the result of its exchange may have died with it. So the
 * reaper lines up a node of its own, the proxy, taken from a dead thread's slot. All that died before stand in front of
 * it; every later waiter waits behind it in good order.
 *
 *   before   head <- dead <- a <- dead <- b        (who is behind whom may be lost)
 *   evicted  head <- proxy <- a <- b               (a and b line up again)
 *
 * Once every live node is settled (a few steps of its own), nobody will write to
 * another's node unasked, and the reaper evicts everyone in front who waits. Then nobody in front can be granted any
 * more, so the head stays the head: if it is alive, the proxy becomes its `next`; if not, the proxy is the head. What
 * the proxy is granted it passes on at once.
 *
 * A proxy is good for the next call too, as long as no thread has died since that has a node in the same queue: so each
 * death calls for one proxy at most, and brings one. It is illegal for `era` of a proxy to be set while a reaper works on
 * it: when that reaper dies, nobody knows how far it came, and the proxy is a dead node like others.
 */

import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Repairer } from '../memory/repairer.ts';
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
  /** Who is let in; see the table above. */
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
const GRANTED = 1;
const EVICTED = 2;
const STATE = 3;
const USE = 4;

const UNKNOWN = -1;

export const isWaiting = (grant: number) => (grant & STATE) === WAITING;
export const isGranted = (locked: number) => (locked & STATE) === GRANTED;
export const isEvicted = (grant: number) => (grant & STATE) === EVICTED;
export const isDecided = (grant: number) => (grant & STATE) !== WAITING;
const isSome = (next: number) => next !== 0;
const differs = (next: number, from: number) => next !== from;
const isSettled = (settled: number) => settled !== 0;

/** Makes `node` ready to line up for `lock`; the caller's exchange on the tail, a release, publishes it. */
export function prepareNode(cpu: Cpu, node: number, lock: number): void {
  cpu.store(node + SpinNode.next, 0);
  cpu.store(node + SpinNode.settled, 0);
  cpu.store(node + SpinNode.prev, UNKNOWN);
  // Pairs with the acquire in grant: who sees the new use does not see the old prev.
  cpu.storeRelease(node + SpinNode.locked, (cpu.load(node + SpinNode.locked) & ~STATE) + USE);
  cpu.storeRelease(node + SpinNode.lock, lock);
}

/** Links `node` behind `prev`, which its exchange on the tail returned. */
export function linkNode(cpu: Cpu, node: number, prev: number): void {
  cpu.store(node + SpinNode.prev, prev);
  // Pairs with the acquire in unlockQueue: who finds the node finds it prepared.
  if (prev !== 0) cpu.storeRelease(prev + SpinNode.next, node);
  cpu.storeRelease(node + SpinNode.settled, 1);
}

/** Waits behind another node until this one is the head. False, and the node is released, when the reaper has evicted it. */
export function waitToBeHead(thread: Thread, node: number): boolean {
  const { cpu, self } = thread;
  // The acquires pair with the release in `grant`.
  let locked = cpu.condLoadAcquire(node + SpinNode.locked, isDecided, 0, thread.spins);
  while (isWaiting(locked)) {
    prepareToPark(cpu, self);
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
  const next = cpu.loadAcquire(node + SpinNode.next);
  if (next === 0) {
    cpu.store(node + SpinNode.settled, 0);
    if (kind.removeTail(cpu, lock, node)) {
      releaseNode(cpu, node);
      return 0;
    }
    cpu.storeRelease(node + SpinNode.settled, 1);
  }
  return grantNext(cpu, kind, lock, node, next);
}

/**
 * The head leaves, somebody having lined up behind: `next`, or 0 when that is not known yet. Returns the new head.
 * The release in `grant` pairs with the acquire of the successor's wait on `locked`.
 */
export function grantNext(cpu: Cpu, kind: QueueKind, lock: number, node: number, next: number): number {
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
  const value = cpu.loadAcquire(node + SpinNode.locked);
  if (!isWaiting(value) || cpu.load(node + SpinNode.prev) !== prev) return false;
  return cpu.cmpxchgRelease(node + SpinNode.locked, value, value | GRANTED) === value;
}

/** Repairs the queue of `lock`, and returns whether it is settled. */
export function repairQueue(repairer: Repairer, kind: QueueKind, lock: number): boolean {
  const { cpu } = repairer;
  const dead = nodesOf(repairer, kind, lock, true);
  if (dead.length === 0) return true;
  const proxy = findProxy(cpu, dead) || enqueueProxy(repairer, kind, lock);
  if (proxy === 0) return false;
  const era = cpu.load(proxy + SpinNode.era);
  cpu.store(proxy + SpinNode.era, 0);
  const isPlaced = cpu.load(proxy + SpinNode.settled) !== 0;
  if ((isPlaced || placeProxy(repairer, kind, lock, proxy)) && drainProxy(repairer, kind, lock, proxy)) {
    forget(cpu, proxy);
    return true;
  }
  cpu.store(proxy + SpinNode.era, era);
  return false;
}

/** The nodes, of dead threads or of live ones, that are in the queue of `lock` or about to enter it. */
function nodesOf({ cpu, threads, isDead }: Repairer, kind: QueueKind, lock: number, dead: boolean): number[] {
  const nodes: number[] = [];
  for (let number = 0; number < threads; number++) {
    if (isDead(number + 1) !== dead) continue;
    for (const offset of new Set([...kind.nodes, ...kind.proxies])) {
      const node = slotAddress(cpu, number) + offset;
      if (cpu.loadAcquire(node + SpinNode.lock) === lock) nodes.push(node);
    }
  }
  return nodes;
}

/** The proxy that an earlier call lined up behind all of these dead threads' nodes, or 0. */
function findProxy(cpu: Cpu, dead: readonly number[]): number {
  const metIn = (node: number) => {
    return cpu.load(slotAddress(cpu, slotNumberAt(cpu, node)) + Slot.met);
  };
  const latest = Math.max(...dead.map(metIn));
  return dead.find((node) => cpu.load(node + SpinNode.era) > latest) ?? 0;
}

/** Lines up an unused node of a dead thread's. 0 when there is none at present. */
function enqueueProxy({ cpu, threads, isDead }: Repairer, kind: QueueKind, lock: number): number {
  for (let number = 0; number < threads; number++) {
    if (!isDead(number + 1)) continue;
    for (const offset of kind.proxies) {
      const node = slotAddress(cpu, number) + offset;
      if (cpu.load(node + SpinNode.lock) !== 0) continue;
      cpu.store(node + SpinNode.era, 0);
      prepareNode(cpu, node, lock);
      const prev = kind.exchangeTail(cpu, lock, node);
      cpu.store(node + SpinNode.prev, prev);
      if (prev === 0) becomeHead(cpu, node);
      cpu.store(node + SpinNode.era, cpu.load(Header.era) + 1);
      return node;
    }
  }
  return 0;
}

/** Evicts the waiters in front of the proxy, and puts the proxy behind the head, or in the head's place if it is dead. */
function placeProxy(repairer: Repairer, kind: QueueKind, lock: number, proxy: number): boolean {
  const { cpu } = repairer;
  if (!allSettled(repairer, kind, lock)) return false;
  if (!evictAhead(repairer, kind, lock, proxy)) return false;
  // A node that had granted its successor before that could be evicted is leaving.
  if (!allSettled(repairer, kind, lock)) return false;
  const head = findHead(repairer, kind, lock);
  if (head === undefined) return false;
  if (head === 0) {
    if (wasHead(repairer, kind, lock)) kind.headDied?.(cpu, lock);
    becomeHead(cpu, proxy);
  } else {
    cpu.store(proxy + SpinNode.prev, head);
    cpu.storeRelease(head + SpinNode.next, proxy);
    cpu.store(proxy + SpinNode.settled, 1);
  }
  return true;
}

/** Waits until each live node in the queue is settled, or has left. False when one's thread does not get on. */
function allSettled(repairer: Repairer, kind: QueueKind, lock: number): boolean {
  const { cpu, settle } = repairer;
  return nodesOf(repairer, kind, lock, false).every(
    (node) => settle(node + SpinNode.settled, isSettled, 0) || cpu.loadAcquire(node + SpinNode.lock) !== lock,
  );
}

/**
 * Evicts the live waiters in front of the proxy, and the dead. First all are found, then all are evicted: an evicted
 * thread may line up again at once, behind the proxy. False when a thread does not get on.
 */
function evictAhead(repairer: Repairer, kind: QueueKind, lock: number, proxy: number): boolean {
  const { cpu } = repairer;
  const inFront: { node: number; value: number }[] = [];
  for (const node of nodesOf(repairer, kind, lock, false)) {
    const value = cpu.loadAcquire(node + SpinNode.locked);
    const isInFront = isWaiting(value) ? standsInFront(repairer, node, proxy) : false;
    if (isInFront === undefined) return false;
    if (isInFront && cpu.loadAcquire(node + SpinNode.lock) === lock) inFront.push({ node, value });
  }
  for (const { node, value } of inFront) if (evict(cpu, node, value)) unpark(cpu, taskOf(cpu, node));
  for (const node of nodesOf(repairer, kind, lock, true)) {
    if (node !== proxy) evict(cpu, node, cpu.loadAcquire(node + SpinNode.locked));
  }
  return true;
}

/** The live head, or 0 when the head is dead. Undefined when a thread does not get on. */
function findHead(repairer: Repairer, kind: QueueKind, lock: number): number | undefined {
  let head = 0;
  for (const node of nodesOf(repairer, kind, lock, false)) {
    const isFirst = isHead(repairer, lock, node);
    if (isFirst === undefined) return undefined;
    if (isFirst) head = node;
  }
  return head;
}

/**
 * Whether a dead thread had become the head, and knew it or could have known it. A proxy of an earlier era that was the
 * head held nothing, nor did a thread that died before it had stored what it found in front of it.
 */
function wasHead(repairer: Repairer, kind: QueueKind, lock: number): boolean {
  const { cpu } = repairer;
  return nodesOf(repairer, kind, lock, true).some((node) => {
    if (!kind.nodes.includes(node - slotAddress(cpu, slotNumberAt(cpu, node)))) return false;
    return cpu.load(node + SpinNode.prev) === 0 || isGranted(cpu.load(node + SpinNode.locked));
  });
}

/** The proxy is in its place: once it is granted, it grants its successor. False while it is not. */
function drainProxy(repairer: Repairer, kind: QueueKind, lock: number, proxy: number): boolean {
  const { cpu, settle } = repairer;
  for (const node of nodesOf(repairer, kind, lock, true)) if (node !== proxy) forget(cpu, node);
  if (!settle(proxy + SpinNode.locked, isDecided, 0)) return false;
  if (kind.removeTail(cpu, lock, proxy)) return true;
  if (!settle(proxy + SpinNode.next, isSome, 0)) return false;
  const head = unlockQueue(cpu, kind, lock, proxy);
  if (head !== 0) unpark(cpu, taskOf(cpu, head));
  return true;
}

function becomeHead(cpu: Cpu, proxy: number): void {
  cpu.store(proxy + SpinNode.locked, cpu.load(proxy + SpinNode.locked) | GRANTED);
  cpu.store(proxy + SpinNode.settled, 1);
}

/** Evicts `node` from the use of it that `value` was read in. It may have left meanwhile, and lined up again. */
function evict(cpu: Cpu, node: number, value: number): boolean {
  const address = node + SpinNode.locked;
  if (isWaiting(value) && cpu.cmpxchg(address, value, value | EVICTED) === value) return true;
  // Acquire: if the predecessor has granted this node, the reaper now sees that predecessor's earlier stores.
  cpu.loadAcquire(address);
  return false;
}

/**
 * Whether `node` is the head of `lock`. Once everyone in front of the proxy is evicted the head can only try in vain to
 * leave, unsettled while it does. Undefined when its thread does not get on.
 */
function isHead({ cpu, settle }: Repairer, lock: number, node: number): boolean | undefined {
  for (;;) {
    const value = cpu.loadAcquire(node + SpinNode.locked);
    const isSteady = settle(node + SpinNode.settled, isSettled, 0);
    const prev = cpu.loadAcquire(node + SpinNode.prev);
    if (cpu.loadAcquire(node + SpinNode.lock) !== lock) return false;
    if (!isSteady) return undefined;
    // Otherwise it has left, and lined up again, between the loads.
    if (cpu.load(node + SpinNode.locked) === value) return prev === 0 || isGranted(value);
  }
}

/**
 * Whether `node`, which waits, lined up before the proxy and behind somebody. Those behind the proxy cannot move, so
 * walking from one leads to it. Undefined when a thread on the way does not get on.
 *
 * The dead are all in front of the proxy. It is illegal to walk on from one: what its `prev` names may have lined up anew
 * behind it, where an earlier reaper evicted somebody and died.
 */
function standsInFront({ cpu, isDead, settle }: Repairer, node: number, proxy: number): boolean | undefined {
  for (let at = node; ; ) {
    if (!settle(at + SpinNode.settled, isSettled, 0)) return undefined;
    const prev = cpu.loadAcquire(at + SpinNode.prev);
    if (prev <= 0) return at !== node;
    at = prev;
    if (at === proxy) return false;
    if (isDead(slotNumberAt(cpu, at) + 1) || !isWaiting(cpu.loadAcquire(at + SpinNode.locked))) return true;
  }
}

/** A dead thread's node is unused from here on. */
function forget(cpu: Cpu, node: number): void {
  cpu.store(node + SpinNode.era, 0);
  releaseNode(cpu, node);
}
