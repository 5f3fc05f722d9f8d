/**
 * RwLock: the queued reader-writer spinlock: kernel/locking/qrwlock.c, on the spinning queue of `spin-queue.ts`.
 *
 *   word     bits  0..9   writer    who has it for writing, as CPU number plus one; 0: nobody
 *            bits 10..19  claim     the head of the queue, awake, likewise: nobody else comes in
 *            bit  20      ASLEEP    the head of the queue sleeps without a claim; its node is in `head`
 *            bit  21      DRAINING  the writer waits for readers to leave, and is not inside
 *   readers  bits 0..30 of each word: one for each thread that has it for reading
 *            bit 31      WAITED: the writer may sleep until the threads of this word have left
 *   tail     the last node of the queue, or 0
 *
 * The kernel counts readers in the lock word. Here each sets a bit, so that the share of a dead one can be told and
 * taken back; and a reader that would take the lock twice is found. Who comes in says so first and looks then, both
 * sides with full barriers, so one of two sees the other:
 *
 *   reader (tryRead)                     writer (tryPlace, then isDrained)
 *   readers |= me      (fetchOr)         word := me         (cmpxchg)
 *   a writer there?    (loadAcquire)     readers all 0?     (loadAcquire)
 *
 * Slow path:
 *
 *   queue (lockQueued) --is the head--> claim (waitAsHead) --writer goes--> reader: in
 *     ^ evicted: again                   ^        | too long                writer: takes the place, and drains the readers
 *     '---- reaper                       '-woken- sleep (sleepAsHead)
 *
 *   read     readers |= me; in if the word has neither writer nor claim, else readers &= ~me and queue up
 *   write    word: 0 -> me, or ASLEEP -> ASLEEP|me; in once `readers` is 0, else queue up
 *   head     (0|y, 0) -> (0|y, x)     claims, and waits for writer y to go; then
 *            reader:  readers |= x; (0, x) -> (0, 0)          in, and the next is the head
 *            writer:  (0, x) -> (x, 0); the next is the head; in once `readers` is 0
 *   asleep   (y, x) -> (y, 0)|ASLEEP                    the first time the head sleeps others may take the lock
 *   unlock   readers &= ~x, and wake the writer if it has set WAITED; or (x, c) -> (0, c), and wake the head
 *
 * It is illegal for WAITED to be clear while the writer sleeps for readers of that word, and for ASLEEP to be clear while
 * the head sleeps without a claim. It is legal for both to be set in vain. DRAINING is for the reaper: illegal to be set once
 * the writer is inside, because it may have left things half-done.
 *
 * It is illegal to touch the lock after the step that releases it, because the next holder may destroy it. So a thread
 * looks up whom it will wake before: while it reads, the writer that waits for it cannot leave; while it writes, a head
 * that it finds asleep stays where it is.
 */
import type { Cpu } from '../machine/cpu.ts';
import { MOST_THREADS } from '../memory/header.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { maxThreads, Slot, slotAddress } from '../sched/slot.ts';
import { finishPark, prepareToPark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  kick,
  linkNode,
  prepareNode,
  type QueueKind,
  SpinNodes,
  sleep,
  taskOf,
  unlockQueue,
  waitToBeHead,
} from './spin-queue.ts';
import { repairQueue } from './spin-queue-repair.ts';
import { SpinningLockHeader } from './spinning-lock.ts';

const WAITED = 1 << 31;
const READERS = ~WAITED;
const READERS_A_WORD = 31;

/** How many words of reader bits there are for `threads` threads. */
export const readerWords = (threads: number) => Math.ceil(threads / READERS_A_WORD);

const READER_WORDS = readerWords(MOST_THREADS);

export const RwWords = struct({
  header: SpinningLockHeader,
  word: 1,
  head: 1,
  tail: 1,
  readers: READER_WORDS,
});

export const WRITER = 0x3ff;
const CLAIM_SHIFT = 10;
const CLAIM = WRITER << CLAIM_SHIFT;
const ASLEEP = 1 << 20;
const DRAINING = 1 << 21;

/** The word of a lock that was destroyed: the writer is no thread. */
const CLOSED = WRITER;

const QUEUE: QueueKind = {
  nodes: [SpinNodes.waiter],
  proxies: [SpinNodes.proxy],
  exchangeTail: (cpu, lock, node) => cpu.xchg(lock + RwWords.tail, node),
  // me -> 0. Pairs with the exchange of the next thread that finds the queue empty.
  removeTail: (cpu, lock, node) => cpu.cmpxchgRelease(lock + RwWords.tail, node, 0) === node,
};

const isDrainedOf = (readers: number) => (readers & READERS) === 0;
const isForHead = (word: number, mine: number) =>
  (word & CLAIM) === 0 || ((word & CLAIM) === mine && (word & WRITER) === 0);

/** The word in which thread `id` (its CPU number plus one) has its reader bit, and the bit. */
export function readerWord(lock: number, id: number): number {
  return lock + RwWords.readers + Math.floor((id - 1) / READERS_A_WORD);
}

export function readerBit(id: number): number {
  return 1 << ((id - 1) % READERS_A_WORD);
}

/** For `Kind.close`. Store buffering with a reader, as a writer does it. */
export function close(cpu: Cpu, lock: number): boolean {
  const address = lock + RwWords.word;
  // ASLEEP may be set in vain.
  for (let word = cpu.load(address); word !== CLOSED; word = cpu.load(address)) {
    if ((word & (WRITER | CLAIM)) !== 0) return false;
    if (cpu.cmpxchg(address, word, CLOSED) === word) break;
  }
  // Or CLOSED -> 0, where there are readers: pairs with the acquires of writers and readers that come next.
  if (isDrained(cpu, lock, readerWords(maxThreads(cpu)))) return true;
  cpu.storeRelease(address, 0);
  return false;
}

/** One attempt to read. Fully ordered: either this reader sees the writer, or the writer sees the reader. */
export function tryRead(cpu: Cpu, lock: number, readers: number, bit: number): boolean {
  // Fully ordered, says so first: pairs with the exchange in tryPlace, or in waitAsHead.
  cpu.fetchOr(readers, bit);
  // Looks then. The acquire pairs with the exchange in writeUnlock.
  if ((cpu.loadAcquire(lock + RwWords.word) & (WRITER | CLAIM)) === 0) return true;
  readUnlock(cpu, lock, readers, bit);
  return false;
}

/** Returns whether the thread with that bit did read. */
export function readUnlock(cpu: Cpu, lock: number, readers: number, bit: number): boolean {
  for (;;) {
    // Pairs with the fetchOr in drain: with WAITED this finds the writer that has set it, and then that it sleeps.
    const value = cpu.loadAcquire(readers);
    if ((value & bit) === 0) return false;
    const writer = (value & WAITED) === 0 ? 0 : cpu.load(lock + RwWords.word) & WRITER;
    // The release pairs with the acquires in isDrained and drain.
    if (cpu.cmpxchgRelease(readers, value, value & ~bit) !== value) continue;
    if (writer === 0) return true;
    // The bit before, its sleep after: pairs with the exchange in prepareToPark. The writer may sleep for the second time.
    cpu.mb();
    kick(cpu, mainTask(cpu, writer));
    return true;
  }
}

/** Takes the place of the writer, if nobody has it or has claimed it; readers may be inside still. */
export function tryPlace({ cpu, id }: Thread, lock: number): boolean {
  const word = cpu.load(lock + RwWords.word);
  // 0 -> me, or ASLEEP -> ASLEEP|me. Fully ordered: pairs with the fetchOr in tryRead; the caller looks at the readers next.
  return (word & (WRITER | CLAIM)) === 0 && cpu.cmpxchg(lock + RwWords.word, word, word | id) === word;
}

/** Whether nobody reads. The acquire pairs with the release in readUnlock. */
export function isDrained(cpu: Cpu, lock: number, words: number): boolean {
  for (let i = 0; i < words; i++) if (!isDrainedOf(cpu.loadAcquire(lock + RwWords.readers + i))) return false;
  return true;
}

/** This thread has the writer's place: waits until all readers have left. */
export function drain(thread: Thread, lock: number, words: number): void {
  const { cpu, self, spins } = thread;
  const waits = !isDrained(cpu, lock, words);
  if (waits) cpu.fetchOrRelaxed(lock + RwWords.word, DRAINING);
  for (let i = 0; i < words; i++) {
    const readers = lock + RwWords.readers + i;
    // Pairs with the release in `readUnlock`.
    let value = cpu.condLoadAcquire(readers, isDrainedOf, 0, spins);
    while (!isDrainedOf(value)) {
      // Asleep first, then the mark: pairs with the acquire in readUnlock, which finds WAITED and wakes the sleeper.
      prepareToPark(cpu, self);
      if (isDrainedOf(cpu.fetchOr(readers, WAITED))) finishPark(cpu, self);
      else sleep(thread);
      value = cpu.condLoadAcquire(readers, isDrainedOf, 0, spins);
    }
    if (value !== 0) cpu.fetchAndRelaxed(readers, READERS);
  }
  // x|DRAINING -> x. Acquire: what the writer does inside comes after; the readers' releases are acquired above.
  if (waits) cpu.fetchAndAcquire(lock + RwWords.word, ~DRAINING);
}

/** Gives up the writer's place. */
export function writeUnlock({ cpu, id }: Thread, lock: number): void {
  const address = lock + RwWords.word;
  for (;;) {
    // Pairs with the release in sleepAsHead: with ASLEEP this finds the head in `head`.
    const word = cpu.loadAcquire(address);
    const next = nextTask(cpu, lock, word);
    // (x, c) -> (0, c). Fully ordered: pairs with the exchange in prepareToPark in sleepAsHead. A head that this does not find
    // asleep sees the lock free before it sleeps.
    if (cpu.cmpxchg(address, word, word - id) !== word) continue;
    if (next !== 0) kick(cpu, next);
    return;
  }
}

/** Waits in the queue for the lock. */
export function lockQueued(thread: Thread, lock: number, isReader: boolean, words: number): void {
  while (!waitInQueue(thread, lock, isReader)) {
    // The reaper took the queue apart.
  }
  if (!isReader) drain(thread, lock, words);
}

function waitInQueue(thread: Thread, lock: number, isReader: boolean): boolean {
  const { cpu } = thread;
  const node = thread.slot + SpinNodes.waiter;
  prepareNode(cpu, node, lock);
  const prev = QUEUE.exchangeTail(cpu, lock, node);
  linkNode(cpu, node, prev);
  if (prev !== 0 && !waitToBeHead(thread, node)) return false;
  waitAsHead(thread, lock, node, isReader);
  const head = unlockQueue(cpu, QUEUE, lock, node);
  if (head === 0) return true;
  // The grant before, its sleep after: pairs with the exchange in prepareToPark.
  cpu.mb();
  kick(cpu, taskOf(cpu, head));
  return true;
}

/** At the head of the queue: comes in as a reader, or takes the writer's place. */
function waitAsHead(thread: Thread, lock: number, node: number, isReader: boolean): void {
  const { cpu, id, self } = thread;
  const address = lock + RwWords.word;
  const mine = id << CLAIM_SHIFT;
  let hasLost = false;
  for (;;) {
    const word = cpu.load(address);
    if ((word & CLAIM) === 0) {
      // (y, 0) -> (y, x): nobody else comes in. Relaxed: what this thread sees inside comes with the step that lets it in.
      cpu.cmpxchgRelaxed(address, word, (word & ~ASLEEP) | mine);
    } else if (isForHead(word, mine)) {
      if (isReader) {
        // readers |= x, then (0, x) -> (0, 0): in that order, so that no writer comes in between. Acquire: pairs with writeUnlock.
        cpu.fetchOr(readerWord(lock, id), readerBit(id));
        cpu.fetchSubAcquire(address, mine);
        return;
      }
      // (0, x) -> (x, 0). Fully ordered: pairs with the fetchOr in tryRead; drain looks at the readers next.
      if (cpu.cmpxchg(address, word, word - mine + id) === word) return;
    } else if (!isForHead(cpu.condLoadAcquire(address, isForHead, mine, thread.spins), mine)) {
      sleepAsHead(thread, lock, node, hasLost);
      finishPark(cpu, self);
      hasLost = true;
    }
  }
}

/** A thread that unlocks finds this one by the claim while it keeps that, by `head` otherwise. */
function sleepAsHead(thread: Thread, lock: number, node: number, keepsClaim: boolean): void {
  const { cpu, id, self } = thread;
  const address = lock + RwWords.word;
  const mine = id << CLAIM_SHIFT;
  // Fully ordered: pairs with the exchange in writeUnlock. This sees the writer gone, or writeUnlock sees that this sleeps.
  prepareToPark(cpu, self);
  const word = cpu.load(address);
  if (isForHead(word, mine)) return;
  if (!keepsClaim && (word & CLAIM) === mine) {
    cpu.store(lock + RwWords.head, node);
    // (y, x) -> (y, 0)|ASLEEP, only while there is a writer, whose unlock then finds ASLEEP. Release: pairs with the acquire in
    // writeUnlock.
    if (cpu.cmpxchgRelease(address, word, (word - mine) | ASLEEP) !== word) return;
  }
  sleep(thread);
}

/** The task to wake when the writer's place is given up while the word is `word`, or 0. */
function nextTask(cpu: Cpu, lock: number, word: number): number {
  const claim = (word & CLAIM) >>> CLAIM_SHIFT;
  if (claim !== 0) return mainTask(cpu, claim);
  const head = (word & ASLEEP) !== 0 ? cpu.load(lock + RwWords.head) : 0;
  return head === 0 ? 0 : taskOf(cpu, head);
}

function mainTask(cpu: Cpu, id: number): number {
  return slotAddress(cpu, id - 1) + Slot.mainTask;
}

/** Whether anybody holds the lock or waits for it. */
export function isBusy(cpu: Cpu, lock: number): boolean {
  const word = cpu.load(lock + RwWords.word) & (WRITER | CLAIM);
  return word !== 0 || cpu.load(lock + RwWords.tail) !== 0 || !isDrained(cpu, lock, READER_WORDS);
}

/** After deaths: takes dead readers, a dead writer and a dead head's claim out of the words. */
export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, threads, isDead } = repairer;
  const isSettled = repairQueue(repairer, QUEUE, lock);
  for (let id = 1; id <= threads; id++) {
    if (isDead(id)) cpu.fetchAnd(readerWord(lock, id), ~readerBit(id));
  }
  const address = lock + RwWords.word;
  for (;;) {
    const word = cpu.load(address);
    const writer = word & WRITER;
    const claim = (word & CLAIM) >>> CLAIM_SHIFT;
    const writerDied = writer !== 0 && isDead(writer);
    const lost = (writerDied ? word & (WRITER | DRAINING) : 0) + (claim !== 0 && isDead(claim) ? word & CLAIM : 0);
    if (lost === 0) return isSettled;
    if (writerDied && !(word & DRAINING)) cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    if (cpu.cmpxchg(address, word, word - lost) !== word) continue;
    const next = nextTask(cpu, lock, word - lost);
    if (next !== 0) kick(cpu, next);
  }
}
