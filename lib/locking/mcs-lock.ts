/**
 * MCS lock: strictly first come, first served, each waiter spinning on a word of its own.
 *
 * The lock is the tail of a queue (`spin-queue.ts`); the head of the queue holds the lock.
 *
 *   lock    tail: last -> me, and wait for the one in front to grant it
 *   unlock  tail: me -> 0, or grant the one behind
 *
 * After Mellor-Crummey and Scott, "Algorithms for Scalable Synchronization" (1991) and kernel/locking/mcs_spinlock.h.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { arrayOf, struct } from '../memory/struct.ts';
import { ALONE, contend } from '../sched/contention.ts';
import { maxThreads, slotAddress, slotArea } from '../sched/slot.ts';
import { QueuedLock } from './queued-lock.ts';
import {
  isDecided,
  isEvicted,
  isGranted,
  linkNode,
  prepareNode,
  type QueueKind,
  releaseNode,
  SpinNode,
  unlockQueue,
  vacateNodes,
} from './spin-queue.ts';
import { repairQueue } from './spin-queue-repair.ts';
import { SpinningLockHeader } from './spinning-lock.ts';

const Mcs = struct({ header: SpinningLockHeader, tail: 1 });

/** How many MCS locks a thread can hold at once. */
export const MCS_NODES = 4;

export const McsNodes = slotArea(
  'mcs',
  {
    waiters: arrayOf(MCS_NODES, SpinNode),
    /** One for each waiter, for the reaper to line up behind it. */
    proxies: arrayOf(MCS_NODES, SpinNode),
  },
  { vacate: (cpu, slot) => vacateNodes(cpu, slot + McsNodes.waiters, 2 * MCS_NODES) },
);

const offsets = (first: number) => Array.from({ length: MCS_NODES }, (_, i) => first + i * SpinNode.words);

const QUEUE: QueueKind = {
  nodes: offsets(McsNodes.waiters),
  proxies: offsets(McsNodes.proxies),
  // Fully ordered: pairs with itself in the next waiter, which finds this node prepared, and with the release in removeTail.
  exchangeTail: (cpu, lock, node) => cpu.xchg(lock + Mcs.tail, node),
  removeTail: (cpu, lock, node) => cpu.cmpxchgRelease(lock + Mcs.tail, node, 0) === node,
  headDied: (cpu, lock) => cpu.store(lock + SpinningLockHeader.ownerDied, 1),
};

const KIND = defineKind<Repairer>({
  name: 'mcs-lock',
  words: Mcs,
  format: () => {},
  holder,
  isBusy: (cpu, lock) => cpu.load(lock + Mcs.tail) !== 0,
  repair: (repairer, lock) => repairQueue(repairer, QUEUE, lock),
});

/**
 * Strict FIFO spinlock. Mind what it costs here: a waiter that the operating system has preempted holds up everyone
 * behind it, so with more busy threads than cores throughput falls by a factor of 10 to 1000. Use `SpinLock`, or
 * `Mutex`; this class is for comparison, and for threads that have a core each.
 *
 * Fairness: order of arrival. A thread holds at most 4 MCS locks at once (EAGAIN). Not recursive (EDEADLK).
 * Source: Mellor-Crummey and Scott 1991; kernel/locking/mcs_spinlock.h.
 */
export class McsLock extends QueuedLock {
  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): McsLock {
    return new McsLock(arena, handle);
  }

  protected override takePlace(): number {
    this.thread.current();
    if (this.ownPlace() !== 0) throw this.relocked();
    const node = this.#freeNode();
    const { cpu } = this.thread;
    for (;;) {
      prepareNode(cpu, node, this.address);
      const prev = cpu.xchg(this.address + Mcs.tail, node);
      linkNode(cpu, node, prev);
      if (prev === 0) return node;
      this.thread.counters.contended++;
      // The acquire pairs with the release in grantNext.
      const grant = contend(this.thread, this.address, ALONE, () => {
        return cpu.condLoadAcquire(node + SpinNode.locked, isDecided, 0, Number.POSITIVE_INFINITY);
      });
      if (!isEvicted(grant)) return node;
      releaseNode(cpu, node);
    }
  }

  protected override tryTakePlace(): number {
    const node = this.#freeNode();
    const { cpu } = this.thread;
    prepareNode(cpu, node, this.address);
    if (cpu.cmpxchg(this.address + Mcs.tail, 0, node) === 0) {
      linkNode(cpu, node, 0);
      return node;
    }
    releaseNode(cpu, node);
    return 0;
  }

  protected override ownPlace(): number {
    const { cpu, slot } = this.thread;
    for (const offset of QUEUE.nodes) {
      if (cpu.load(slot + offset + SpinNode.lock) === this.address) return slot + offset;
    }
    return 0;
  }

  protected override leavePlace(node: number): void {
    unlockQueue(this.thread.cpu, QUEUE, this.address, node);
  }

  protected override get holder(): number {
    return holder(this.living, this.address);
  }

  #freeNode(): number {
    const { cpu, slot } = this.thread;
    for (const offset of QUEUE.nodes) {
      if (cpu.load(slot + offset + SpinNode.lock) === 0) return slot + offset;
    }
    throw this.tooMany(MCS_NODES);
  }
}

/** The thread whose node is the head; a snapshot. */
function holder(cpu: Cpu, lock: number): number {
  for (let number = 0; number < maxThreads(cpu); number++) {
    for (const offset of QUEUE.nodes) {
      const node = slotAddress(cpu, number) + offset;
      // Pairs with the release in `prepareNode` (spin-queue.ts): what a node says that has lined up is not of an earlier use.
      if (cpu.loadAcquire(node + SpinNode.lock) !== lock) continue;
      if (cpu.load(node + SpinNode.prev) === 0 || isGranted(cpu.load(node + SpinNode.locked))) return number + 1;
    }
  }
  return 0;
}
