/**
 * Nodes for a task that waits for several words at once: it is in one wait list itself at most, so nodes of its own
 * stand in for it. A node has the layout of a task as far as `sleeper`, so wait lists take either.
 *
 *   Vector.chunks -> chunk: next chunk | node 0 | node 1 | ... node 14     (a cache line each)
 *
 * Chunks stay with the task for good, as such a task does with its slot (`TaskStore.keep`): a thread that dies leaves them to
 * the next thread in its slot, and nobody has to free them.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import type { Repairer } from '../memory/repairer.ts';
import { inLines, LINE_WORDS } from '../memory/struct.ts';
import { everyTask, leadsTo } from './slot.ts';
import { latched, type SlowPath, type Waiter } from './slow-path.ts';
import { Task, taskArea } from './task.ts';
import type { Thread } from './thread.ts';

export const Vector = taskArea(
  'vector',
  {
    /** In a node, or in a task that stands in for another: the task that it stands in for; else 0. */
    sleeper: 1,
    /** In a task: its first chunk of nodes. */
    chunks: 1,
  },
  {
    vacate: (cpu, task) => cpu.store(task + Vector.sleeper, 0),
    keeps: (cpu, task, block): boolean => leadsTo(cpu, task + Vector.chunks, block),
  },
);

/** Words of a node: those of a task that wait lists use, and `sleeper`. */
const NODE_WORDS = inLines(Vector.sleeper + 1);
const CHUNK_NODES = 15;
export const CHUNK_WORDS = LINE_WORDS + CHUNK_NODES * NODE_WORDS;

/** `count` nodes for the waiter's task; fewer when there is no memory for them. */
export function* reserveNodes(waiter: Waiter, heap: Heap, count: number): SlowPath<number[]> {
  const { thread, task } = waiter;
  const { cpu } = thread;
  let nodes = nodesOf(cpu, task);
  if (waiter.async) thread.tasks.keep(task);
  while (nodes.length < count) {
    yield* latched(waiter, Header.heapLatch);
    if (!addChunk(thread, heap, task)) break;
    nodes = nodesOf(cpu, task);
  }
  for (const node of nodes) cpu.store(node + Task.priority, cpu.load(task + Task.priority));
  return nodes.slice(0, count);
}

/** The nodes of all tasks in the arena. */
export function vectorNodes({ cpu, threads }: Repairer): number[] {
  const nodes: number[] = [];
  for (const task of everyTask(cpu, threads)) nodes.push(...nodesOf(cpu, task));
  return nodes;
}

/** The nodes that stand in for `task`, in use or not. */
export function nodesOf(cpu: Cpu, task: number): number[] {
  const nodes: number[] = [];
  // Pairs with the release that adds a chunk: one that is found is filled.
  for (let chunk = cpu.loadAcquire(task + Vector.chunks); chunk !== 0; chunk = cpu.read(chunk)) {
    for (let i = 0; i < CHUNK_NODES; i++) nodes.push(chunk + LINE_WORDS + i * NODE_WORDS);
  }
  return nodes;
}

/** A task that waits in place of the thread's main one, as urgent as that is now. */
export function takeStandIn(thread: Thread, heap: Heap): number {
  const { cpu, self } = thread;
  const task = thread.takeTask(heap);
  cpu.store(task + Task.priority, cpu.load(self + Task.priority));
  cpu.store(task + Task.due, cpu.load(self + Task.due));
  cpu.store(task + Vector.sleeper, self);
  return task;
}

export function returnStandIn(thread: Thread, task: number): void {
  for (const field of [Task.priority, Task.due, Vector.sleeper]) thread.cpu.store(task + field, 0);
  thread.returnTask(task);
}

/** The thread has heapLatch, which is free afterwards. */
function addChunk({ cpu, nascent }: Thread, heap: Heap, task: number): boolean {
  const chunk = heap.allocAndUnlatch(CHUNK_WORDS, nascent);
  if (chunk === 0) return false;
  for (let word = 0; word < CHUNK_WORDS; word++) cpu.write(chunk + word, 0);
  cpu.write(chunk, cpu.load(task + Vector.chunks));
  for (let i = 0; i < CHUNK_NODES; i++) {
    const node = chunk + LINE_WORDS + i * NODE_WORDS;
    cpu.write(node + Task.thread, cpu.load(task + Task.thread));
    cpu.write(node + Task.mode, cpu.load(task + Task.mode));
    cpu.write(node + Vector.sleeper, task);
  }
  // Pairs with the acquire of a reaper that looks for nodes.
  cpu.storeRelease(task + Vector.chunks, chunk);
  cpu.store(nascent, 0);
  return true;
}
