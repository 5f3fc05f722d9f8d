/**
 * OSQ: the queue of optimistic spinners. An MCS lock whose waiters may give up: a spinner that has spun enough unlinks
 * itself from the middle of the queue, while its neighbours come and go.
 *
 *   tail word: 0 empty; the last node's address; CLOSED while the reaper works
 *   node.prev  the node in front; GRANTED once this node holds the queue; EVICTED by the reaper
 *   node.next  the node behind; 0 not known; NONE: there was one, and it has left; EVICTED by the reaper
 *
 *   lock      tail: prev -> me; prev.next := me; spin until my prev is GRANTED
 *   unlock    tail: me -> 0, or take next, and its prev: me -> GRANTED
 *   give up   A  prev.next: me -> 0      prev can no longer grant me. If that fails prev is on its own way out, and
 *                                        will tell me my new prev, or that I am granted
 *             B  take next, or tail: me -> prev (and tell prev, which may be waiting in its own step B)
 *             C  next.prev: me -> prev; prev.next := next
 *
 *   tail ------------------------------------+
 *                                            v
 *   holder --next--> waiter --next--> last in line          prev leads back: the holder grants by its successor's prev,
 *          <--prev--        <--prev--                       and a waiter that leaves tells both neighbours
 *
 *   lock: enters --- alone ----------------------------------------> holds the queue --- unlock ---> out
 *           | else                                                     ^
 *           v                                                          | prev = GRANTED
 *         spins on its own prev ----------------------------------------+
 *           | has spun enough
 *           v
 *         A: prev can't grant me --- it has already: waits for its word --- GRANTED, or a new prev: A again
 *           |
 *           v
 *         B: next can't leave ---> C: prev and next are neighbours ---> out, without the queue
 *
 * Each word that a waiter waits on is its own node's, so every wait is one condLoad. A grant is an exchange against
 * "you stand behind me", so it cannot hit a node that has gone elsewhere.
 *
 *   node.lock     0 free; the tail of the queue it is in or about to enter; minus that tail: evicted from it. Journal
 *   node.settled  0 from before `lock` is set until the thread writes to no other node of that queue any more. Journal
 *
 * Repair: nobody has a right to a place here, so the reaper closes the queue, evicts every live node, and opens it
 * again when they have left. An evicted node stays evicted until its whole queue has left: only then may its thread use
 * it for another queue, because another evicted thread may write to it late, and so may the reaper. So:
 *   - only the reaper changes `lock` from -tail to 0, and only when every node that was in the queue is settled;
 *   - a thread that was in the queue and finds it closed leaves `lock` for the reaper to clear (it may not have been
 *     evicted yet); a thread that finds the queue closed on entry clears `lock` itself, unless it has been evicted.
 * No thread waits for that: with its node not free it does not spin.
 *
 * How long a thread can be held up. It spins at most `spins` loads, then gives up. To give up or to unlock it may have
 * to wait for another thread's next store, without a limit:
 *   - in unqueue, for its own `prev` to change: the node in front has taken this one out of its `next`, and is about to
 *     say so in this one's `prev`; it does not wait for anybody between the two;
 *   - in takeNext, for its own `next`: the node behind is about to link itself, or it leaves, has done step A, and may
 *     wait in its own step B for the node behind it, and so on, up to the last node, which finds itself the tail.
 * So these waits cannot form a cycle, and as long as threads are not preempted they take a few steps for each node
 * behind. A thread that is preempted between two such steps holds up its neighbours as the holder of any lock does. One
 * that is killed there does so until the reaper comes, which writes EVICTED to `prev` and `next` of every live node.
 *
 * After kernel/locking/osq_lock.c.
 */
import type { Cpu } from '../machine/cpu.ts';
import type { Repairer } from '../memory/repairer.ts';
import { slotAddress, slotArea } from '../sched/slot.ts';
import type { Thread } from '../sched/thread.ts';
import { SpinNode, vacateNodes } from './spin-queue.ts';

/** The thread's node. */
export const OsqNodes = slotArea(
  'osq',
  { own: SpinNode },
  { vacate: (cpu, slot) => vacateNodes(cpu, slot + OsqNodes.own, 1) },
);

const GRANTED = 1;
const NONE = 1;
const EVICTED = 2;
const CLOSED = -1;
/** What takeNext returns in a queue that the reaper has closed. */
const SHUT = -1;

const isDecided = (prev: number) => prev === GRANTED || prev === EVICTED;
const isSome = (next: number) => next !== 0;
const isSettled = (settled: number) => settled !== 0;
const differs = (value: number, from: number) => value !== from;

/** Lines up in the queue whose tail is the word at `tail`. False when it spun enough, or this thread is in a queue already. */
export function osqLock(thread: Thread, tail: number): boolean {
  const { cpu } = thread;
  const node = thread.slot + OsqNodes.own;
  // Pairs with the release in `repairOsq`, after which the reaper does not write to the node.
  if (cpu.loadAcquire(node + SpinNode.lock) !== 0) return false;
  // Outside a queue nobody else writes to the node.
  cpu.storeUnordered(node + SpinNode.next, 0);
  cpu.storeUnordered(node + SpinNode.settled, 0);
  // Pairs with the acquire in `membersOf`: a reaper that finds the node in the queue finds it not settled.
  cpu.storeRelease(node + SpinNode.lock, tail);
  let prev = cpu.load(tail);
  for (;;) {
    if (prev === CLOSED) return leave(cpu, tail, node);
    cpu.store(node + SpinNode.prev, prev);
    // tail: prev -> me. Into an empty queue it is the acquire: pairs with the exchange `me -> 0` in `takeNext`.
    const seen = cpu.cmpxchg(tail, prev, node);
    if (seen === prev) break;
    prev = seen;
  }
  if (prev === 0) return true;
  thread.counters.contended++;
  // Pairs with the exchange in `takeNext`: a thread that finds the node finds its `prev`.
  cpu.storeRelease(prev + SpinNode.next, node);
  // Pairs with the release in `osqUnlock`.
  const seen = cpu.condLoadAcquire(node + SpinNode.prev, isDecided, 0, thread.spins);
  if (seen === GRANTED) return true;
  return seen === EVICTED ? leave(cpu, tail, node) : unqueue(cpu, tail, node, seen);
}

export function osqUnlock(thread: Thread, tail: number): void {
  const { cpu } = thread;
  const node = thread.slot + OsqNodes.own;
  for (;;) {
    const next = takeNext(cpu, tail, node, 0);
    if (next === SHUT) {
      abandon(cpu, node);
      return;
    }
    // next.prev: me -> GRANTED. Pairs with the acquires of `prev` in `osqLock` and `unqueue`. It fails where `next` gives up.
    if (next === 0 || cpu.cmpxchgRelease(next + SpinNode.prev, node, GRANTED) === node) break;
  }
  leave(cpu, tail, node);
}

/** Whether the thread of that slot stands in, or holds, the queue of that tail. */
export function isInOsq(cpu: Cpu, slot: number, tail: number): boolean {
  return Math.abs(cpu.load(slot + OsqNodes.own + SpinNode.lock)) === tail;
}

/** Gives up its place, in steps A, B and C. True when the queue was granted meanwhile. */
function unqueue(cpu: Cpu, tail: number, node: number, seen: number): boolean {
  let prev = seen;
  // Step A, prev.next: me -> 0. Where it fails, prev has taken this node out of `next`, to grant it or to leave itself.
  while (cpu.cmpxchg(prev + SpinNode.next, node, 0) !== node) {
    // Pairs with the release in `osqUnlock`, and with the exchange in step C of the node in front.
    prev = cpu.condLoadAcquire(node + SpinNode.prev, differs, prev, Number.POSITIVE_INFINITY);
    if (prev === GRANTED) return true;
    if (prev === EVICTED) return leave(cpu, tail, node);
  }
  // Step B: nobody behind can leave any more, or there is nobody.
  const next = takeNext(cpu, tail, node, prev);
  if (next === SHUT) {
    abandon(cpu, node);
    return false;
  }
  // Step C, next.prev: me -> prev; then prev.next := next. In this order: once prev knows `next` it may grant it.
  if (next !== 0 && cpu.cmpxchg(next + SpinNode.prev, node, prev) === node) replaceNext(cpu, prev, next);
  return leave(cpu, tail, node);
}

/**
 * Step B: takes the node behind out of `node.next`, so that it can no longer leave. 0 when there is none: then `prev`
 * (0 for the holder) is the tail. SHUT when the queue is closed.
 */
function takeNext(cpu: Cpu, tail: number, node: number, prev: number): number {
  const word = node + SpinNode.next;
  for (;;) {
    const seen = cpu.cmpxchg(tail, node, prev);
    if (seen === CLOSED) return SHUT;
    if (seen === node) {
      // prev.next: 0 -> NONE. It may be in its own step B, and waits for the node behind.
      if (prev !== 0) cpu.cmpxchg(prev + SpinNode.next, 0, NONE);
      return 0;
    }
    // Pairs with the release of `prev.next` in `osqLock`, and with the exchange in `replaceNext`.
    cpu.condLoadAcquire(word, isSome, 0, Number.POSITIVE_INFINITY);
    const next = cpu.xchg(word, 0);
    if (next === EVICTED) return SHUT;
    if (next !== 0 && next !== NONE) return next;
  }
}

/** Step C's second half. A node that left behind `prev` may have written NONE there. */
function replaceNext(cpu: Cpu, prev: number, next: number): void {
  for (;;) {
    const seen = cpu.load(prev + SpinNode.next);
    if (seen !== 0 && seen !== NONE) return;
    if (cpu.cmpxchg(prev + SpinNode.next, seen, next) === seen) return;
  }
}

/** The node is out of the queue of `tail`, and free unless a reaper has evicted it. */
function leave(cpu: Cpu, tail: number, node: number): false {
  // Pairs with the acquire of `settle` in `repairOsq`: what this thread has written to other nodes comes before.
  cpu.storeReleaseLight(node + SpinNode.settled, 1);
  // tail -> 0; it fails, and leaves the node to the reaper, where that has written -tail. Pairs with the acquire in `membersOf`.
  cpu.cmpxchgRelease(node + SpinNode.lock, tail, 0);
  return false;
}

/** The node leaves a queue that is closed. The node behind may not be linked yet, so the reaper frees this one. */
function abandon(cpu: Cpu, node: number): void {
  cpu.storeRelease(node + SpinNode.settled, 1);
}

/** Repairs the queue of the tail at `tail`; returns whether it is settled. */
export function repairOsq(repairer: Repairer, tail: number): boolean {
  const { cpu, settle } = repairer;
  const dead = membersOf(repairer, tail, true);
  if (dead.length === 0) return true;
  // x -> CLOSED, fully ordered: a thread that enters from here on finds it closed, and one that has entered is found below.
  cpu.xchg(tail, CLOSED);
  const evicted = membersOf(repairer, tail, false).filter((node) => evict(cpu, tail, node));
  if (!evicted.every((node) => settle(node + SpinNode.settled, isSettled, 0))) return false;
  // Live nodes, the tail, dead nodes, in this order. If the reaper dies in between, a queue that is closed still has a dead node
  // that names it: so the next reaper goes on here, and nobody can destroy it. All pair with the acquire in `osqLock`.
  for (const node of evicted) cpu.storeRelease(node + SpinNode.lock, 0);
  cpu.storeRelease(tail, 0);
  for (const node of dead) cpu.storeRelease(node + SpinNode.lock, 0);
  return true;
}

/** The nodes, of dead threads or of live ones, that are in the queue of `tail`, about to enter it, or evicted from it. */
function membersOf({ cpu, threads, isDead }: Repairer, tail: number, dead: boolean): number[] {
  return Array.from({ length: threads }, (_, number) => number)
    .filter((number) => isDead(number + 1) === dead)
    .map((number) => slotAddress(cpu, number) + OsqNodes.own)
    .filter((node) => Math.abs(cpu.loadAcquire(node + SpinNode.lock)) === tail);
}

/** Evicts `node`, unless its thread has left the queue meanwhile. */
function evict(cpu: Cpu, tail: number, node: number): boolean {
  const seen = cpu.cmpxchg(node + SpinNode.lock, tail, -tail);
  if (seen !== tail && seen !== -tail) return false;
  cpu.xchg(node + SpinNode.prev, EVICTED);
  cpu.xchg(node + SpinNode.next, EVICTED);
  return true;
}
