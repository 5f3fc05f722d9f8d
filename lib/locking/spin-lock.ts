/**
 * SpinLock: the queued spinlock of the kernel (kernel/locking/qspinlock.c), with its paravirtual hooks
 * (qspinlock_paravirt.h), because a worker thread is a virtual CPU: it can be preempted while it holds the lock or
 * stands first in line, and nothing says so.
 *
 * Word:   bits  0..9   locked    the owner, as CPU number plus one; 0: free
 *         bits 10..19  pending   the thread that is next and awake, likewise
 *         bits 20..31  tail      the last node in the queue, as (CPU number plus one) * 4 + node index
 *
 * (tail, pending, locked), x the contender, y some other thread:
 *
 *   uncontended   (0, 0, 0) -> (0, 0, x)                       lock, tryLock
 *   pending       (0, 0, y) -> (0, x, y)                       first contender: no queue needed
 *                 (0, x, 0) -> (0, 0, x)                       the owner has gone
 *                 (*, x, y) -> (*, 0, y)                       the owner takes its time: queue up instead
 *   queue         (t, *, *) -> (x, *, *)                       link behind t, wait to be the head
 *   head          (t, 0, y) -> (t, x, y)                       awake: nobody steals any more
 *                 (t, x, 0) -> (t, 0, x) or (0, 0, x) if t=x   the lock is taken, the queue moves up
 *                 (t, x, y) -> (t, 0, y)                       about to sleep, the first time: stealing is allowed
 *   steal         (t, 0, 0) -> (t, 0, x)                       a contender, before it queues up
 *   unlock        (*, *, x) -> (*, *, 0)                       and wake whoever is next, if it sleeps
 *
 * The kernel's pending bit and locked byte are numbers here: a dead thread's share of the word can be told and taken
 * back. That leaves no room for a byte store, so clear-pending-set-locked is an addition and the tail is exchanged by
 * compare-and-exchange, as in the kernel's variant for 16,384 CPUs and more. Instead of the kernel's hash from locks
 * to sleeping heads, a second word holds the head's node, for unlock to find.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { QSPIN_NODES, Slot, SpinNode, slotAddress } from '../sched/slot.ts';
import { finishPark, park, prepareToPark, SLEEPING, Task, unpark } from '../sched/task.ts';
import { DETACHED, type Thread } from '../sched/thread.ts';
import {
  isDecided,
  isEvicted,
  isWaiting,
  linkNode,
  passOn,
  prepareNode,
  type QueueKind,
  releaseNode,
  repairQueue,
} from './spin-queue.ts';
import { SpinningLock, SpinningLockHeader } from './spinning-lock.ts';

const Spin = struct({
  header: SpinningLockHeader.words,
  word: 1,
  /** The node of the head of the queue, once it may sleep. Stale otherwise: who is woken for nothing looks again. */
  head: 1,
});

const LOCKED = 0x3ff;
const PENDING_SHIFT = 10;
const PENDING = LOCKED << PENDING_SHIFT;
const TAIL_SHIFT = 20;
const TAIL = 0xfff << TAIL_SHIFT;

const NODES = Array.from({ length: QSPIN_NODES }, (_, i) => Slot.qspinNodes + i * SpinNode.words);

const isUnlocked = (word: number) => (word & LOCKED) === 0;
const isForHead = (word: number, mine: number) =>
  (word & LOCKED) === 0 && ((word & PENDING) === 0 || (word & PENDING) === mine);
const isFree = (word: number) => word === 0;

const QUEUE: QueueKind = {
  nodes: NODES,
  proxies: NODES,
  exchangeTail: (cpu, lock, node) => exchangeTail(cpu, lock, node, cpu.load(lock + Spin.word)),
  removeTail(cpu, lock, node) {
    const tail = encodeTail(cpu, node);
    for (let word = cpu.load(lock + Spin.word); (word & TAIL) === tail; ) {
      const seen = cpu.cmpxchgRelease(lock + Spin.word, word, word & ~TAIL);
      if (seen === word) return true;
      word = seen;
    }
    return false;
  },
};

const KIND = defineKind<Repairer>({
  name: 'spin-lock',
  words: Spin.words,
  format: () => {},
  holder: (cpu, lock) => cpu.load(lock + Spin.word) & LOCKED,
  isBusy: (cpu, lock) => cpu.load(lock + Spin.word) !== 0,
  repair,
});

/**
 * The spinlock to use on worker threads: for sections of well under a microsecond, with any number of threads on any
 * number of cores. A waiter spins for about as long as a sleep would cost, and then sleeps; unlock wakes the one that is next.
 *
 * Fairness: order of arrival in the queue, except that a contender may take a free lock while the head of the queue
 * sleeps. A head that was woken once and lost keeps its claim from then on, so each is passed over for a bounded time.
 * Synchronous only; not recursive (EDEADLK). Source: kernel/locking/qspinlock.c, qspinlock_paravirt.h.
 */
export class SpinLock extends SpinningLock {
  readonly #locked: number;

  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#locked = this.thread.id;
  }

  static from(arena: Arena, handle: ObjectHandle): SpinLock {
    return new SpinLock(arena, handle);
  }

  lock(): void {
    if (this.thread.self === DETACHED) this.thread.current();
    const word = this.thread.cpu.cmpxchgAcquire(this.address + Spin.word, 0, this.#locked);
    if (word !== 0) this.#lockSlow(word);
  }

  tryLock(): boolean {
    if (this.thread.self === DETACHED) this.thread.current();
    return this.thread.cpu.cmpxchgAcquire(this.address + Spin.word, 0, this.#locked) === 0;
  }

  unlock(): void {
    if (this.thread.self === DETACHED) this.thread.current();
    const word = this.thread.cpu.cmpxchgRelease(this.address + Spin.word, this.#locked, 0);
    if (word !== this.#locked) this.#unlockSlow(word);
  }

  get owner(): number | undefined {
    const locked = this.thread.cpu.load(this.address + Spin.word) & LOCKED;
    return locked === 0 ? undefined : locked - 1;
  }

  #lockSlow(seen: number): void {
    if ((seen & LOCKED) === this.#locked) throw this.relocked();
    this.thread.counters.contended++;
    lockSlow(this.thread, this.address, seen);
  }

  #unlockSlow(seen: number): void {
    const { cpu } = this.thread;
    this.thread.current();
    if ((seen & LOCKED) !== this.#locked) throw this.notOwner();
    // Fully ordered: a head that this does not find asleep sees the lock free before it sleeps.
    const word = cpu.fetchSub(this.address + Spin.word, this.#locked);
    wakeNext(cpu, this.address, word);
  }
}

/** `seen`: what the fast path found. */
function lockSlow(thread: Thread, lock: number, seen: number): void {
  const { cpu, id, spins } = thread;
  const address = lock + Spin.word;
  const mine = id << PENDING_SHIFT;
  let word = seen;
  if ((word & ~LOCKED) === 0) {
    word = cpu.cmpxchgAcquire(address, seen, seen | mine);
    if (word === seen && waitPending(cpu, address, id, mine, spins)) return;
  }
  if (thread.qspinDepth === QSPIN_NODES) {
    lockWithoutNode(cpu, address, id);
    return;
  }
  const node = thread.slot + (NODES[thread.qspinDepth++] as number);
  while (!waitInQueue(thread, lock, node, word)) {
    // The reaper took the queue apart.
  }
  thread.qspinDepth--;
}

/** This thread is pending: takes the lock from its owner, unless that takes too long. */
function waitPending(cpu: Cpu, address: number, id: number, mine: number, spins: number): boolean {
  if (isUnlocked(cpu.condLoadAcquire(address, isUnlocked, 0, spins))) {
    cpu.fetchAddRelaxed(address, id - mine);
    return true;
  }
  for (;;) {
    // Only while there is an owner: its unlock then finds nobody pending, and wakes the head of the queue.
    const word = cpu.load(address);
    const isTaken = !isUnlocked(word);
    if (cpu.cmpxchgAcquire(address, word, isTaken ? word - mine : word + id - mine) === word) return !isTaken;
  }
}

/** For a thread that is inside more slow paths than it has nodes. */
function lockWithoutNode(cpu: Cpu, address: number, id: number): void {
  do {
    cpu.condLoad(address, isFree, 0, Number.POSITIVE_INFINITY);
  } while (cpu.cmpxchgAcquire(address, 0, id) !== 0);
}

/** Lines up with `node` and takes the lock. False when the reaper has taken the queue apart meanwhile. */
function waitInQueue(thread: Thread, lock: number, node: number, seen: number): boolean {
  const { cpu, id, self } = thread;
  const address = lock + Spin.word;
  if (thread.spins !== Number.POSITIVE_INFINITY && steal(cpu, address, id)) return true;
  prepareNode(cpu, node, lock);
  const prev = exchangeTail(cpu, lock, node, seen);
  linkNode(cpu, node, prev);
  if (prev !== 0) {
    // The acquire pairs with the release in passOn.
    let grant = cpu.condLoadAcquire(node + SpinNode.grant, isDecided, 0, thread.spins);
    while (isWaiting(grant)) {
      prepareToPark(cpu, self);
      grant = cpu.loadAcquire(node + SpinNode.grant);
      if (isWaiting(grant)) sleep(thread);
      else finishPark(cpu, self);
      grant = cpu.loadAcquire(node + SpinNode.grant);
    }
    if (isEvicted(grant)) {
      releaseNode(cpu, node);
      return false;
    }
  }
  const tail = waitAsHead(thread, lock, node);
  if (tail === encodeTail(cpu, node)) {
    releaseNode(cpu, node);
  } else {
    // A heir that sleeps goes on sleeping: our unlock finds it in `head`, and wakes it when the lock is free.
    cpu.store(lock + Spin.head, passOn(cpu, node, 0));
  }
  return true;
}

/** Waits at the head of the queue, takes the lock, and returns the tail that the word had then. */
function waitAsHead(thread: Thread, lock: number, node: number): number {
  const { cpu, id, self } = thread;
  const address = lock + Spin.word;
  const mine = id << PENDING_SHIFT;
  const myTail = encodeTail(cpu, node);
  let hasLost = false;
  for (;;) {
    // Nobody sleeps on a machine without preemption, so there nobody steals.
    if (thread.spins !== Number.POSITIVE_INFINITY && !claim(cpu, address, mine)) continue;
    let word = cpu.condLoadAcquire(address, isForHead, mine, thread.spins);
    while (isForHead(word, mine)) {
      const tail = word & TAIL;
      const seen = cpu.cmpxchgAcquire(address, word, tail === myTail ? id : tail | id);
      if (seen === word) return tail;
      word = seen;
    }
    // Whoever unlocks finds us by `pending` while we keep it, by `head` otherwise.
    if (!hasLost && (word & PENDING) === mine) {
      if (cpu.cmpxchgRelaxed(address, word, word - mine) !== word) continue;
    }
    cpu.store(lock + Spin.head, node);
    prepareToPark(cpu, self);
    if (isForHead(cpu.load(address), mine)) finishPark(cpu, self);
    else sleep(thread);
    hasLost = true;
  }
}

/** Becomes pending, if the lock is held and nobody is. False when the word changed meanwhile. */
function claim(cpu: Cpu, address: number, mine: number): boolean {
  const word = cpu.load(address);
  return (word & PENDING) !== 0 || isUnlocked(word) || cpu.cmpxchgRelaxed(address, word, word | mine) === word;
}

function sleep(thread: Thread): void {
  thread.counters.parks++;
  park(thread.cpu, thread.self, Number.POSITIVE_INFINITY);
}

/** Takes a lock that is free while the head of its queue, if any, sleeps. */
function steal(cpu: Cpu, address: number, id: number): boolean {
  const word = cpu.load(address);
  return (word & (LOCKED | PENDING)) === 0 && cpu.cmpxchgAcquire(address, word, word | id) === word;
}

/** `word`: what the lock's word was when it was unlocked. */
function wakeNext(cpu: Cpu, lock: number, word: number): void {
  const pending = (word & PENDING) >>> PENDING_SHIFT;
  if (pending !== 0) {
    kick(cpu, slotAddress(cpu, pending - 1) + Slot.mainTask);
  } else if ((word & TAIL) !== 0) {
    const head = cpu.load(lock + Spin.head);
    if (head !== 0) kick(cpu, cpu.load(head + SpinNode.task));
  }
}

function kick(cpu: Cpu, task: number): void {
  if (cpu.load(task + Task.state) === SLEEPING) unpark(cpu, task);
}

/** `seen`: what the word may be. Returns the node that was the tail, or 0. */
function exchangeTail(cpu: Cpu, lock: number, node: number, seen: number): number {
  const tail = encodeTail(cpu, node);
  for (let word = seen; ; ) {
    // Fully ordered: the node is prepared before anybody finds it (the write barrier before xchg_tail).
    const now = cpu.cmpxchg(lock + Spin.word, word, (word & ~TAIL) | tail);
    if (now === word) return decodeTail(cpu, word);
    word = now;
  }
}

function encodeTail(cpu: Cpu, node: number): number {
  const number = Math.floor((node - cpu.read(Header.threads)) / Slot.words);
  const index = (node - slotAddress(cpu, number) - Slot.qspinNodes) / SpinNode.words;
  return ((number + 1) * QSPIN_NODES + index) << TAIL_SHIFT;
}

function decodeTail(cpu: Cpu, word: number): number {
  const tail = word >>> TAIL_SHIFT;
  if (tail === 0) return 0;
  return slotAddress(cpu, Math.floor(tail / QSPIN_NODES) - 1) + (NODES[tail % QSPIN_NODES] as number);
}

function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, isDead } = repairer;
  const address = lock + Spin.word;
  const isSettled = repairQueue(
    repairer,
    QUEUE,
    lock,
    () => {},
    (heir) => {
      if (heir === 0) return;
      cpu.store(lock + Spin.head, heir);
      unpark(cpu, cpu.load(heir + SpinNode.task));
    },
  );
  for (;;) {
    const word = cpu.load(address);
    const owner = word & LOCKED;
    const pending = (word & PENDING) >>> PENDING_SHIFT;
    const ownerDied = owner !== 0 && isDead(owner);
    const lost = (ownerDied ? owner : 0) + (pending !== 0 && isDead(pending) ? word & PENDING : 0);
    if (lost === 0) return isSettled;
    if (ownerDied) cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    if (cpu.cmpxchg(address, word, word - lost) === word) wakeNext(cpu, lock, word - lost);
  }
}
