/**
 * The queue of waiters behind McsLock and SpinLock (Mellor-Crummey and Scott 1991): each waits on a word of its own
 * node, and the one in front grants it.
 *
 *   tail ---------------------------.
 *                                   v
 *   head  <- prev -  node  <- prev - node
 *         -- next ->       -- next ->
 *
 * `grant` of a node, which carries the number of the use the node is in, so that a late exchange cannot hit the next:
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
 * reaper lines up a node of its own, the proxy. All that died before stand in front of it; whoever comes from then on
 * waits behind it in good order. Once every live node is settled (a few steps of its own), nobody will write to
 * another's node unasked, and the reaper evicts everyone in front who waits. Then nobody in front can be granted any
 * more, so the head stays the head: if it is alive, the proxy becomes its `next`; if not, the proxy is the head. What
 * the proxy is granted it passes on at once.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Repairer } from '../memory/repairer.ts';
import { SpinNode, slotAddress } from '../sched/slot.ts';
import { Task, unpark } from '../sched/task.ts';

const WAITING = 0;
const GRANTED = 1;
const EVICTED = 2;
const STATE = 3;
const USE = 4;

const UNKNOWN = -1;

export const isWaiting = (grant: number) => (grant & STATE) === WAITING;
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
  cpu.storeRelease(node + SpinNode.grant, (cpu.load(node + SpinNode.grant) & ~STATE) + USE);
  cpu.storeRelease(node + SpinNode.lock, lock);
}

/** Links `node` behind `prev`, which its exchange on the tail returned. */
export function linkNode(cpu: Cpu, node: number, prev: number): void {
  cpu.store(node + SpinNode.prev, prev);
  // Pairs with the acquire in leaveQueue: who finds the node finds it prepared.
  if (prev !== 0) cpu.storeRelease(prev + SpinNode.next, node);
  cpu.storeRelease(node + SpinNode.settled, 1);
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
}

/** The head leaves, and the node behind is the head. Returns that node, or 0 when the queue is empty. */
export function leaveQueue(cpu: Cpu, kind: QueueKind, lock: number, node: number): number {
  const next = cpu.loadAcquire(node + SpinNode.next);
  if (next === 0) {
    cpu.store(node + SpinNode.settled, 0);
    if (kind.removeTail(cpu, lock, node)) {
      releaseNode(cpu, node);
      return 0;
    }
    cpu.storeRelease(node + SpinNode.settled, 1);
  }
  return passOn(cpu, node, next);
}

/**
 * The head leaves, somebody having lined up behind: `next`, or 0 when that is not known yet. Returns who is the head.
 * The release pairs with the acquire of the heir's wait on `grant`.
 */
export function passOn(cpu: Cpu, node: number, next: number): number {
  let heir = next || cpu.condLoadAcquire(node + SpinNode.next, isSome, 0, Number.POSITIVE_INFINITY);
  for (;;) {
    cpu.store(node + SpinNode.settled, 0);
    if (grant(cpu, heir, node)) break;
    // The reaper has evicted it, and puts its proxy there.
    cpu.storeRelease(node + SpinNode.settled, 1);
    heir = cpu.condLoadAcquire(node + SpinNode.next, differs, heir, Number.POSITIVE_INFINITY);
  }
  releaseNode(cpu, node);
  return heir;
}

/** Makes `node` the head if it waits behind `prev`; evicted, it may be waiting elsewhere by now. */
function grant(cpu: Cpu, node: number, prev: number): boolean {
  const value = cpu.loadAcquire(node + SpinNode.grant);
  if (!isWaiting(value) || cpu.load(node + SpinNode.prev) !== prev) return false;
  return cpu.cmpxchgRelease(node + SpinNode.grant, value, value | GRANTED) === value;
}

/**
 * Repairs the queue of `lock`, and returns whether it is settled. `ownHead` is called when the head is dead, while the
 * proxy stands in its place; what comes back from `leaveQueue` is handed to `headed`.
 */
export function repairQueue(
  repairer: Repairer,
  kind: QueueKind,
  lock: number,
  ownHead: () => void,
  headed: (node: number) => void,
): boolean {
  const { cpu, settle } = repairer;
  if (nodesOf(repairer, kind, lock, true).length === 0) return true;
  const proxy = lineUp(repairer, kind, lock);
  if (proxy === 0) return false;
  if (cpu.load(proxy + SpinNode.settled) === 0 && !takeApart(repairer, kind, lock, proxy, ownHead)) return false;
  for (const node of nodesOf(repairer, kind, lock, true)) if (node !== proxy) forget(cpu, node);
  if (!settle(proxy + SpinNode.grant, isDecided, 0)) return false;
  if (!kind.removeTail(cpu, lock, proxy)) {
    if (!settle(proxy + SpinNode.next, isSome, 0)) return false;
    headed(leaveQueue(cpu, kind, lock, proxy));
  }
  forget(cpu, proxy);
  return true;
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

/**
 * The proxy: the one that an earlier call lined up, if no other thread is dead now, or an unused node of a dead thread's. 0
 * when there is none at present.
 */
function lineUp(repairer: Repairer, kind: QueueKind, lock: number): number {
  const { cpu, threads, isDead } = repairer;
  const era = cpu.load(Header.era) + 1;
  for (const node of nodesOf(repairer, kind, lock, true)) {
    if (cpu.load(node + SpinNode.era) === era && cpu.load(node + SpinNode.prev) !== UNKNOWN) return node;
  }
  for (let number = 0; number < threads; number++) {
    if (!isDead(number + 1)) continue;
    for (const offset of kind.proxies) {
      const node = slotAddress(cpu, number) + offset;
      if (cpu.load(node + SpinNode.lock) !== 0) continue;
      cpu.store(node + SpinNode.era, era);
      prepareNode(cpu, node, lock);
      const prev = kind.exchangeTail(cpu, lock, node);
      cpu.store(node + SpinNode.prev, prev);
      if (prev === 0) becomeHead(cpu, node);
      return node;
    }
  }
  return 0;
}

/** Evicts who waits in front of the proxy, and puts the proxy behind the head, or in the head's place. */
function takeApart(repairer: Repairer, kind: QueueKind, lock: number, proxy: number, ownHead: () => void): boolean {
  const { cpu } = repairer;
  const isHere = (node: number) => cpu.loadAcquire(node + SpinNode.lock) === lock;
  const allSettled = () =>
    nodesOf(repairer, kind, lock, false).every(
      (node) => repairer.settle(node + SpinNode.settled, isSettled, 0) || !isHere(node),
    );
  if (!allSettled()) return false;
  // First all who stand in front, then out with them: who is evicted may line up again at once, behind the proxy.
  const inFront: { node: number; value: number }[] = [];
  for (const node of nodesOf(repairer, kind, lock, false)) {
    const value = cpu.loadAcquire(node + SpinNode.grant);
    const isInFront = isWaiting(value) ? standsInFront(repairer, node, proxy) : false;
    if (isInFront === undefined) return false;
    if (isInFront && isHere(node)) inFront.push({ node, value });
  }
  for (const { node, value } of inFront) if (evict(cpu, node, value)) unpark(cpu, cpu.load(node + SpinNode.task));
  for (const node of nodesOf(repairer, kind, lock, true)) {
    if (node !== proxy) evict(cpu, node, cpu.loadAcquire(node + SpinNode.grant));
  }
  // Who had granted the node behind before that one could be evicted is on the way out.
  if (!allSettled()) return false;
  let head: number | undefined;
  for (const node of nodesOf(repairer, kind, lock, false)) {
    const isFirst = isHead(repairer, lock, node);
    if (isFirst === undefined) return false;
    if (isFirst) head = node;
  }
  if (head === undefined) {
    ownHead();
    becomeHead(cpu, proxy);
  } else {
    cpu.store(proxy + SpinNode.prev, head);
    cpu.storeRelease(head + SpinNode.next, proxy);
    cpu.store(proxy + SpinNode.settled, 1);
  }
  return true;
}

function becomeHead(cpu: Cpu, proxy: number): void {
  cpu.store(proxy + SpinNode.grant, cpu.load(proxy + SpinNode.grant) | GRANTED);
  cpu.store(proxy + SpinNode.settled, 1);
}

/** Evicts `node` from the use of it that `value` was read in. It may have left meanwhile, and lined up again. */
function evict(cpu: Cpu, node: number, value: number): boolean {
  const address = node + SpinNode.grant;
  if (isWaiting(value) && cpu.cmpxchg(address, value, value | EVICTED) === value) return true;
  // Acquires from whoever has granted the node: what that one said before, on its way out, is seen from here on.
  cpu.loadAcquire(address);
  return false;
}

/**
 * Whether `node` is the head of `lock`. Once everyone in front of the proxy is evicted the head can only try in vain to
 * leave, unsettled while it does. Undefined when its thread does not get on.
 */
function isHead({ cpu, settle }: Repairer, lock: number, node: number): boolean | undefined {
  for (;;) {
    const value = cpu.loadAcquire(node + SpinNode.grant);
    const isSteady = settle(node + SpinNode.settled, isSettled, 0);
    const prev = cpu.loadAcquire(node + SpinNode.prev);
    if (cpu.loadAcquire(node + SpinNode.lock) !== lock) return false;
    if (!isSteady) return undefined;
    // Otherwise it has left, and lined up again, between the loads.
    if (cpu.load(node + SpinNode.grant) === value) return prev === 0 || (value & STATE) === GRANTED;
  }
}

/**
 * Whether `node`, which waits, lined up before the proxy and behind somebody. Those behind the proxy cannot move, so
 * walking from one leads to it. Undefined when a thread on the way does not get on.
 */
function standsInFront({ cpu, isDead, settle }: Repairer, node: number, proxy: number): boolean | undefined {
  for (let at = node; ; ) {
    const thread = cpu.load(cpu.load(at + SpinNode.task) + Task.thread);
    if (!isDead(thread) && !settle(at + SpinNode.settled, isSettled, 0)) return undefined;
    // Where a dead thread stood it may have taken with it, but not that it was in front.
    const prev = cpu.loadAcquire(at + SpinNode.prev);
    if (prev <= 0) return at !== node;
    at = prev;
    if (at === proxy) return false;
    if (!isWaiting(cpu.loadAcquire(at + SpinNode.grant))) return true;
  }
}

/** A dead thread's node is unused from here on. */
function forget(cpu: Cpu, node: number): void {
  cpu.store(node + SpinNode.era, 0);
  releaseNode(cpu, node);
}
