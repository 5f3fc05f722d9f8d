/** What does not hold in the objects' own words: their wait lists, who holds them, and what their kinds look at. */
import type { Cpu } from '../machine/cpu.ts';
import type { Heap } from '../memory/heap.ts';
import { type Kind, kindById } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import { partsIn } from '../memory/struct.ts';
import { everyTask, maxThreads, strayHolder } from './slot.ts';
import { Task } from './task.ts';
import { underLatch } from './under-latch.ts';
import { nodesOf } from './vector.ts';
import { WaitList } from './wait-list.ts';

/** The caller has namesLatch, and knows that the heap and the tasks' chains are whole. */
export function inspectObjectWords(cpu: Cpu, heap: Heap, owner: number): string[] {
  const problems: string[] = [];
  const nodes = new Nodes(cpu);
  for (const address of heap.objects()) {
    const kind = kindById(cpu.read(address + ObjectHeader.kind));
    // Of one that was destroyed the words are closed.
    if (kind === undefined || !isPresent(cpu, address)) continue;
    const faults = [...holderFaults(cpu, kind, address)];
    faults.push(...(kind.inspect?.(cpu, address, owner) ?? []));
    for (const at of listsOf(kind)) faults.push(...listFaults(cpu, address + at, nodes, owner));
    problems.push(...faults.map((fault) => `the ${kind.name} at ${address} ${fault}`));
  }
  return problems;
}

/** All that may be in a wait list. */
class Nodes {
  readonly #cpu: Cpu;
  #all: Set<number> | undefined;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  has(node: number): boolean {
    this.#all ??= this.#find();
    return this.#all.has(node);
  }

  #find(): Set<number> {
    const cpu = this.#cpu;
    const all = new Set<number>();
    for (const task of everyTask(cpu, maxThreads(cpu))) {
      all.add(task);
      for (const node of nodesOf(cpu, task)) all.add(node);
    }
    return all;
  }
}

function holderFaults(cpu: Cpu, kind: Kind<never>, address: number): string[] {
  const fault = ['is held by a thread that there is not'];
  try {
    return strayHolder(cpu, () => kind.holder(cpu, address)) === 0 ? [] : fault;
  } catch (error) {
    // Of a word that leads out of the memory.
    if (!(error instanceof RangeError)) throw error;
    return fault;
  }
}

/** Whether there is a wait list of a shared object's. */
export function isWaitList(cpu: Cpu, heap: Heap, list: number): boolean {
  const address = heap.objectAt(list);
  const kind = address === 0 ? undefined : kindById(cpu.read(address + ObjectHeader.kind));
  return kind !== undefined && listsOf(kind).includes(list - address);
}

const lists = new Map<Kind<never>, readonly number[]>();

/** Where the wait lists of such an object are. */
function listsOf(kind: Kind<never>): readonly number[] {
  let found = lists.get(kind);
  if (found === undefined) lists.set(kind, (found = kind.layout === null ? [] : partsIn(kind.layout, WaitList)));
  return found;
}

function listFaults(cpu: Cpu, list: number, nodes: Nodes, owner: number): readonly string[] {
  return underLatch(cpu, list + WaitList.latch, owner, () => ringFaults(cpu, list, nodes));
}

/** The list may lead anywhere, and never end. */
function ringFaults(cpu: Cpu, list: number, nodes: Nodes): string[] {
  const seen = new Set<number>();
  const first = cpu.load(list + WaitList.first);
  let rank = Number.NEGATIVE_INFINITY;
  for (let node = first; node !== 0; node = cpu.read(node + Task.next)) {
    if (seen.has(node)) return node === first ? [] : [`has ${node} in its wait list twice`];
    if (!nodes.has(node)) return [`has ${node} in its wait list, which is no task`];
    if (cpu.load(node + Task.list) !== list) return [`has the task ${node} in its wait list, which says otherwise`];
    if (cpu.read(node + Task.rank) < rank) return [`has the task ${node} in its wait list behind less urgent ones`];
    if (cpu.read(cpu.read(node + Task.next) + Task.prev) !== node)
      return [`has a wait list that does not lead back to ${node}`];
    rank = cpu.read(node + Task.rank);
    seen.add(node);
  }
  return first === 0 ? [] : ['has a wait list that ends, where its links should be a ring'];
}
