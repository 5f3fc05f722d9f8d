/**
 * How the reaper repairs the queue of `spin-queue.ts`, whatever died in it.
 *
 * A dead node would hold up everyone behind it, and the result of its exchange may have died with it. So the
 * reaper lines up a node of its own, the proxy, taken from a dead thread's slot. All that died before stand in front of
 * it; every later waiter waits behind it in good order.
 *
 *   before   head <- dead <- a <- dead <- b        (who is behind whom may be lost)
 *   evicted  head <- proxy <- a <- b               (a and b line up again)
 *
 * Once every live node is settled (a few steps of its own), no thread writes to another's node unasked, and the reaper
 * evicts every waiter in front. Then no node in front can be granted any more, so the head stays the head: if it is alive,
 * the proxy becomes its `next`; if not, the proxy is the head. When the proxy is granted, it grants its successor at once.
 *
 * A proxy is good for the next call too, as long as no thread has died since that has a node in the same queue: so each
 * death calls for one proxy at most, and brings one. It is illegal for `era` of a proxy to be set while a reaper works on
 * it: when that reaper dies, nobody knows how far it came, and the proxy is a dead node like others.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Repairer } from '../memory/repairer.ts';
import { Slot, slotAddress, slotNumberAt } from '../sched/slot.ts';
import { unpark } from '../sched/task.ts';
import {
  EVICTED,
  GRANTED,
  isDecided,
  isGranted,
  isSettled,
  isSome,
  isWaiting,
  prepareNode,
  type QueueKind,
  releaseNode,
  SpinNode,
  taskOf,
  unlockQueue,
} from './spin-queue.ts';

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
      // Pairs with the release in prepareNode.
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
    // Pairs with the acquires in unlockQueue and grantNext.
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
    // The three loads acquire: they pair with the releases in `grant`, `linkNode` and `releaseNode` (spin-queue.ts).
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
    // Pairs with the release of `settled` in `linkNode` (spin-queue.ts).
    const prev = cpu.loadAcquire(at + SpinNode.prev);
    if (prev <= 0) return at !== node;
    at = prev;
    if (at === proxy) return false;
    // Pairs with the release in `grant` (spin-queue.ts).
    if (isDead(slotNumberAt(cpu, at) + 1) || !isWaiting(cpu.loadAcquire(at + SpinNode.locked))) return true;
  }
}

/** A dead thread's node is unused from here on. */
function forget(cpu: Cpu, node: number): void {
  cpu.store(node + SpinNode.era, 0);
  releaseNode(cpu, node);
}
