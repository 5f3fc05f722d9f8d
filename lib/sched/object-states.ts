/** What there is in an arena, and who has it: for a look at a program, not for its decisions. */

import { Heap } from '../memory/heap.ts';
import { kindById } from '../memory/kinds.ts';
import { Objects } from '../memory/object-store.ts';
import { isPresent, kindIdOf } from '../memory/objects.ts';
import { maxThreads } from './slot.ts';
import type { Thread } from './thread.ts';
import { Walk } from './waits-for.ts';

/** An object in an arena, at the moment it was looked at. */
export interface ObjectState {
  /** As messages name it: `mutex`, `rw-semaphore`. */
  readonly kind: string;
  /** Undefined for an anonymous object. */
  readonly name: string | undefined;
  readonly address: number;
  /** Numbers of the threads that hold it, or to which it has been handed. */
  readonly holders: readonly number[];
  /** Calls that wait for it. */
  readonly waiters: number;
}

/** All objects of kinds that this thread knows, by address. */
export function objectStates(thread: Thread): ObjectState[] {
  const { cpu } = thread;
  const heap = new Heap(cpu, thread.id);
  const objects = new Objects(cpu, heap, thread.id, thread.nascent);
  const walk = new Walk(thread);
  const waiters = new Map<number, number>();
  for (let number = 0; number < maxThreads(cpu); number++) {
    for (const { address } of walk.waitsOf(number)) waiters.set(address, (waiters.get(address) ?? 0) + 1);
  }
  const states: ObjectState[] = [];
  for (const address of heap.objects()) {
    const kind = kindById(kindIdOf(cpu, address));
    if (kind === undefined || !isPresent(cpu, address)) continue;
    const name = objects.nameOf(address);
    states.push({ kind: kind.name, name, address, holders: walk.holders(address), waiters: waiters.get(address) ?? 0 });
  }
  walk.end();
  return states;
}
