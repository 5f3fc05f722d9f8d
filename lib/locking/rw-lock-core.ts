/**
 * RwLock: the queued reader-writer spinlock: kernel/locking/qrwlock.c, on the spinning queue of `spin-queue.ts`.
 *
 *   word     bits  0..9   writer    who has it for writing, as CPU number plus one; 0: nobody
 *            bits 10..19  claim     the head of the queue, awake, likewise: nobody else comes in
 *            bit  20      ASLEEP    the head of the queue sleeps without a claim; its node is in `head`
 *   readers  one bit for each thread that has it for reading
 *   tail     the last node of the queue, or 0
 *
 * The kernel counts readers in the lock word. Here each sets a bit, so that the share of a dead one can be told and
 * taken back; and a reader that would take the lock twice is found. Who comes in says so first and looks then, both
 * sides with full barriers, so one of two sees the other:
 *
 *   read     readers |= me; in if the word has neither writer nor claim, else readers &= ~me and queue up
 *   write    word: 0 -> me, or ASLEEP -> ASLEEP|me; in once `readers` is 0, else queue up
 *   head     (0|y, 0) -> (0|y, x)     claims, and waits for writer y to go; then
 *            reader:  readers |= x; (0, x) -> (0, 0)          in, and the next is the head
 *            writer:  (0, x) -> (x, 0); the next is the head; in once `readers` is 0
 *   asleep   (y, x) -> (y, 0)|ASLEEP                    the first time the head sleeps others may take the lock
 *   unlock   readers &= ~x, and wake a writer that waits for that; or (x, *) -> (0, *), and wake the head
 */
import type { Cpu } from '../machine/cpu.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { QSPIN_NODES, Slot, SpinNode, slotAddress } from '../sched/slot.ts';
import { finishPark, park, prepareToPark, SLEEPING, Task, unpark } from '../sched/task.ts';
import type { Thread } from '../sched/thread.ts';
import {
  isDecided,
  isEvicted,
  isWaiting,
  leaveQueue,
  linkNode,
  prepareNode,
  type QueueKind,
  releaseNode,
  repairQueue,
} from './spin-queue.ts';
import { SpinningLockHeader } from './spinning-lock.ts';

/** Words of reader bits: enough for the 1022 threads that an arena can have. */
const READER_WORDS = 32;

export const RwWords = struct({
  header: SpinningLockHeader.words,
  word: 1,
  head: 1,
  tail: 1,
  readers: READER_WORDS,
});

export const WRITER = 0x3ff;
const CLAIM_SHIFT = 10;
const CLAIM = WRITER << CLAIM_SHIFT;
const ASLEEP = 1 << 20;

const NODES = Array.from({ length: QSPIN_NODES }, (_, i) => Slot.qspinNodes + i * SpinNode.words);

const QUEUE: QueueKind = {
  nodes: NODES,
  proxies: NODES,
  exchangeTail: (cpu, lock, node) => cpu.xchg(lock + RwWords.tail, node),
  removeTail: (cpu, lock, node) => cpu.cmpxchgRelease(lock + RwWords.tail, node, 0) === node,
};

const isZero = (value: number) => value === 0;
const isForHead = (word: number, mine: number) =>
  (word & CLAIM) === 0 || ((word & CLAIM) === mine && (word & WRITER) === 0);

/** The word in which thread `id` (its CPU number plus one) has its reader bit, and the bit. */
export function readerWord(lock: number, id: number): number {
  return lock + RwWords.readers + ((id - 1) >> 5);
}

export function readerBit(id: number): number {
  return 1 << ((id - 1) & 31);
}

/** One attempt to read. Fully ordered: either this reader sees the writer, or the writer sees the reader. */
export function tryRead(cpu: Cpu, lock: number, readers: number, bit: number): boolean {
  cpu.fetchOr(readers, bit);
  // The acquire pairs with the exchange in writeUnlock.
  if ((cpu.loadAcquire(lock + RwWords.word) & (WRITER | CLAIM)) === 0) return true;
  readUnlock(cpu, lock, readers, bit);
  return false;
}

/** Returns whether the thread with that bit did read. */
export function readUnlock(cpu: Cpu, lock: number, readers: number, bit: number): boolean {
  const before = cpu.fetchAnd(readers, ~bit);
  const writer = cpu.load(lock + RwWords.word) & WRITER;
  if (writer !== 0) kick(cpu, mainTask(cpu, writer));
  return (before & bit) !== 0;
}

/** Takes the place of the writer, if nobody has it or has claimed it; readers may be inside still. */
export function tryPlace({ cpu, id }: Thread, lock: number): boolean {
  const word = cpu.load(lock + RwWords.word);
  return (word & (WRITER | CLAIM)) === 0 && cpu.cmpxchg(lock + RwWords.word, word, word | id) === word;
}

/** Whether nobody reads. The acquire pairs with the release in readUnlock. */
export function isDrained(cpu: Cpu, lock: number, words: number): boolean {
  for (let i = 0; i < words; i++) if (cpu.loadAcquire(lock + RwWords.readers + i) !== 0) return false;
  return true;
}

/** This thread has the writer's place: waits until all readers have left. */
export function drain(thread: Thread, lock: number, words: number): void {
  const { cpu, self, spins } = thread;
  for (let i = 0; i < words; i++) {
    const readers = lock + RwWords.readers + i;
    while (cpu.condLoadAcquire(readers, isZero, 0, spins) !== 0) {
      prepareToPark(cpu, self);
      if (cpu.load(readers) === 0) finishPark(cpu, self);
      else sleep(thread);
    }
  }
}

/** Gives up the writer's place. */
export function writeUnlock({ cpu, id }: Thread, lock: number): void {
  // Fully ordered: a head that this does not find asleep sees the lock free before it sleeps.
  const word = cpu.fetchSub(lock + RwWords.word, id) - id;
  if (word !== 0) wakeHead(cpu, lock, word);
}

/** Waits in the queue for the lock. */
export function lockQueued(thread: Thread, lock: number, isReader: boolean, words: number): void {
  const node = thread.slot + (NODES[thread.qspinDepth++] as number);
  while (!waitInQueue(thread, lock, node, isReader)) {
    // The reaper took the queue apart.
  }
  thread.qspinDepth--;
  if (!isReader) drain(thread, lock, words);
}

/** For a thread that is inside more slow paths than it has nodes: waits until nobody wants to write. */
export function lockWithoutNode(thread: Thread, lock: number, isReader: boolean, words: number): void {
  const { cpu } = thread;
  const { id } = thread;
  while (!(isReader ? tryRead(cpu, lock, readerWord(lock, id), readerBit(id)) : tryPlace(thread, lock))) {
    cpu.condLoad(lock + RwWords.word, isZero, 0, Number.POSITIVE_INFINITY);
  }
  if (!isReader) drain(thread, lock, words);
}

function waitInQueue(thread: Thread, lock: number, node: number, isReader: boolean): boolean {
  const { cpu, self } = thread;
  prepareNode(cpu, node, lock);
  const prev = QUEUE.exchangeTail(cpu, lock, node);
  linkNode(cpu, node, prev);
  if (prev !== 0) {
    // The acquire pairs with the release in leaveQueue.
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
  waitAsHead(thread, lock, node, isReader);
  const heir = leaveQueue(cpu, QUEUE, lock, node);
  if (heir === 0) return true;
  // The grant before, its sleep after: pairs with the exchange in prepareToPark.
  cpu.mb();
  kick(cpu, cpu.load(heir + SpinNode.task));
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
      cpu.cmpxchgRelaxed(address, word, (word & ~ASLEEP) | mine);
    } else if (isForHead(word, mine)) {
      if (isReader) {
        cpu.fetchOr(readerWord(lock, id), readerBit(id));
        cpu.fetchSubAcquire(address, mine);
        return;
      }
      if (cpu.cmpxchg(address, word, word - mine + id) === word) return;
    } else if (!isForHead(cpu.condLoadAcquire(address, isForHead, mine, thread.spins), mine)) {
      sleepAsHead(thread, lock, node, hasLost);
      finishPark(cpu, self);
      hasLost = true;
    }
  }
}

/** Whoever unlocks finds us by the claim while we keep it, by `head` otherwise. */
function sleepAsHead(thread: Thread, lock: number, node: number, keepsClaim: boolean): void {
  const { cpu, id, self } = thread;
  const address = lock + RwWords.word;
  const mine = id << CLAIM_SHIFT;
  prepareToPark(cpu, self);
  const word = cpu.load(address);
  if (isForHead(word, mine)) return;
  if (!keepsClaim && (word & CLAIM) === mine) {
    cpu.store(lock + RwWords.head, node);
    // Only while there is a writer, whose unlock then finds ASLEEP. The release pairs with the load in wakeHead.
    if (cpu.cmpxchgRelease(address, word, (word - mine) | ASLEEP) !== word) return;
  }
  sleep(thread);
}

function sleep(thread: Thread): void {
  thread.counters.parks++;
  park(thread.cpu, thread.self, Number.POSITIVE_INFINITY);
}

function wakeHead(cpu: Cpu, lock: number, word: number): void {
  const claim = (word & CLAIM) >>> CLAIM_SHIFT;
  if (claim !== 0) {
    kick(cpu, mainTask(cpu, claim));
  } else if ((word & ASLEEP) !== 0) {
    const head = cpu.load(lock + RwWords.head);
    if (head !== 0) kick(cpu, cpu.load(head + SpinNode.task));
  }
}

function mainTask(cpu: Cpu, id: number): number {
  return slotAddress(cpu, id - 1) + Slot.mainTask;
}

function kick(cpu: Cpu, task: number): void {
  if (cpu.load(task + Task.state) === SLEEPING) unpark(cpu, task);
}

/** Whether anybody holds the lock or waits for it. */
export function isBusy(cpu: Cpu, lock: number): boolean {
  const word = cpu.load(lock + RwWords.word) & (WRITER | CLAIM);
  return word !== 0 || cpu.load(lock + RwWords.tail) !== 0 || !isDrained(cpu, lock, READER_WORDS);
}

/** After deaths: takes dead readers, a dead writer and a dead head's claim out of the words. */
export function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, threads, isDead } = repairer;
  const isSettled = repairQueue(
    repairer,
    QUEUE,
    lock,
    () => {},
    (heir) => {
      if (heir !== 0) unpark(cpu, cpu.load(heir + SpinNode.task));
    },
  );
  for (let id = 1; id <= threads; id++) {
    if (isDead(id)) cpu.fetchAnd(readerWord(lock, id), ~readerBit(id));
  }
  const address = lock + RwWords.word;
  for (;;) {
    const word = cpu.load(address);
    const writer = word & WRITER;
    const claim = (word & CLAIM) >>> CLAIM_SHIFT;
    const writerDied = writer !== 0 && isDead(writer);
    const lost = (writerDied ? writer : 0) + (claim !== 0 && isDead(claim) ? word & CLAIM : 0);
    if (lost === 0) return isSettled;
    if (writerDied) cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    if (cpu.cmpxchg(address, word, word - lost) === word) wakeHead(cpu, lock, word - lost);
  }
}
