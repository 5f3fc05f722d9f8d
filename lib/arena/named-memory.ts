/** Memory of the program's own that threads find by a name, as they find a lock. */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import type { Objects } from '../memory/object-store.ts';
import { NAME_AT_SHIFT, ObjectHeader } from '../memory/objects.ts';
import { inLines, LINE_WORDS, struct } from '../memory/struct.ts';

/** The program's words begin behind it, with a cache line. */
const Words = struct({ header: ObjectHeader, length: 1, pad: LINE_WORDS - ObjectHeader.words - 1 });

/** An object's name stands behind its words, and is found by so many bits. */
const MOST_WORDS = 2 ** (32 - NAME_AT_SHIFT) - LINE_WORDS - 1;

const KIND: Kind = defineKind({
  name: 'memory',
  words: Words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  isIdle: () => true,
  repair: () => true,
});

/** The words of that name, at least `length` of them and all 0 at first. Throws EINVAL when there are others of that name. */
export function openMemory(cpu: Cpu, objects: Objects, length: number, name: string): number {
  if (length > MOST_WORDS) {
    throw new HoldfastError('EINVAL', `memory with a name has at most ${MOST_WORDS} words; received ${shown(length)}`);
  }
  const words = inLines(Words.words + length);
  // What is made is all 0 before it is formatted.
  const format = (_: Cpu, address: number) => cpu.write(address + Words.length, length);
  const address = objects.open({ ...KIND, words, format }, name);
  const found = cpu.read(address + Words.length);
  if (found !== length) {
    throw new HoldfastError('EINVAL', `the memory ${shown(name)} has ${found} words, not ${length}`);
  }
  return address + Words.words;
}
