/**
 * Thread: a virtual CPU. A worker thread (or the main thread) that attaches to an arena takes a slot in the thread
 * table, and with it a CPU number, a main task, queue nodes for the spinning locks, and a store of tasks for its
 * asynchronous acquisitions. Slots are reused; their tasks go with them.
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
import { availableParallelism } from 'node:os';
import { HoldfastError } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { checkPriority, dueIn, setOwnPriority } from './priority.ts';
import { ASYNC, Hold, MAIN, TASK_ALIGN, Task } from './task.ts';

/** One waiter of a queued spinning lock. All of a slot's nodes have this layout; `lib/locking/spin-queue.ts` says how it is used. */
export const SpinNode = struct({
  /** The lock whose queue the node is in or about to enter, 0 when unused. Journal: written first, cleared last. */
  lock: 1,
  /** The node in front, once it is known. */
  prev: 1,
  /** The node behind, once it has said so. */
  next: 1,
  grant: 1,
  /** The task that waits here. Set once. */
  task: 1,
  /** 0 while the owner of the node is between two steps that belong together, 1 otherwise. Journal. */
  settled: 1,
  /** For a reaper's node: the era in which it lined up, plus one; 0 for a waiter's. */
  era: 1,
  pad: LINE_WORDS - 7,
});

/** One ticket lock that a thread has a ticket for; see `lib/locking/ticket-lock.ts`. */
export const TicketEntry = struct({ lock: 1, ticket: 1, phase: 1, pad: 1 });

/** Nodes of a slot for qspinlock: as in the kernel, one for each context that can interrupt another. */
export const QSPIN_NODES = 4;
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
  /** The most urgent ceiling of the PRIO_PROTECT mutexes that the thread holds, or NO_CEILING. See `pthread/mutex.ts`. */
  ceiling: 1,
  /** Root of the tree of the most urgent waiters of each rt-mutex that the thread holds. */
  topWaiters: 1,
  /** Whether a reaper has met this death. Guarded by reaperLatch. */
  met: 1,
  pad: TASK_ALIGN - 11,
  mainTask: Task.words,
  qspinNodes: QSPIN_NODES * SpinNode.words,
  osqNode: SpinNode.words,
  mcsNodes: MCS_NODES * SpinNode.words,
  /** One for each MCS node, for the reaper to line up behind it. */
  mcsProxies: MCS_NODES * SpinNode.words,
  tickets: TICKET_ENTRIES * TicketEntry.words,
  holds: HOLDS * Hold.words,
});

/** Tasks that a slot takes from the heap at a time. */
const CHUNK_TASKS = 16;
const CHUNK_WORDS = TASK_ALIGN + CHUNK_TASKS * Task.words;

/**
 * About as long as a park and unpark take. Measured on 2 cores with 2 to 8 threads and sections of 3 us: with 200 a
 * third of the throughput goes to sleeps that were not needed; more than 1600 gain nothing.
 */
const SPINS = 800;

export interface Counters {
  /** Acquisitions that could not take the fast path. */
  contended: number;
  /** Times a task of this thread went to sleep. */
  parks: number;
  /** Locks that this thread gave directly to a waiter. */
  handoffs: number;
  /** Acquisitions that learned of a dead owner. */
  ownerDeaths: number;
}

export const DETACHED = -1;

export class Thread {
  readonly cpu: Cpu;
  /** CPU number, from 0. */
  readonly number: number;
  /** CPU number plus one: what lock words and latches store. */
  readonly id: number;
  readonly slot: number;
  /** The main task's address; DETACHED after detach, which no lock word ever holds. */
  self: number;
  readonly nascent: number;
  readonly spins: number;
  /** What this thread did; kept in this thread's own memory. */
  readonly counters: Counters = { contended: 0, parks: 0, handoffs: 0, ownerDeaths: 0 };
  /** Asynchronous acquire contexts under way; see `lib/locking/ww-class.ts`. */
  asyncContexts = 0;
  /** Queue nodes in use by nested qspinlock slow paths. */
  qspinDepth = 0;
  readonly #freeTasks: number[] = [];
  #tasks = 0;

  /** `spins`: the loads that a waiter spends on spinning before it sleeps; Infinity for a machine without preemption. */
  constructor(cpu: Cpu, number: number, spins = availableParallelism() > 1 ? SPINS : 1) {
    this.cpu = cpu;
    this.spins = spins;
    this.number = number;
    this.id = number + 1;
    this.slot = slotAddress(cpu, number);
    this.self = this.slot + Slot.mainTask;
    this.nascent = this.slot + Slot.nascent;
    for (const task of asyncTasks(cpu, this.slot)) this.#freeTasks.push(task);
    this.#tasks = this.#freeTasks.length;
  }

  /** The calling thread's main task. Throws EINVAL after detach. */
  current(): number {
    if (this.self === DETACHED) throw new HoldfastError('EINVAL', 'this thread has detached from the arena');
    return this.self;
  }

  /**
   * How urgent this thread's synchronous calls are: lower goes first in every queue of the library, 0 to begin with.
   * Among equals an earlier `deadline` (ms from now) goes first, and any goes before none. What waits for a lock that
   * this thread holds can lend it a higher priority. Throws EINVAL for what is no 32-bit whole number.
   */
  setPriority(priority: number, { deadline }: { deadline?: number | undefined } = {}): void {
    this.current();
    setOwnPriority(this, checkPriority(priority), dueIn(this.cpu, deadline));
  }

  /** The priority that this thread's synchronous calls have at present: its own, or one that it has inherited. */
  get priority(): number {
    return this.cpu.load(this.slot + Slot.mainTask + Task.priority);
  }

  /** A task for one asynchronous acquisition. */
  takeTask(heap: Heap): number {
    this.current();
    if (this.#freeTasks.length === 0) this.#addChunk(heap);
    return this.#freeTasks.pop() as number;
  }

  /** Tasks that hold a lock without a guard, so that `unlock` on this thread may release it. */
  readonly unguarded = new Set<number>();
  /** Ceilings of the PRIO_PROTECT mutexes that the thread holds, by the mutex's address. */
  readonly ceilings = new Map<number, number>();

  returnTask(task: number): void {
    this.#freeTasks.push(task);
  }

  /** Asynchronous acquisitions that wait or hold. */
  get tasksInUse(): number {
    return this.#tasks - this.#freeTasks.length;
  }

  #addChunk(heap: Heap): void {
    const { cpu } = this;
    const chunk = chunkIn(heap.alloc(CHUNK_WORDS + TASK_ALIGN, this.nascent));
    cpu.write(chunk, cpu.read(this.slot + Slot.chunks));
    for (let i = CHUNK_TASKS - 1; i >= 0; i--) {
      const task = chunk + TASK_ALIGN + i * Task.words;
      for (let word = 0; word < Task.words; word++) cpu.write(task + word, 0);
      cpu.store(task + Task.thread, this.id);
      cpu.store(task + Task.mode, ASYNC);
      this.#freeTasks.push(task);
    }
    this.#tasks += CHUNK_TASKS;
    cpu.storeRelease(this.slot + Slot.chunks, chunk);
    cpu.store(this.nascent, 0);
  }
}

/** Writes a slot's fixed fields: memory that no other thread can reach yet. */
export function formatSlot(cpu: Cpu, number: number): void {
  const slot = slotAddress(cpu, number);
  const task = slot + Slot.mainTask;
  cpu.write(task + Task.thread, number + 1);
  cpu.write(task + Task.mode, MAIN);
  cpu.write(slot + Slot.ceiling, NO_CEILING);
  for (let i = 0; i < QSPIN_NODES; i++) cpu.write(slot + Slot.qspinNodes + i * SpinNode.words + SpinNode.task, task);
  for (let i = 0; i < MCS_NODES; i++) {
    cpu.write(slot + Slot.mcsNodes + i * SpinNode.words + SpinNode.task, task);
    cpu.write(slot + Slot.mcsProxies + i * SpinNode.words + SpinNode.task, task);
  }
  cpu.write(slot + Slot.osqNode + SpinNode.task, task);
}

export function slotAddress(cpu: Cpu, number: number): number {
  return cpu.read(Header.threads) + number * Slot.words;
}

export function maxThreads(cpu: Cpu): number {
  return cpu.read(Header.maxThreads);
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
function chunkIn(block: number): number {
  return Math.ceil(block / TASK_ALIGN) * TASK_ALIGN;
}

/** Whether a word of the slot, or of its tasks, leads to the heap block: then it stays with the slot. */
export function keepsNascent(cpu: Cpu, slot: number, block: number): boolean {
  if (cpu.load(slot + Slot.piState) === block) return true;
  if (leadsTo(cpu, slot + Slot.chunks, chunkIn(block))) return true;
  const tasks = [slot + Slot.mainTask, ...asyncTasks(cpu, slot)];
  return tasks.some((task) => leadsTo(cpu, task + Task.vector, block));
}

/** Whether the chain of chunks that starts in the word `first` has `chunk` in it. */
function leadsTo(cpu: Cpu, first: number, chunk: number): boolean {
  let link = cpu.loadAcquire(first);
  while (link !== 0 && link !== chunk) link = cpu.read(link);
  return link !== 0;
}

/** The tasks of a slot's asynchronous acquisitions, in use or not. */
export function asyncTasks(cpu: Cpu, slot: number): number[] {
  const tasks: number[] = [];
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) tasks.push(chunk + TASK_ALIGN + i * Task.words);
  }
  return tasks;
}
