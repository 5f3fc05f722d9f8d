/**
 * Looks at everything that the heap and the table of names keep, and says what does not hold: for tests, for the end of
 * a torture run, and for a look at an arena that misbehaves. What is guarded is read under its latch.
 */
import { shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header, NAME_BUCKETS } from './header.ts';
import type { Heap } from './heap.ts';
import { kindById, sizeOf } from './kinds.ts';
import { latch, unlatch } from './latch.ts';
import { Names } from './names.ts';
import { isPresent, nameAtOf, nameLengthOf, ObjectHeader } from './objects.ts';

/** What does not hold in the heap, the objects and the table of names; empty when all is in order. */
export function inspectMemory(cpu: Cpu, heap: Heap, owner: number): string[] {
  latch(cpu, Header.namesLatch, owner);
  const problems = heap.inspect();
  // Where the blocks do not fit together, the walk that finds the objects may not end.
  const all = problems.length === 0 ? heap.objects() : [];
  const isDestroyed = (address: number) => !isPresent(cpu, address);
  const objects = all.filter((address) => !isDestroyed(address));
  if (problems.length === 0) problems.push(...inspectDestroyed(cpu, new Set(all.filter(isDestroyed))));
  if (problems.length === 0) problems.push(...inspectObjects(cpu, objects), ...inspectNames(cpu, objects));
  unlatch(cpu, Header.namesLatch);
  return problems;
}

function inspectObjects(cpu: Cpu, objects: readonly number[]): string[] {
  const problems: string[] = [];
  for (const address of objects) {
    const kind = kindById(cpu.read(address + ObjectHeader.kind));
    if (kind === undefined) problems.push(`the object at ${address} is of a kind that this thread does not know`);
    // Objects of some kinds have texts of their own behind their words.
    else if (nameAtOf(cpu, address) < sizeOf(cpu, kind)) {
      problems.push(`the ${kind.name} at ${address} has its name at a wrong place`);
    }
  }
  return problems;
}

/** Each destroyed object that is not freed is in the list of those, once, and nothing else is. */
function inspectDestroyed(cpu: Cpu, destroyed: ReadonlySet<number>): string[] {
  const unseen = new Set(destroyed);
  for (let at = cpu.read(Header.destroyed); at !== 0; at = cpu.read(at + ObjectHeader.nextNamed)) {
    if (!unseen.delete(at)) return [`the list of destroyed objects leads to ${at}, which is none, or to it twice`];
  }
  const problems = [...unseen].map((address) => `the destroyed object at ${address} is not in the list of those`);
  const counted = cpu.read(Header.destroyedCount);
  if (counted !== destroyed.size)
    problems.push(`${counted} objects are counted as destroyed, and ${destroyed.size} are`);
  return problems;
}

/** Each named object hangs in the bucket of its name, once; nothing else hangs in any. */
function inspectNames(cpu: Cpu, objects: readonly number[]): string[] {
  const problems: string[] = [];
  const unseen = new Set(objects.filter((address) => nameLengthOf(cpu, address) > 0));
  const names = new Names(cpu);
  const buckets = cpu.read(Header.names);
  for (let bucket = 0; bucket < NAME_BUCKETS; bucket++) {
    for (let at = cpu.read(buckets + bucket); at !== 0; at = cpu.read(at + ObjectHeader.nextNamed)) {
      if (!unseen.delete(at)) {
        problems.push(`bucket ${bucket} of the names leads to ${at}, which is no named object, or to it twice`);
        break;
      }
      const name = names.nameOf(at) as string;
      if (names.bucketOf(name) === buckets + bucket) continue;
      problems.push(`the object at ${at} hangs in bucket ${bucket}, where nobody looks for its name ${shown(name)}`);
    }
  }
  for (const address of unseen) problems.push(`the named object at ${address} hangs in no bucket`);
  return problems;
}
