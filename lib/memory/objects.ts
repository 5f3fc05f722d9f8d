/**
 * What every shared object starts with. How objects are made, named and destroyed is in `object-store.ts`.
 */
import type { Cpu } from '../machine/cpu.ts';
import { struct } from './struct.ts';

export const ObjectHeader = struct({
  /** The kind's id; DYING or CLOSING above it when the object is about to be destroyed; CLOSING once it is. */
  kind: 1,
  /** The next object in the name's bucket, or the next one that was destroyed. Guarded by namesLatch. */
  nextNamed: 1,
  /**
   * Bytes of the UTF-8 name behind the object's own words, 0 for an anonymous object; and above those 8 bits the offset of
   * the name, words: a thread need not know the kind to compare names.
   */
  name: 1,
  /** Which objects there have been at this address: what tells a handle of an earlier one. Set once; destroyed: the stamp. */
  serial: 1,
  /** The threads that have opened it, one bit for all whose numbers are equal modulo 32. Guarded by namesLatch. */
  viewers: 1,
  /**
   * The stamp that its maker had acknowledged then, or a thread that has opened it, whichever is the earliest: all that have opened it
   * have acknowledged as much. Guarded by namesLatch.
   */
  born: 1,
});

/** For `isPresent`, on fast paths: a constant of this file alone, which V8 has in the code. */
const KIND = ObjectHeader.kind;

/** Added to the id of a kind, which is one more than a multiple of four. */
export const DYING = -1;
export const CLOSING = 1;

/** The kind's id, also of an object that was destroyed. */
export function kindIdOf(cpu: Cpu, object: number): number {
  return (cpu.load(object + ObjectHeader.kind) & ~3) | 1;
}

const NAME_LENGTH = 0xff;
export const NAME_AT_SHIFT = 8;

/** Bytes of the object's name; 0 for an anonymous object. */
export function nameLengthOf(cpu: Cpu, object: number): number {
  return cpu.read(object + ObjectHeader.name) & NAME_LENGTH;
}

/** Offset of the object's name, words. */
export function nameAtOf(cpu: Cpu, object: number): number {
  return cpu.read(object + ObjectHeader.name) >>> NAME_AT_SHIFT;
}

/** The bit of thread `number` in a set of viewers. */
export function viewerBit(number: number): number {
  return 1 << (number & 31);
}

/**
 * Whether the object was not destroyed, nor is about to be. Ordered behind a fully ordered operation, with which the caller
 * has got in, as a `load` is.
 */
export function isPresent(cpu: Cpu, object: number): boolean {
  return (cpu.loadUnordered(object + KIND) & 1) !== 0;
}
