/**
 * The arena's table of names: a hash table whose chains go through the objects' own headers. Guarded by namesLatch, which
 * the caller holds, except where only an object's own name is read.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header, NAME_BUCKETS } from './header.ts';
import { hash } from './kinds.ts';
import { nameAtOf, nameLengthOf, ObjectHeader } from './objects.ts';
import { readBytes, readText, utf8 } from './text.ts';

/** UTF-8 bytes. */
export const LONGEST_NAME = 255;

export class Names {
  readonly #cpu: Cpu;
  readonly #buckets: number;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.#buckets = cpu.read(Header.names);
  }

  /** The word that leads to the first object with a name of this hash. */
  bucketOf(name: string): number {
    return this.#buckets + ((hash(name) >>> 0) % NAME_BUCKETS);
  }

  /** The object of that name, or 0. */
  find(name: string, bytes: Uint8Array): number {
    const cpu = this.#cpu;
    for (let object = cpu.read(this.bucketOf(name)); object !== 0; object = cpu.read(object + ObjectHeader.nextNamed)) {
      if (nameLengthOf(cpu, object) !== bytes.length) continue;
      const own = readBytes(cpu, this.#startOf(object), bytes.length);
      if (own.every((byte, i) => byte === bytes[i])) return object;
    }
    return 0;
  }

  /** Takes the object out of the table, if it is there. */
  unlink(object: number): void {
    const link = this.#linkTo(object);
    if (link !== 0) this.#cpu.write(link, this.#cpu.read(object + ObjectHeader.nextNamed));
  }

  /** Whether a name leads to the object. */
  has(object: number): boolean {
    return this.#linkTo(object) !== 0;
  }

  /** The name of the object, or undefined. */
  nameOf(object: number): string | undefined {
    const length = nameLengthOf(this.#cpu, object);
    return length === 0 ? undefined : readText(this.#cpu, this.#startOf(object), length);
  }

  /** The word that leads to the object, a bucket or another object's link; 0: none does. */
  #linkTo(object: number): number {
    const cpu = this.#cpu;
    const name = this.nameOf(object);
    if (name === undefined) return 0;
    for (let link = this.bucketOf(name); cpu.read(link) !== 0; link = cpu.read(link) + ObjectHeader.nextNamed) {
      if (cpu.read(link) === object) return link;
    }
    return 0;
  }

  #startOf(object: number): number {
    return object + nameAtOf(this.#cpu, object);
  }
}

/** The name in UTF-8. Throws EINVAL for what can be none. */
export function encodeName(name: string): Uint8Array {
  if (typeof name !== 'string') throw new HoldfastError('EINVAL', `a name must be a string, received ${shown(name)}`);
  // UTF-8 has the same three bytes for all lone surrogates: names that differ in them would be one name.
  if (!name.isWellFormed()) {
    throw new HoldfastError(
      'EINVAL',
      `a name must be well-formed, without half a surrogate pair; received ${shown(name)}`,
    );
  }
  const bytes = utf8(name);
  if (bytes.length === 0 || bytes.length > LONGEST_NAME) {
    throw new HoldfastError(
      'EINVAL',
      `a name has 1 to ${LONGEST_NAME} bytes in UTF-8, received ${shown(name)} with ${bytes.length}`,
    );
  }
  return bytes;
}
