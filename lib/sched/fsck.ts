/** What does not hold in the thread table: the counterpart of `memory/fsck.ts` for tasks and what they wait for. */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Heap } from '../memory/heap.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { maxThreads, Slot, slotAddress, tasksOf } from './slot.ts';
import { Task } from './task.ts';
import { WaitList } from './wait-list.ts';

/**
 * What does not hold: a free slot with something left in it, a task in a list that does not lead to it. A thread that is
 * just being killed or repaired is no problem; for a meaningful answer the arena should be at rest. `owner`: the calling
 * thread's CPU number plus one.
 */
export function inspectThreads(cpu: Cpu, heap: Heap, owner: number): string[] {
  const problems: string[] = [];
  // The objects whose lists are looked at stay: destroying one takes this latch.
  latch(cpu, Header.namesLatch, owner);
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    const isFree = () => cpu.loadAcquire(slot + Slot.life) === 0;
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
  unlatch(cpu, Header.namesLatch);
  return problems;
}

/** What a thread has left in its slot, and must not. */
function leftIn(cpu: Cpu, number: number): string[] {
  const slot = slotAddress(cpu, number);
  const nascent = cpu.load(slot + Slot.nascent);
  const waits = (task: number) =>
    [Task.list, Task.blockedOn, Task.within].some((word) => cpu.loadAcquire(task + word) !== 0);
  const waiting = tasksOf(cpu, slot).filter(waits);
  return [
    ...(nascent === 0 ? [] : [`the free slot ${number} still notes the new block ${nascent}`]),
    ...waiting.map((task) => `the task ${task} of the free slot ${number} still waits`),
  ];
}

/** Whether the list leads to the task, or the task has left it meanwhile. */
function isInList(cpu: Cpu, heap: Heap, list: number, task: number, owner: number): boolean {
  if (heap.objectAt(list) === 0) return false;
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
