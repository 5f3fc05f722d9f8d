/**
 * The thread table: one slot for each attached thread, with its main task, its queue nodes and its journals. Slots are
 * reused, and so are the tasks that belong to them.
 *
 * `life` of a slot:
 *
 *   0                 free
 *   tid + 1           attached; tid is the worker's threadId, unique in the process
 *   tid + 1, LEAVING  the thread ends in order or detaches, and repairs what it leaves: nobody may wait for it as the
 *                     owner of something any more, because its pass may have been there already
 *   tid + 1, LEFT     it holds nothing, its slot is as a new thread expects it, and it wakes those that wait for that
 *   < 0               minus one of these: killed, to be reaped
 *
 *   attach   0 -> tid+1       leave   tid+1 -> LEAVING -> LEFT -> 0
 *   killed   x -> -x          reaped  -x -> 0
 *
 * LEAVING is what FUTEX_STATE_EXITING is in the kernel. It must be set before the thread's pass looks at anything. LEFT
 * is there because the wake-up comes after: a thread that is killed between the two must be found by its slot.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { Hold, MAIN, TASK_ALIGN, Task } from './task.ts';

/** One waiter of a queued spinning lock. All of a slot's nodes have this layout; `lib/locking/spin-queue.ts` says how it is used. */
export const SpinNode = struct({
  /** The lock whose queue the node is in or about to enter, 0 when unused. Journal: written first, cleared last. */
  lock: 1,
  /** The node in front, once it is known. */
  prev: 1,
  /** The node behind, once it has said so. */
  next: 1,
  /** Who is let in; see the table in `spin-queue.ts`. */
  locked: 1,
  /** The task that waits here. Set once. */
  task: 1,
  /** 0 while the owner of the node is between two steps that belong together, 1 otherwise. Journal. */
  settled: 1,
  /** For a reaper's node: the era in which it lined up, plus one; 0 for a waiter's, and while a reaper works on it. */
  era: 1,
  pad: LINE_WORDS - 7,
});

/** One ticket lock that a thread has a ticket for; see `lib/locking/ticket-lock.ts`. */
export const TicketEntry = struct({ lock: 1, ticket: 1, pad: 2 });

/** How many MCS locks, and how many ticket locks, a thread can hold at once. */
export const MCS_NODES = 4;
export const TICKET_ENTRIES = 4;
/** How many locks a thread's synchronous code can have records of at once; see `holds.ts`. */
export const HOLDS = 32;

/** Flags of `life`. */
const LEAVING = 1 << 29;
const LEFT = 1 << 28;

/** The least urgent priority there is. */
export const NO_CEILING = 0x7fffffff;

export const Slot = struct({
  life: 1,
  /** A block of the heap that this thread has taken and not published yet. */
  nascent: 1,
  /** First chunk of asynchronous tasks; a chunk starts with the address of the next. */
  chunks: 1,
  /** The operating system's number for the thread, 0 where it is not known. */
  osThread: 1,
  /** The head of the thread's list of robust futexes, or 0. See `futex/robust-list.ts`. */
  robustList: 1,
  /** A state for the next priority-inheriting futex that the thread waits for, or 0. See `futex/pi-state.ts`. */
  piState: 1,
  /** The thread's own priority and deadline; what its main task has may be inherited. See `priority.ts`. */
  ownPriority: 1,
  ownDue: 1,
  /** The most urgent ceiling of the PRIO_PROTECT mutexes that the thread holds, or NO_CEILING. See `pthread/mutex/mutex.ts`. */
  ceiling: 1,
  /** Root of the tree of the most urgent waiters of each rt-mutex that the thread holds. */
  topWaiters: 1,
  /** The era in which a reaper has met this death, or 0. Guarded by reaperLatch. */
  met: 1,
  pad: TASK_ALIGN - 11,
  mainTask: Task.words,
  /**
   * Where the thread waits for a SpinLock or an RwLock. The kernel has four nodes a CPU, one for each context that can
   * interrupt another; a JavaScript thread waits for one lock at a time.
   */
  spinNode: SpinNode.words,
  /** For the reaper, once the thread is dead, to line up behind the dead. */
  spinProxy: SpinNode.words,
  osqNode: SpinNode.words,
  mcsNodes: MCS_NODES * SpinNode.words,
  /** One for each MCS node, for the reaper to line up behind it. */
  mcsProxies: MCS_NODES * SpinNode.words,
  tickets: TICKET_ENTRIES * TicketEntry.words,
  holds: HOLDS * Hold.words,
});

/** Tasks that a slot takes from the heap at a time. `block`: where the heap's block starts that the chunk lies in. */
export const Chunk = struct({ next: 1, block: 1, pad: TASK_ALIGN - 2 });
export const CHUNK_TASKS = 16;
export const CHUNK_WORDS = Chunk.words + CHUNK_TASKS * Task.words;

/** Writes a slot's fixed fields: memory that no other thread can reach yet. */
export function formatSlot(cpu: Cpu, number: number): void {
  const slot = slotAddress(cpu, number);
  const task = slot + Slot.mainTask;
  cpu.write(task + Task.thread, number + 1);
  cpu.write(task + Task.mode, MAIN);
  cpu.write(slot + Slot.ceiling, NO_CEILING);
  cpu.write(slot + Slot.spinNode + SpinNode.task, task);
  cpu.write(slot + Slot.spinProxy + SpinNode.task, task);
  for (let i = 0; i < MCS_NODES; i++) {
    cpu.write(slot + Slot.mcsNodes + i * SpinNode.words + SpinNode.task, task);
    cpu.write(slot + Slot.mcsProxies + i * SpinNode.words + SpinNode.task, task);
  }
  cpu.write(slot + Slot.osqNode + SpinNode.task, task);
}

export function slotAddress(cpu: Cpu, number: number): number {
  return cpu.read(Header.threads) + number * Slot.words;
}

/** Slots in the thread table: there are no more threads, and their CPU numbers are below. */
export function maxThreads(cpu: Cpu): number {
  return cpu.read(Header.slots);
}

/** Whether the thread with this CPU number plus one was killed, and the reaper has not finished with it. */
export function isDead(cpu: Cpu, id: number): boolean {
  return cpu.loadAcquire(slotAddress(cpu, id - 1) + Slot.life) < 0;
}

/** Whether that thread is dead or leaves in order, so that its locks are about to pass to others. */
export function isDying(cpu: Cpu, id: number): boolean {
  return phaseOf(cpu.loadAcquire(slotAddress(cpu, id - 1) + Slot.life)) === 'dying';
}

/** What a slot's `life` says: 'dying' while somebody repairs, or is to repair, what the thread left. */
export function phaseOf(life: number): 'free' | 'attached' | 'dying' {
  if (life < 0 || life & LEAVING) return 'dying';
  return life === 0 || life & LEFT ? 'free' : 'attached';
}

/** The thread whose slot has `life` there will take no further step. `thread`: its tid + 1. */
export function markDead(cpu: Cpu, life: number, thread: number): void {
  const value = cpu.load(life);
  if (value > 0 && threadOf(value) === thread) cpu.cmpxchg(life, value, -value);
}

/** The tid + 1 in the `life` of a thread that has not been killed. */
export function threadOf(life: number): number {
  return life & ~(LEAVING | LEFT);
}

/** The calling thread begins to repair what it leaves. */
export function beginLeaving(cpu: Cpu, slot: number): void {
  cpu.fetchOr(slot + Slot.life, LEAVING);
}

/** The calling thread has repaired all that it leaves, and its slot is vacated. */
export function endLeaving(cpu: Cpu, slot: number): void {
  cpu.store(slot + Slot.life, (cpu.load(slot + Slot.life) & ~LEAVING) | LEFT);
}

/** Blocks start at multiples of a line, tasks at multiples of two. */
export function chunkIn(block: number): number {
  return Math.ceil(block / TASK_ALIGN) * TASK_ALIGN;
}

/** For the reaper: a dead thread is in no queue of spinners any more, and has no ticket. */
export function clearJournals(cpu: Cpu, slot: number): void {
  const first = slot + Slot.spinNode;
  const nodes = 2 + 1 + 2 * MCS_NODES;
  for (let node = first; node < first + nodes * SpinNode.words; node += SpinNode.words) {
    cpu.store(node + SpinNode.era, 0);
    cpu.store(node + SpinNode.lock, 0);
  }
  const entries = slot + Slot.tickets;
  for (let i = 0; i < TICKET_ENTRIES; i++) cpu.store(entries + i * TicketEntry.words + TicketEntry.lock, 0);
}

/** Whether a word of the slot, or of its tasks, leads to the heap block: then it stays with the slot. */
export function keepsNascent(cpu: Cpu, slot: number, block: number): boolean {
  if (cpu.load(slot + Slot.piState) === block) return true;
  // A neighbour of one line that ends where a chunk begins is no chunk: the chunk itself says which block it lies in.
  const chunk = chunkIn(block);
  if (leadsTo(cpu, slot + Slot.chunks, chunk) && cpu.read(chunk + Chunk.block) === block) return true;
  return tasksOf(cpu, slot).some((task) => leadsTo(cpu, task + Task.vector, block));
}

/** Whether the chain of chunks that starts in the word `first` has `chunk` in it. */
function leadsTo(cpu: Cpu, first: number, chunk: number): boolean {
  let link = cpu.loadAcquire(first);
  while (link !== 0 && link !== chunk) link = cpu.read(link);
  return link !== 0;
}

/** All tasks of a slot, in use or not, one after the other: the main task first. */
export function* eachTask(cpu: Cpu, slot: number): Generator<number, void> {
  yield slot + Slot.mainTask;
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) yield chunk + Chunk.words + i * Task.words;
  }
}

/** All tasks of a slot, in use or not: the main task first. */
export function tasksOf(cpu: Cpu, slot: number): number[] {
  return [slot + Slot.mainTask, ...asyncTasks(cpu, slot)];
}

/**
 * Whether a task of a live thread has lined up for a word from `address` to before `end`, and its call has not come back:
 * it sleeps, or it was woken and will look again.
 */
export function isWaitedFor(cpu: Cpu, address: number, end: number): boolean {
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.loadAcquire(slot + Slot.life) <= 0) continue;
    for (const task of tasksOf(cpu, slot)) {
      // Pairs with the release in `endWait`: what the task did to the object came before.
      const word = cpu.loadAcquire(task + Task.within);
      if (word >= address && word < end) return true;
    }
  }
  return false;
}

/** The tasks of a slot's asynchronous acquisitions, in use or not. */
export function asyncTasks(cpu: Cpu, slot: number): number[] {
  const tasks: number[] = [];
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) tasks.push(chunk + Chunk.words + i * Task.words);
  }
  return tasks;
}
