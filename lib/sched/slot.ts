/**
 * The thread table: one slot for each attached thread, with its main task and the words that rooms want there
 * (`areas.ts`). Slots are reused, and so are the tasks that belong to them.
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
import type { Viewers } from '../memory/object-store.ts';
import { viewerBit } from '../memory/objects.ts';
import { type Length, struct, wordName } from '../memory/struct.ts';
import { Areas, LINE_AREAS, SHORT_AREAS, type Upkeep } from './areas.ts';
import { keepsInTask, knowsTaskAreas, MAIN, TASK_ALIGN, Task, taskWordName, vacateTask } from './task.ts';

/** Flags of `life`. */
const LEAVING = 1 << 29;
const LEFT = 1 << 28;

export const Slot = struct({
  life: 1,
  /** A block of the heap that this thread has taken and not published yet. */
  nascent: 1,
  /** First chunk of asynchronous tasks; a chunk starts with the address of the next. */
  chunks: 1,
  /** The operating system's number for the thread, 0 where it is not known. */
  osThread: 1,
  /** The era in which a reaper has met this death, or 0. Guarded by reaperLatch. */
  met: 1,
  /** The thread has no view any more of objects that were destroyed up to this stamp; see `memory/objects.ts`. */
  acknowledged: 1,
  /** The object whose words the thread is about to change without lining up, or that it destroys; 0 for none. `destroy` looks here, too. */
  entering: 1,
  /** The round up to which the thread has told that it is between two turns, and what it is rung by; see `rounds.ts`. */
  round: 1,
  bell: 1,
  /** First chunk of those that are free once their round is over, or 0; each names the next in `nextRetired`. */
  retired: 1,
  /** The word that the thread sleeps on between two turns, if that is not its main task's; else 0. See `Thread.restOn`. */
  restsAt: 1,
  /** So that the main task lies at a multiple of TASK_ALIGN. */
  shortAreas: TASK_ALIGN - 11,
  mainTask: Task,
  lineAreas: Math.ceil(struct(LINE_AREAS).words / TASK_ALIGN) * TASK_ALIGN,
});

const shortAreas = new Areas(SHORT_AREAS, Slot.shortAreas, Slot.mainTask - Slot.shortAreas);
const lineAreas = new Areas(LINE_AREAS, Slot.lineAreas, Slot.words - Slot.lineAreas);

/** Declares the fields of a room's area in every slot. What comes back maps each to its offset in the slot. */
export function slotArea<const F extends Record<string, Length>>(
  name: keyof typeof SHORT_AREAS | keyof typeof LINE_AREAS,
  fields: F,
  upkeep: Upkeep = {},
): { readonly [Field in keyof F]: number } {
  return name in SHORT_AREAS
    ? shortAreas.declare(name as keyof typeof SHORT_AREAS, fields, upkeep)
    : lineAreas.declare(name as keyof typeof LINE_AREAS, fields, upkeep);
}

/** Attached threads whose word `heard` of the slot does not hold `session`. */
export function countUnheard(cpu: Cpu, heard: number, session: number): number {
  let count = 0;
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.load(slot + Slot.life) > 0 && cpu.load(slot + heard) !== session) count++;
  }
  return count;
}

/** The name of the word at `offset` of a slot. */
export function slotWordName(offset: number): string {
  const inTask = offset - Slot.mainTask;
  if (inTask >= 0 && inTask < Task.words) return `mainTask.${taskWordName(inTask)}`;
  return shortAreas.wordName(offset) ?? lineAreas.wordName(offset) ?? wordName(Slot, offset);
}

/** Tasks that a slot takes from the heap at a time. */
export const Chunk = struct({
  next: 1,
  /** Where the heap's block starts that the chunk lies in. */
  block: 1,
  /** 1: shared words may name a task of it that is not in use; see `TaskStore.keep`. */
  isKept: 1,
  nextRetired: 1,
  pad: TASK_ALIGN - 4,
});
export const CHUNK_TASKS = 16;
export const CHUNK_WORDS = Chunk.words + CHUNK_TASKS * Task.words;

/** Writes a slot's fixed fields: memory that is all zero and that no other thread can reach yet. */
export function formatSlot(cpu: Cpu, number: number): void {
  const task = slotAddress(cpu, number) + Slot.mainTask;
  cpu.write(task + Task.thread, number + 1);
  cpu.write(task + Task.mode, MAIN);
}

export function slotAddress(cpu: Cpu, number: number): number {
  return cpu.read(Header.threads) + number * Slot.words;
}

/** The number of the slot that the word at `address` lies in. */
export function slotNumberAt(cpu: Cpu, address: number): number {
  return Math.floor((address - cpu.read(Header.threads)) / Slot.words);
}

/** Slots in the thread table: there are no more threads, and their CPU numbers are below. */
export function maxThreads(cpu: Cpu): number {
  return cpu.read(Header.slots);
}

/** What `holder` says, if that is the CPU number plus one of no thread, dead or alive; else 0. */
export function strayHolder(cpu: Cpu, holder: () => number): number {
  const isThread = (id: number) =>
    id > 0 && id <= maxThreads(cpu) && cpu.loadAcquire(slotAddress(cpu, id - 1) + Slot.life) !== 0;
  const id = holder();
  if (id === 0 || isThread(id)) return 0;
  // A thread may have released what it held, and left, between the two.
  return holder() === id && !isThread(id) ? id : 0;
}

/** Whether the thread with this CPU number plus one was killed, and the reaper has not finished with it. */
export function isDead(cpu: Cpu, id: number): boolean {
  // Pairs with `markDead`, which says so: what the dead thread did is seen.
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

/** Whether this thread has loaded the rooms of all areas that have been used in the slot and its tasks. */
export function knowsAreas(cpu: Cpu, slot: number): boolean {
  return (
    shortAreas.areKnown(cpu, slot) &&
    lineAreas.areKnown(cpu, slot) &&
    tasksOf(cpu, slot).every((task) => knowsTaskAreas(cpu, task))
  );
}

/** Whether a word of the slot, or of its tasks, leads to the heap block: then it stays with the slot. */
export function keepsNascent(cpu: Cpu, slot: number, block: number): boolean {
  // A neighbour of one line that ends where a chunk begins is no chunk: the chunk itself says which block it lies in.
  const chunk = chunkIn(block);
  const isChunk = leadsTo(cpu, slot + Slot.chunks, chunk) || retiredChunks(cpu, slot).includes(chunk);
  if (isChunk && cpu.read(chunk + Chunk.block) === block) return true;
  if (shortAreas.keeps(cpu, slot, block) || lineAreas.keeps(cpu, slot, block)) return true;
  return tasksOf(cpu, slot).some((task) => keepsInTask(cpu, task, block));
}

/**
 * For the reaper: leaves a slot as a new thread expects it, but for `life` and what tells whether the thread exists.
 * Journals too: what still names a lock here names one that was destroyed before a reaper came.
 */
export function vacate(cpu: Cpu, slot: number): void {
  shortAreas.vacate(cpu, slot);
  lineAreas.vacate(cpu, slot);
  for (const task of tasksOf(cpu, slot)) vacateTask(cpu, task);
  cpu.store(slot + Slot.entering, 0);
  cpu.store(slot + Slot.restsAt, 0);
  cpu.store(slot + Slot.met, 0);
}

/** Whether the chain of blocks that starts in the word `first`, each with the next in its first word, has `chunk` in it. */
export function leadsTo(cpu: Cpu, first: number, chunk: number): boolean {
  let link = cpu.loadAcquire(first);
  while (link !== 0 && link !== chunk) link = cpu.read(link);
  return link !== 0;
}

/** The next chunk in the slot's chain, for any thread. */
function chunkBehind(cpu: Cpu, chunk: number): number {
  // Pairs with the releases in `#retire` and `#adopt` (task-store.ts): the link changes while others walk the chain.
  return cpu.loadAcquire(chunk + Chunk.next);
}

/** All tasks of a slot, in use or not, one after the other: the main task first. */
export function* eachTask(cpu: Cpu, slot: number): Generator<number, void> {
  yield slot + Slot.mainTask;
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = chunkBehind(cpu, chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) yield chunk + Chunk.words + i * Task.words;
  }
}

/**
 * All tasks of the first `threads` slots, in use or not, slot by slot; of those for which `include` holds, of the slot's CPU
 * number plus one.
 */
export function* everyTask(cpu: Cpu, threads: number, include = (_id: number) => true): Generator<number, void> {
  for (let number = 0; number < threads; number++) {
    if (include(number + 1)) yield* eachTask(cpu, slotAddress(cpu, number));
  }
}

/** Whether `task`, which may be any number, is a task of the slot. */
export function isTaskOf(cpu: Cpu, slot: number, task: number): boolean {
  return task === slot + Slot.mainTask || findAsyncTask(cpu, slot, (each) => each === task) !== 0;
}

/** All tasks of a slot, in use or not: the main task first. */
export function tasksOf(cpu: Cpu, slot: number): number[] {
  return [slot + Slot.mainTask, ...asyncTasks(cpu, slot)];
}

/**
 * Whether a task of a live thread has lined up for a word from `address` to before `end`, and its call has not come back:
 * it sleeps, or it was woken and will look again. Or whether a thread other than `destroyer`, a CPU number plus one, is about to
 * change words of an object that starts there.
 */
export function isWaitedFor(cpu: Cpu, address: number, end: number, destroyer = 0): boolean {
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    // Pairs with the release that frees a slot (arena/reaper.ts).
    if (cpu.loadAcquire(slot + Slot.life) <= 0) continue;
    const entering = cpu.loadAcquire(slot + Slot.entering);
    if (entering >= address && entering < end && number + 1 !== destroyer) return true;
    for (const task of tasksOf(cpu, slot)) {
      // Pairs with the release in `endWait`: what the task did to the object came before.
      const word = cpu.loadAcquire(task + Task.within);
      if (word >= address && word < end) return true;
    }
  }
  return false;
}

/** The threads of the arena as the views of objects see them. `owner`: the calling thread's CPU number plus one. */
export function viewersFor(cpu: Cpu, owner: number): Viewers {
  const reaches = (viewers: number, born: number, stamp: number, number: number) => {
    if ((viewers & viewerBit(number)) === 0) return false;
    const slot = slotAddress(cpu, number);
    // One that was killed counts until the reaper is done: it may have left something half-done in the object, or in what
    // the object has of the heap. The acquire pairs with the release that frees a slot.
    if (cpu.loadAcquire(slot + Slot.life) === 0) return false;
    // Pairs with the release below: what the thread did with its views came before.
    const acknowledged = cpu.loadAcquire(slot + Slot.acknowledged);
    return ((acknowledged - born) | 0) >= 0 && ((stamp - acknowledged) | 0) > 0;
  };
  return {
    mayReach(viewers, born, stamp) {
      for (let number = 0; number < maxThreads(cpu); number++) if (reaches(viewers, born, stamp, number)) return true;
      return false;
    },
    enter: (address) => cpu.store(slotAddress(cpu, owner - 1) + Slot.entering, address),
    // Pairs with the acquire above: what this thread did with its views comes before.
    acknowledge: (stamp) => cpu.storeRelease(slotAddress(cpu, owner - 1) + Slot.acknowledged, stamp),
  };
}

/** The first of `asyncTasks` for which `test` holds, or 0. */
export function findAsyncTask(cpu: Cpu, slot: number, test: (task: number) => boolean): number {
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = chunkBehind(cpu, chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) {
      const task = chunk + Chunk.words + i * Task.words;
      if (test(task)) return task;
    }
  }
  return 0;
}

/** The tasks of a slot's asynchronous acquisitions, in use or not. */
export function asyncTasks(cpu: Cpu, slot: number): number[] {
  const tasks: number[] = [];
  for (let chunk = cpu.loadAcquire(slot + Slot.chunks); chunk !== 0; chunk = chunkBehind(cpu, chunk)) {
    for (let i = 0; i < CHUNK_TASKS; i++) tasks.push(chunk + Chunk.words + i * Task.words);
  }
  return tasks;
}

/** The tasks of one chunk. */
export function tasksIn(chunk: number): number[] {
  return Array.from({ length: CHUNK_TASKS }, (_, i) => chunk + Chunk.words + i * Task.words);
}

/** The slot's chunks that are free once their round is over. */
export function retiredChunks(cpu: Cpu, slot: number): number[] {
  const chunks: number[] = [];
  for (let chunk = cpu.load(slot + Slot.retired); chunk !== 0; chunk = cpu.read(chunk + Chunk.nextRetired)) {
    chunks.push(chunk);
  }
  return chunks;
}
