/**
 * The tasks of a thread's asynchronous calls. The thread takes them from the heap in chunks, and uses them again. What is more
 * than it has needed lately goes back:
 *
 *   in the chain of the slot --- retire: all its tasks are free ---> retired --- its round is over ---> the heap's
 *
 * A task's memory is a task's as long as another thread may still write to it: late wake-ups are harmless before, and have
 * all happened after (`rounds.ts`). A chunk of which shared words may name a task that is not in use stays (`keep`).
 *
 * A thread may be killed at any step. `retire` has a chunk in both chains for a moment; the thread that has the slot next takes
 * all of them into its own (`#adopt`), because a chunk may be used again at any time. `#free` notes the block in `nascent`
 * before the chunk leaves the second chain.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { latch, tryLatchBriefly } from '../memory/latch.ts';
import { beginRound, isRoundOver } from './rounds.ts';
import { asyncTasks, CHUNK_TASKS, CHUNK_WORDS, Chunk, chunkIn, leadsTo, retiredChunks, Slot, tasksIn } from './slot.ts';
import { ASYNC, TASK_ALIGN, Task } from './task.ts';

export class TaskStore {
  readonly #cpu: Cpu;
  readonly #slot: number;
  /** The thread's CPU number plus one. */
  readonly #owner: number;
  readonly #free: number[] = [];
  readonly #kept = new Set<number>();
  #all = 0;
  /** The fewest that have been free since the last look. */
  #leastFree = 0;
  /** The round after which the retired chunks are free. */
  #round = 0;
  /** Called when there is one chunk more to look after, and not the first. */
  onGrown: (() => void) | undefined = undefined;

  constructor(cpu: Cpu, slot: number, owner: number) {
    this.#cpu = cpu;
    this.#slot = slot;
    this.#owner = owner;
    this.#adopt();
    for (const task of asyncTasks(cpu, slot)) this.#free.push(task);
    this.#all = this.#free.length;
    this.#leastFree = this.#all;
  }

  /** Tasks that are not free. */
  get inUse(): number {
    return this.#all - this.#free.length;
  }

  /** A task. `isBlocking`: waits for the heap, where the thread may; undefined where it would have to. Throws ENOMEM. */
  take(heap: Heap, isBlocking: boolean): number | undefined {
    if (this.#free.length === 0) {
      if (isBlocking) latch(this.#cpu, Header.heapLatch, this.#owner);
      else if (!tryLatchBriefly(this.#cpu, Header.heapLatch, this.#owner)) return undefined;
      this.#addChunk(heap);
    }
    const task = this.#free.pop();
    if (this.#free.length < this.#leastFree) this.#leastFree = this.#free.length;
    return task;
  }

  give(task: number): void {
    this.#free.push(task);
  }

  /** Shared words may go on naming the task when it is free, or it has memory of its own: its memory is a task's for good. */
  keep(task: number): void {
    if (this.#kept.has(task)) return;
    this.#kept.add(task);
    const cpu = this.#cpu;
    let chunk = cpu.load(this.#slot + Slot.chunks);
    while (chunk !== 0 && !tasksIn(chunk).includes(task)) chunk = cpu.read(chunk + Chunk.next);
    if (chunk !== 0) cpu.write(chunk + Chunk.isKept, 1);
  }

  /**
   * Retires chunks that have not been needed since the last look, and frees those whose round is over. Returns the round that others
   * have to tell, or 0 when none is under way.
   */
  tidy(heap: Heap): number {
    const cpu = this.#cpu;
    // One round at a time: what is retired later would have to wait for another.
    if (cpu.load(this.#slot + Slot.retired) === 0 && this.#retire()) this.#round = beginRound(cpu);
    if (cpu.load(this.#slot + Slot.retired) !== 0 && isRoundOver(cpu, this.#round, this.#owner))
      this.#freeRetired(heap);
    return cpu.load(this.#slot + Slot.retired) === 0 ? 0 : this.#round;
  }

  /** Tasks in the chain, free ones too. */
  get size(): number {
    return this.#all;
  }

  /** Whether there is more than a first chunk: then it pays to look again. */
  get isLarge(): boolean {
    return this.#all > CHUNK_TASKS;
  }

  #chunks(): number[] {
    const chunks: number[] = [];
    for (let chunk = this.#cpu.load(this.#slot + Slot.chunks); chunk !== 0; chunk = this.#cpu.read(chunk)) {
      chunks.push(chunk);
    }
    return chunks;
  }

  /** Unlinks chunks that are free and not needed, but for one. Whether there were any. */
  #retire(): boolean {
    const cpu = this.#cpu;
    let spare = Math.floor(Math.min(this.#leastFree, this.#all - CHUNK_TASKS) / CHUNK_TASKS);
    this.#leastFree = this.#free.length;
    if (spare <= 0) return false;
    const free = new Set(this.#free);
    let before = this.#slot + Slot.chunks;
    for (const chunk of this.#chunks()) {
      const isIdle =
        spare > 0 && cpu.read(chunk + Chunk.isKept) === 0 && tasksIn(chunk).every((task) => free.has(task));
      if (!isIdle) {
        before = chunk + Chunk.next;
        continue;
      }
      for (const task of tasksIn(chunk)) free.delete(task);
      cpu.write(chunk + Chunk.nextRetired, cpu.load(this.#slot + Slot.retired));
      cpu.storeRelease(this.#slot + Slot.retired, chunk);
      // Its own link stays: a thread that is at the chunk goes on from there. Pairs with the acquires of those that walk the chain.
      cpu.storeRelease(before, cpu.read(chunk + Chunk.next));
      spare--;
      this.#all -= CHUNK_TASKS;
    }
    const hasRetired = free.size < this.#free.length;
    if (hasRetired) this.#free.splice(0, this.#free.length, ...free);
    this.#leastFree = this.#free.length;
    return hasRetired;
  }

  #freeRetired(heap: Heap): void {
    const cpu = this.#cpu;
    const first = this.#slot + Slot.retired;
    for (let chunk = cpu.load(first); chunk !== 0; chunk = cpu.load(first)) {
      // On an event loop: the rest next time, if another thread has the heap.
      if (!tryLatchBriefly(cpu, Header.heapLatch, this.#owner)) return;
      const nascent = this.#slot + Slot.nascent;
      const block = cpu.read(chunk + Chunk.block);
      cpu.store(nascent, block);
      cpu.store(first, cpu.read(chunk + Chunk.nextRetired));
      heap.freeAndUnlatch(block, nascent);
    }
  }

  /** The slot's last thread may have left chunks retired, in its chain still or not any more. */
  #adopt(): void {
    const cpu = this.#cpu;
    const chain = this.#slot + Slot.chunks;
    for (const chunk of retiredChunks(cpu, this.#slot)) {
      if (leadsTo(cpu, chain, chunk)) continue;
      // A thread may be at the chunk still that came by before it was retired.
      cpu.storeRelease(chunk + Chunk.next, cpu.read(chain));
      cpu.storeRelease(chain, chunk);
    }
    if (cpu.load(this.#slot + Slot.retired) !== 0) cpu.store(this.#slot + Slot.retired, 0);
  }

  /** The thread has heapLatch, which is free afterwards. */
  #addChunk(heap: Heap): void {
    const cpu = this.#cpu;
    const nascent = this.#slot + Slot.nascent;
    const words = CHUNK_WORDS + TASK_ALIGN;
    const block = heap.allocAndUnlatch(words, nascent);
    if (block === 0) throw heap.exhausted(words, 'more asynchronous calls that wait');
    const chunk = chunkIn(block);
    cpu.write(chunk + Chunk.next, cpu.read(this.#slot + Slot.chunks));
    cpu.write(chunk + Chunk.block, block);
    cpu.write(chunk + Chunk.isKept, 0);
    for (let i = CHUNK_TASKS - 1; i >= 0; i--) {
      const task = chunk + Chunk.words + i * Task.words;
      for (let word = 0; word < Task.words; word++) cpu.write(task + word, 0);
      cpu.store(task + Task.thread, this.#owner);
      cpu.store(task + Task.mode, ASYNC);
      this.#free.push(task);
    }
    this.#all += CHUNK_TASKS;
    // Pairs with the acquires in `eachTask`, `asyncTasks` and `findAsyncTask` (slot.ts): a chunk that is found is filled. So is
    // a task that is found in a lock's word: the barrier pairs with the acquire there (`refuse` in mutex-core.ts and wait.ts).
    cpu.wmb();
    cpu.storeRelease(this.#slot + Slot.chunks, chunk);
    cpu.store(nascent, 0);
    if (this.isLarge) this.onGrown?.();
  }
}
