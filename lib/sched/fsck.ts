/** What does not hold in the thread table: the counterpart of `memory/fsck.ts` for tasks, and what they wait for and hold. */
import type { Cpu } from '../machine/cpu.ts';
import { inspectMemory } from '../memory/fsck.ts';
import { Header, headerFaults } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { latch, latchOwner, lookAt, unlatch } from '../memory/latch.ts';
import { isPresent } from '../memory/objects.ts';
import { LINE_WORDS } from '../memory/struct.ts';
import { inspectObjectWords, isWaitList } from './fsck-objects.ts';
import { HoldTable, holdFaults } from './holds.ts';
import { Chunk, chunkIn, maxThreads, Slot, slotAddress, strayHolder, tasksOf } from './slot.ts';
import { ASYNC, MAIN, Task } from './task.ts';
import { inspectTimers } from './timer.ts';
import { Vector } from './vector.ts';
import { WaitList } from './wait-list.ts';

/**
 * What does not hold in the arena. A thread that is just being killed or repaired is no problem; for a meaningful answer the
 * arena should be at rest. `owner`: the calling thread's CPU number plus one.
 */
export function inspectArena(cpu: Cpu, heap: Heap, owner: number): string[] {
  // Where the parts do not lie where the header says, nothing can be found.
  const displaced = headerFaults(cpu, Slot.words);
  if (displaced.length > 0) return displaced;
  const latched = inspectLatches(cpu);
  // To wait for what no thread will release takes for ever.
  if (latched.length > 0) return latched;
  const problems = inspectMemory(cpu, heap, owner);
  const isWhole = problems.length === 0;
  // The objects that are looked at stay: destroying one takes this latch.
  latch(cpu, Header.namesLatch, owner);
  const torn = inspectChains(cpu, heap);
  problems.push(...torn);
  // Where the chains of tasks do not end, a look for a task does not, either.
  if (torn.length === 0) {
    problems.push(...lookAt('the thread table ', () => inspectThreads(cpu, heap, owner)));
    if (isWhole)
      problems.push(...inspectObjectWords(cpu, heap, owner), ...inspectTimers(cpu, owner, () => heap.objects()));
  }
  unlatch(cpu, Header.namesLatch);
  return problems;
}

const LATCHES = ['namesLatch', 'heapLatch', 'reaperLatch', 'priorityLatch', 'timerLatch'] as const;

/** A latch that is held by a thread that there is not: not even the reaper can release it. */
function inspectLatches(cpu: Cpu): string[] {
  const holders = LATCHES.map((name) => ({ name, id: strayHolder(cpu, () => latchOwner(cpu, Header[name])) }));
  return holders
    .filter(({ id }) => id !== 0)
    .map(({ name, id }) => `${name} is held by thread ${id - 1}, and there is none`);
}

/** Chains of blocks that a slot or its tasks start, which lead to what is none, or in a circle. */
function inspectChains(cpu: Cpu, heap: Heap): string[] {
  const problems: string[] = [];
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const isChunk = (at: number) => {
      const block = heap.covers(at, LINE_WORDS) ? cpu.read(at + Chunk.block) : 0;
      return heap.isPlain(block) && chunkIn(block) === at;
    };
    const isBlock = (at: number) => heap.isPlain(at);
    const torn = [
      strayOf(cpu, slot + Slot.chunks, Chunk.next, isChunk),
      strayOf(cpu, slot + Slot.retired, Chunk.nextRetired, isChunk),
      strayOf(cpu, slot + HoldTable.more, 0, isBlock),
    ];
    const isTorn = torn.some((stray) => stray !== 0);
    for (const task of isTorn ? [] : tasksOf(cpu, slot)) torn.push(strayOf(cpu, task + Vector.chunks, 0, isBlock));
    const strays = torn.filter((stray) => stray !== 0);
    problems.push(
      ...strays.map((at) => `slot ${number} leads to ${at} as a chunk of its own, which is none, or to it twice`),
    );
  }
  return problems;
}

/** The first that is not one of the chain from the word `first`, or that it leads to twice; 0 when there is none. */
function strayOf(cpu: Cpu, first: number, next: number, isOne: (at: number) => boolean): number {
  const seen = new Set<number>();
  let at = cpu.loadAcquire(first);
  for (; at !== 0 && isOne(at) && !seen.has(at); at = cpu.read(at + next)) seen.add(at);
  return at;
}

function inspectThreads(cpu: Cpu, heap: Heap, owner: number): string[] {
  const problems: string[] = [];
  const isObject = (address: number) => heap.isObject(address) && isPresent(cpu, address);
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const isFree = () => cpu.loadAcquire(slot + Slot.life) === 0;
    problems.push(...holdFaults(cpu, slot, isObject).map((fault) => `slot ${number} ${fault}`));
    problems.push(...identityFaults(cpu, slot, number));
    if (isFree()) {
      const left = leftIn(cpu, number);
      // A thread that has taken the slot meanwhile may wait.
      if (isFree()) problems.push(...left);
      continue;
    }
    for (const task of tasksOf(cpu, slot)) {
      const list = cpu.load(task + Task.list);
      if (list === 0 || isInList(cpu, heap, list, task, owner)) continue;
      problems.push(
        `the task ${task} of slot ${number} says that it is in the list at ${list}, which does not lead to it and back`,
      );
    }
  }
  return problems;
}

/** Tasks that say that they are another thread's, or of another sort. */
function identityFaults(cpu: Cpu, slot: number, number: number): string[] {
  const isWrong = (task: number, i: number) =>
    cpu.load(task + Task.thread) !== number + 1 || cpu.load(task + Task.mode) !== (i === 0 ? MAIN : ASYNC);
  return tasksOf(cpu, slot)
    .filter(isWrong)
    .map((task) => `the task ${task} of slot ${number} says that it is another thread's, or of another sort`);
}

/** What a thread has left in its slot, and must not. */
function leftIn(cpu: Cpu, number: number): string[] {
  const slot = slotAddress(cpu, number);
  const waits = (task: number) =>
    [Task.list, Task.blockedOn, Task.within].some((word) => cpu.loadAcquire(task + word) !== 0);
  const waiting = tasksOf(cpu, slot).filter(waits);
  const [nascent, entering] = [cpu.load(slot + Slot.nascent), cpu.load(slot + Slot.entering)];
  return [
    ...(nascent === 0 ? [] : [`the free slot ${number} still notes the new block ${nascent}`]),
    ...(entering === 0 ? [] : [`the free slot ${number} is still about to change the object at ${entering}`]),
    ...waiting.map((task) => `the task ${task} of the free slot ${number} still waits`),
  ];
}

/** Whether the list leads to the task, or the task has left it meanwhile. */
function isInList(cpu: Cpu, heap: Heap, list: number, task: number, owner: number): boolean {
  // Any other word would be taken for a latch.
  if (!heap.covers(list, WaitList.words) || !isWaitList(cpu, heap, list)) return false;
  if (strayHolder(cpu, () => latchOwner(cpu, list + WaitList.latch)) !== 0) return true;
  latch(cpu, list + WaitList.latch, owner);
  const isMember = leadsTo(cpu, list + WaitList.first, task);
  const isGone = cpu.load(task + Task.list) !== list;
  unlatch(cpu, list + WaitList.latch);
  return isMember || isGone;
}

/** Whether the links from the word `head` are a ring, there and back, with the task in it. They may lead anywhere, and never end. */
function leadsTo(cpu: Cpu, head: number, task: number): boolean {
  const seen = new Set<number>();
  const first = cpu.load(head);
  for (let node = first; node !== 0 && !seen.has(node); ) {
    seen.add(node);
    const next = cpu.read(node + Task.next);
    if (cpu.read(next + Task.prev) !== node) return false;
    if (next === first) return seen.has(task);
    node = next;
  }
  return false;
}
