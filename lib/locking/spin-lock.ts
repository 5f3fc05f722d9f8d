/**
 * SpinLock: the queued spinlock of the kernel (kernel/locking/qspinlock.c), with its paravirtual hooks
 * (qspinlock_paravirt.h), because a worker thread is a virtual CPU: it can be preempted while it holds the lock or
 * stands first in line, and nothing says so.
 *
 * Word:   bits  0..9   locked    the owner, as CPU number plus one; 0: free
 *         bits 10..19  pending   the thread that is next and awake, likewise
 *         bit  20      ASLEEP    the head of the queue may sleep without being pending; its node is in `head`
 *         bits 21..31  tail      the last node in the queue, as (CPU number plus one) * 2, plus 1 for a reaper's proxy
 *
 * (tail, pending, locked), x the contender, y some other thread; * means ASLEEP:
 *
 *   uncontended   (0, 0, 0) -> (0, 0, x)                       lock, tryLock
 *   pending       (0, 0, y) -> (0, x, y)                       first contender: no queue needed
 *                 (0, x, 0) -> (0, 0, x)                       the owner has gone
 *                 (t, x, y) -> (t, 0, y)                       the owner takes its time: queue up instead
 *   queue         (t, p, l) -> (x, p, l)                       link behind t, wait to be the head
 *   head          (t, 0, y) -> (t, x, y), ASLEEP is cleared    awake: nobody steals any more
 *                 (t, x, 0) -> (t, 0, x)*                      the lock is taken, the queue moves up
 *                 (x, x, 0) -> (0, 0, x)                       the same, the queue is empty
 *                 (t, x, y) -> (t, 0, y)*                      about to sleep, the first time: stealing is allowed
 *   steal         (t, 0, 0) -> (t, 0, x)                       a contender, before it queues up
 *   unlock        (t, p, x) -> (t, p, 0)                       and wake the thread that is next, if it sleeps
 *
 *   lock --free--> in
 *     | held, nobody waits
 *   pending --owner goes--> in          (waitPending)
 *     | somebody waits, or the owner takes its time
 *   queue --is the head--> claim pending, spin --free--> in          (waitInQueue, waitAsHead)
 *     ^ evicted: again       ^                   | too long
 *     '--- reaper            '----- woken ------ sleep          (sleepAsHead)
 *
 * It is illegal for ASLEEP to be clear while the head sleeps and is not pending, and for `head` to name another node
 * than the head then. Only the head writes `head`: its own node before it sleeps, or its successor's before it grants
 * that. (After the grant the successor may die, and the reaper make another node the head.)
 *
 * It is illegal for unlock to touch the lock after the store that releases it: the next owner may destroy the lock. So
 * unlock looks up whom it will wake before.
 *
 * The kernel's pending bit and locked byte are numbers here: a dead thread's share of the word can be told and taken
 * back. That leaves no room for a byte store, so clear-pending-set-locked is an addition and the tail is exchanged by
 * compare-and-exchange, as in the kernel's variant for 16,384 CPUs and more. Instead of the kernel's hash from locks
 * to sleeping heads, a second word holds the head's node, as ASLEEP is the kernel's _Q_SLOW_VAL.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { ALONE, contend } from '../sched/contention.ts';
import { Slot, slotAddress, slotNumberAt } from '../sched/slot.ts';
import { finishPark, prepareToPark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  grantNext,
  kick,
  linkNode,
  prepareNode,
  type QueueKind,
  releaseNode,
  SpinNodes,
  sleep,
  taskOf,
  waitToBeHead,
} from './spin-queue.ts';
import { repairQueue } from './spin-queue-repair.ts';
import { SpinningLock, SpinningLockHeader } from './spinning-lock.ts';

const Spin = struct({
  header: SpinningLockHeader,
  word: 1,
  /** The node of the head of the queue, while ASLEEP is set. Stale otherwise. */
  head: 1,
});

const LOCKED = 0x3ff;
/** The word of a lock that was destroyed: the owner is no thread. */
const CLOSED = LOCKED;
const PENDING_SHIFT = 10;
const PENDING = LOCKED << PENDING_SHIFT;
const ASLEEP = 1 << 20;
const TAIL_SHIFT = 21;
const TAIL = 0x7ff << TAIL_SHIFT;

const isUnlocked = (word: number) => (word & LOCKED) === 0;
const isForHead = (word: number, mine: number) =>
  (word & LOCKED) === 0 && ((word & PENDING) === 0 || (word & PENDING) === mine);

const QUEUE: QueueKind = {
  nodes: [SpinNodes.waiter],
  proxies: [SpinNodes.proxy],
  exchangeTail: (cpu, lock, node) => exchangeTail(cpu, lock, node, cpu.load(lock + Spin.word)),
  removeTail(cpu, lock, node) {
    const tail = encodeTail(cpu, node);
    for (let word = cpu.load(lock + Spin.word); (word & TAIL) === tail; ) {
      // n,p,y -> 0,p,y. Pairs with the exchange of the tail by the next thread that lines up.
      const seen = cpu.cmpxchgRelease(lock + Spin.word, word, word & ~(TAIL | ASLEEP));
      if (seen === word) return true;
      word = seen;
    }
    return false;
  },
  nameHead: (cpu, lock, node) => cpu.store(lock + Spin.head, node),
};

const KIND = defineKind<Repairer>({
  name: 'spin-lock',
  words: Spin,
  format: () => {},
  holder: (cpu, lock) => cpu.load(lock + Spin.word) & LOCKED,
  isBusy: (cpu, lock) => cpu.load(lock + Spin.word) !== 0,
  close(cpu, lock) {
    const word = cpu.cmpxchg(lock + Spin.word, 0, CLOSED);
    return word === 0 || word === CLOSED;
  },
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
    const { cpu, free } = this.thread;
    // 0,0,0 -> 0,0,x. Acquire: pairs with the release in unlock, and with the exchange in #unlockSlow.
    const word = cpu.cmpxchgAcquire(this.address + Spin.word, free, this.#locked);
    if (word !== free) this.#lockSlow(word);
  }

  tryLock(): boolean {
    const { cpu, free } = this.thread;
    // 0,0,0 -> 0,0,x. Pairs as in `lock`.
    const word = cpu.cmpxchgAcquire(this.address + Spin.word, free, this.#locked);
    return word === free || this.#tryLockSlow(word);
  }

  unlock(): void {
    const { cpu, mineById } = this.thread;
    // 0,0,x -> 0,0,0. Release: pairs with the acquire of the next owner, in lock, waitPending, waitAsHead or steal.
    const word = cpu.cmpxchgRelease(this.address + Spin.word, mineById, 0);
    if (word !== mineById) this.#unlockSlow(word);
  }

  protected override get holder(): number {
    return this.living.load(this.address + Spin.word) & LOCKED;
  }

  #lockSlow(seen: number): void {
    const { thread, address } = this;
    const task = thread.current();
    const wanted = thread.observer?.wants(this, ALONE);
    if ((seen & LOCKED) === this.#locked) throw this.relocked();
    // An observed thread's fast path was switched off: 0,0,0 -> 0,0,x. Pairs as in `lock`.
    if (wanted === undefined || thread.cpu.cmpxchgAcquire(address + Spin.word, 0, this.#locked) !== 0) {
      thread.counters.contended++;
      this.beginChange();
      contend(thread, address, ALONE, () => lockSlow(thread, address, seen));
      this.endChange();
    }
    thread.observer?.has(wanted, task);
  }

  /** `seen`: what the fast path found. It is 0 for a thread that is observed. */
  #tryLockSlow(seen: number): boolean {
    const { thread } = this;
    const task = thread.current();
    if (seen === CLOSED) this.checkThere();
    // 0,0,0 -> 0,0,x. Pairs as in `lock`.
    if (seen !== 0 || thread.cpu.cmpxchgAcquire(this.address + Spin.word, 0, this.#locked) !== 0) return false;
    thread.observer?.took(this, ALONE, task);
    return true;
  }

  #unlockSlow(seen: number): void {
    const { cpu, observer } = this.thread;
    const task = this.current();
    if ((seen & LOCKED) !== this.#locked) throw this.unheld(this.notOwner('unlock'));
    const address = this.address + Spin.word;
    for (;;) {
      // Whom to wake is looked up before the release: the next owner may destroy the lock. Acquire: pairs with the release in
      // sleepAsHead; with ASLEEP this finds the node in `head`.
      const word = cpu.loadAcquire(address);
      const next = nextTask(cpu, this.address, word);
      // t,p,x -> t,p,0. Fully ordered: a head that this does not find asleep sees the lock free before it sleeps:
      //
      //   #unlockSlow                        sleepAsHead
      //   word: x leaves      (exchange)     state := SLEEPING   (prepareToPark, exchange)
      //   is it SLEEPING?     (kick)         is the word free?
      if (cpu.cmpxchg(address, word, word - this.#locked) !== word) continue;
      if (next !== 0) kick(cpu, next);
      observer?.gave(this, task);
      return;
    }
  }
}

/** `seen`: what the fast path found. */
function lockSlow(thread: Thread, lock: number, seen: number): void {
  const { cpu, id, spins } = thread;
  const address = lock + Spin.word;
  const mine = id << PENDING_SHIFT;
  let word = seen;
  // Nobody waits yet: wait without a node.
  if ((word & ~LOCKED) === 0) {
    // 0,0,y -> 0,x,y. `queued_fetch_set_pending_acquire`.
    word = cpu.cmpxchgAcquire(address, seen, seen | mine);
    if (word === seen && waitPending(cpu, address, id, mine, spins)) return;
  }
  while (!waitInQueue(thread, lock, word)) {
    // The reaper took the queue apart.
  }
}

/** This thread is pending: takes the lock from its owner, unless that takes too long. */
function waitPending(cpu: Cpu, address: number, id: number, mine: number, spins: number): boolean {
  // The owner goes within the spin. Acquire: pairs with the release in unlock.
  if (isUnlocked(cpu.condLoadAcquire(address, isUnlocked, 0, spins))) {
    // t,x,0 -> t,0,x. Relaxed is enough: the load above has acquired, and nobody takes the lock from a pending thread.
    cpu.fetchAddRelaxed(address, id - mine);
    return true;
  }
  for (;;) {
    // It takes its time: give up the claim, t,x,y -> t,0,y, and queue up; or it has just gone, t,x,0 -> t,0,x. The claim is
    // given up only while there is an owner: its unlock then finds nobody pending, and wakes the head of the queue. Pairs with the
    // release in `unlock`.
    const word = cpu.load(address);
    const isTaken = !isUnlocked(word);
    if (cpu.cmpxchgAcquire(address, word, isTaken ? word - mine : word + id - mine) === word) return !isTaken;
  }
}

/** Lines up and takes the lock. False when the reaper has taken the queue apart meanwhile. */
function waitInQueue(thread: Thread, lock: number, seen: number): boolean {
  const { cpu, id } = thread;
  const node = thread.slot + SpinNodes.waiter;
  if (thread.isPreemptible && steal(cpu, lock + Spin.word, id)) return true;
  // Line up: p,y,l -> x,y,l.
  prepareNode(cpu, node, lock);
  const prev = exchangeTail(cpu, lock, node, seen);
  linkNode(cpu, node, prev);
  // Become the head, and take the lock as such.
  if (prev !== 0 && !waitToBeHead(thread, node)) return false;
  const tail = waitAsHead(thread, lock, node);
  // Move the queue up.
  // A successor that sleeps goes on sleeping: our unlock finds it in `head`, and wakes it when the lock is free.
  if (tail === encodeTail(cpu, node)) releaseNode(cpu, node);
  else grantNext(cpu, QUEUE, lock, node, 0);
  return true;
}

/** Waits at the head of the queue, takes the lock, and returns the tail that the word had then. */
function waitAsHead(thread: Thread, lock: number, node: number): number {
  const { cpu, id } = thread;
  const address = lock + Spin.word;
  const mine = id << PENDING_SHIFT;
  const myTail = encodeTail(cpu, node);
  for (let keepsClaim = false; ; keepsClaim = true) {
    // Where nobody is preempted nobody sleeps, so nobody steals, and a claim is not needed.
    if (thread.isPreemptible) claimPending(cpu, address, mine);
    // Pairs with the release in `unlock`, and the exchange in `#unlockSlow`.
    let word = cpu.condLoadAcquire(address, isForHead, mine, thread.spins);
    while (isForHead(word, mine)) {
      // x,*,0 -> 0,0,x if the queue ends here, else t,*,0 -> t,0,x with ASLEEP, because the successor may sleep. Acquire: pairs
      // with the release in unlock.
      const tail = word & TAIL;
      const seen = cpu.cmpxchgAcquire(address, word, tail === myTail ? id : tail | ASLEEP | id);
      if (seen === word) return tail;
      word = seen;
    }
    sleepAsHead(thread, lock, node, keepsClaim);
  }
}

/** Becomes pending, if the lock is held and nobody is: (t, 0, y) -> (t, x, y). */
function claimPending(cpu: Cpu, address: number, mine: number): void {
  for (;;) {
    const word = cpu.load(address);
    if ((word & PENDING) !== 0 || isUnlocked(word)) return;
    // Relaxed: what this thread sees inside comes with the exchange in waitAsHead.
    if (cpu.cmpxchgRelaxed(address, word, (word & ~ASLEEP) | mine) === word) return;
  }
}

/** A thread that unlocks finds this one by `pending` while it keeps its claim, by `head` otherwise. */
function sleepAsHead(thread: Thread, lock: number, node: number, keepsClaim: boolean): void {
  const { cpu, id, self } = thread;
  const address = lock + Spin.word;
  const mine = id << PENDING_SHIFT;
  cpu.store(lock + Spin.head, node);
  // Fully ordered: pairs with the exchange in #unlockSlow, see there. This sees the lock free, or unlock sees that it sleeps.
  prepareToPark(cpu, self);
  for (;;) {
    const word = cpu.load(address);
    if (isForHead(word, mine)) break;
    const isPending = (word & PENDING) === mine;
    // t,x,y -> t,0,y with ASLEEP; once it has lost after a wake-up it keeps t,x,y.
    const next = isPending && keepsClaim ? word : (isPending ? word - mine : word) | ASLEEP;
    // Release: pairs with the acquire in #unlockSlow, which finds ASLEEP and then this node in `head`.
    if (next !== word && cpu.cmpxchgRelease(address, word, next) !== word) continue;
    sleep(thread);
    return;
  }
  finishPark(cpu, self);
}

/** Takes a lock that is free while the head of its queue, if any, sleeps. */
function steal(cpu: Cpu, address: number, id: number): boolean {
  const word = cpu.load(address);
  // t,0,0 -> t,0,x. Acquire: pairs with the release in unlock.
  return (word & (LOCKED | PENDING)) === 0 && cpu.cmpxchgAcquire(address, word, word | id) === word;
}

/** The task to wake when the lock is unlocked while its word is `word`, or 0. */
function nextTask(cpu: Cpu, lock: number, word: number): number {
  const pending = (word & PENDING) >>> PENDING_SHIFT;
  if (pending !== 0) return slotAddress(cpu, pending - 1) + Slot.mainTask;
  const head = (word & ASLEEP) !== 0 ? cpu.load(lock + Spin.head) : 0;
  return head === 0 ? 0 : taskOf(cpu, head);
}

/** `seen`: what the word may be. Returns the node that was the tail, or 0. */
function exchangeTail(cpu: Cpu, lock: number, node: number, seen: number): number {
  const tail = encodeTail(cpu, node);
  for (let word = seen; ; ) {
    // p,y,l -> x,y,l. Fully ordered: the node is prepared before anybody finds it (the write barrier before xchg_tail).
    const now = cpu.cmpxchg(lock + Spin.word, word, (word & ~TAIL) | tail);
    if (now === word) return decodeTail(cpu, word);
    word = now;
  }
}

function encodeTail(cpu: Cpu, node: number): number {
  const number = slotNumberAt(cpu, node);
  const isProxy = node - slotAddress(cpu, number) === SpinNodes.proxy;
  return ((number + 1) * 2 + (isProxy ? 1 : 0)) << TAIL_SHIFT;
}

function decodeTail(cpu: Cpu, word: number): number {
  const tail = word >>> TAIL_SHIFT;
  if (tail === 0) return 0;
  return slotAddress(cpu, (tail >> 1) - 1) + (tail & 1 ? SpinNodes.proxy : SpinNodes.waiter);
}

function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, isDead } = repairer;
  const address = lock + Spin.word;
  const isSettled = repairQueue(repairer, QUEUE, lock);
  for (;;) {
    const word = cpu.load(address);
    const owner = word & LOCKED;
    const pending = (word & PENDING) >>> PENDING_SHIFT;
    const ownerDied = owner !== 0 && isDead(owner);
    const lost = (ownerDied ? owner : 0) + (pending !== 0 && isDead(pending) ? word & PENDING : 0);
    if (lost === 0) return isSettled;
    if (ownerDied) cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    if (cpu.cmpxchg(address, word, word - lost) !== word) continue;
    const next = nextTask(cpu, lock, word - lost);
    if (next !== 0) kick(cpu, next);
  }
}
