/**
 * Shared objects: blocks of the heap that start with an ObjectHeader. Named ones hang in a hash table, so that every
 * thread finds the one object of a name; creating or opening a name is one step under namesLatch.
 *
 * A thread may be killed while it creates an object. Its block stands in the thread's `nascent` word from before it is
 * in use until the object is complete; for a named object the store to the bucket (or the unlinking one in `destroy`)
 * is what decides, so the reaper frees a nascent block exactly when no bucket leads to it.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header, NAME_BUCKETS } from './header.ts';
import type { Heap } from './heap.ts';
import { hash, type Kind, kindById, sizeOf } from './kinds.ts';
import { latch, unlatch } from './latch.ts';
import { struct } from './struct.ts';
import { readBytes, readText, textWords, utf8, writeBytes } from './text.ts';

export const ObjectHeader = struct({
  /** The kind's id; 0 once destroyed. */
  kind: 1,
  /** The next object in the name's bucket. Guarded by namesLatch. */
  nextNamed: 1,
  /** Bytes of the UTF-8 name behind the object's own words; 0 for an anonymous object. */
  nameLength: 1,
  /** Offset of the name, words: a thread need not know the kind to compare names. */
  nameAt: 1,
});

/** UTF-8 bytes. */
export const LONGEST_NAME = 255;

export class Objects {
  readonly #cpu: Cpu;
  readonly #heap: Heap;
  readonly #owner: number;
  readonly #nascent: number;
  readonly #buckets: number;

  /** `owner`: the calling thread's CPU number plus one; `nascent`: its nascent word. */
  constructor(cpu: Cpu, heap: Heap, owner: number, nascent: number) {
    this.#cpu = cpu;
    this.#heap = heap;
    this.#owner = owner;
    this.#nascent = nascent;
    this.#buckets = cpu.read(Header.names);
  }

  /**
   * A new object without a name. `home`: a word of the thread's slot that names it from then on, whoever dies when;
   * the reaper has to know that word (`keepsNascent`).
   */
  create(kind: Kind, home = 0): number {
    const address = this.#make(kind, new Uint8Array(0));
    if (address === 0) throw this.#heap.exhausted(sizeOf(this.#cpu, kind));
    this.#heap.publish(address, this.#nascent, home);
    return address;
  }

  /** The object of that name, made if there is none. */
  open(kind: Kind, name: string): number {
    const bytes = encodeName(name);
    const cpu = this.#cpu;
    const bucket = this.#buckets + ((hash(name) >>> 0) % NAME_BUCKETS);
    latch(cpu, Header.namesLatch, this.#owner);
    const found = this.#find(bucket, bytes);
    const id = found === 0 ? kind.id : cpu.read(found + ObjectHeader.kind);
    const address = found === 0 ? this.#make(kind, bytes) : found;
    if (found === 0 && address !== 0) {
      cpu.write(address + ObjectHeader.nextNamed, cpu.read(bucket));
      this.#heap.publish(address);
      cpu.write(bucket, address);
      cpu.store(this.#nascent, 0);
    }
    unlatch(cpu, Header.namesLatch);
    if (id !== kind.id) {
      throw new HoldfastError(
        'EINVAL',
        `${shown(name)} is a ${kindById(id)?.name ?? 'foreign object'}, not a ${kind.name}`,
      );
    }
    if (address === 0) throw this.#heap.exhausted(sizeOf(this.#cpu, kind));
    return address;
  }

  /** Whether anything has that name. Throws EINVAL for what can be none. */
  has(name: string): boolean {
    const bytes = encodeName(name);
    latch(this.#cpu, Header.namesLatch, this.#owner);
    const found = this.#find(this.#buckets + ((hash(name) >>> 0) % NAME_BUCKETS), bytes);
    unlatch(this.#cpu, Header.namesLatch);
    return found !== 0;
  }

  /**
   * Takes an object out of the table of names and frees it. `isWaitedFor`: whether anybody waits for a word from one
   * address to before another.
   */
  destroy(kind: Kind, address: number, isWaitedFor: (address: number, end: number) => boolean): void {
    const cpu = this.#cpu;
    latch(cpu, Header.namesLatch, this.#owner);
    const wrong = this.#mismatch(kind, address);
    // The waiters first: one whose call comes back in between with the object is its holder then.
    const busy = wrong === '' && (isWaitedFor(address, address + sizeOf(cpu, kind)) || kind.isBusy(cpu, address));
    if (wrong === '' && !busy) {
      cpu.store(this.#nascent, address);
      if (cpu.read(address + ObjectHeader.nameLength) > 0) this.#unlink(address);
      cpu.write(address + ObjectHeader.kind, 0);
      this.#heap.free(address, this.#nascent);
    }
    unlatch(cpu, Header.namesLatch);
    if (wrong !== '') throw new HoldfastError('EINVAL', wrong);
    if (busy)
      throw new HoldfastError(
        'EBUSY',
        `the ${kind.name} at ${address} is held or waited for; only an idle one can be destroyed`,
      );
  }

  /** Throws EINVAL unless `address` is an object of that kind. */
  check(kind: Kind, address: number): void {
    const wrong = this.#mismatch(kind, address);
    if (wrong !== '') throw new HoldfastError('EINVAL', wrong);
  }

  /** The name of the object at `address`, or undefined. */
  nameOf(address: number): string | undefined {
    const length = this.#cpu.read(address + ObjectHeader.nameLength);
    return length === 0 ? undefined : readText(this.#cpu, this.#nameStart(address), length);
  }

  /** How messages name an object: its kind, and its name or else its address. */
  labelOf(address: number, kind = kindById(this.#cpu.read(address + ObjectHeader.kind))): string {
    const name = this.nameOf(address);
    return `${kind?.name ?? 'foreign object'} ${name === undefined ? `at ${address}` : shown(name)}`;
  }

  /** For the reaper, which holds namesLatch: frees a dead thread's nascent block, unless a name leads to it. */
  reclaim(nascent: number): void {
    const address = this.#cpu.load(nascent);
    if (address === 0) return;
    if (this.#isNamed(address) || this.#isKept(address)) this.#cpu.store(nascent, 0);
    else this.#heap.reclaim(nascent);
  }

  #mismatch(kind: Kind, address: number): string {
    if (!this.#heap.isBlock(address)) return `no ${kind.name} at ${shown(address)}: it was destroyed, or never made`;
    const id = this.#cpu.read(address + ObjectHeader.kind);
    return id === kind.id
      ? ''
      : `the object at ${address} is a ${kindById(id)?.name ?? 'block of memory'}, not a ${kind.name}`;
  }

  /** A formatted object that stands in `nascent`, or 0 when the heap is exhausted. */
  #make(kind: Kind, name: Uint8Array): number {
    const cpu = this.#cpu;
    const size = sizeOf(cpu, kind);
    const words = size + textWords(name.length);
    const address = this.#heap.tryAlloc(words, this.#nascent);
    if (address === 0) return 0;
    for (let i = 0; i < words; i++) cpu.write(address + i, 0);
    cpu.write(address + ObjectHeader.kind, kind.id);
    cpu.write(address + ObjectHeader.nameLength, name.length);
    cpu.write(address + ObjectHeader.nameAt, size);
    writeBytes(cpu, address + size, name);
    kind.format(cpu, address);
    return address;
  }

  #find(bucket: number, name: Uint8Array): number {
    const cpu = this.#cpu;
    for (let object = cpu.read(bucket); object !== 0; object = cpu.read(object + ObjectHeader.nextNamed)) {
      if (cpu.read(object + ObjectHeader.nameLength) !== name.length) continue;
      const bytes = readBytes(cpu, this.#nameStart(object), name.length);
      if (bytes.every((byte, i) => byte === name[i])) return object;
    }
    return 0;
  }

  #unlink(address: number): void {
    const cpu = this.#cpu;
    for (let bucket = 0; bucket < NAME_BUCKETS; bucket++) {
      for (let link = this.#buckets + bucket; cpu.read(link) !== 0; link = cpu.read(link) + ObjectHeader.nextNamed) {
        if (cpu.read(link) === address) {
          cpu.write(link, cpu.read(address + ObjectHeader.nextNamed));
          return;
        }
      }
    }
  }

  #isNamed(address: number): boolean {
    const cpu = this.#cpu;
    for (let bucket = 0; bucket < NAME_BUCKETS; bucket++) {
      for (
        let object = cpu.read(this.#buckets + bucket);
        object !== 0;
        object = cpu.read(object + ObjectHeader.nextNamed)
      ) {
        if (object === address) return true;
      }
    }
    return false;
  }

  #isKept(address: number): boolean {
    const cpu = this.#cpu;
    const kind = this.#heap.isObject(address) ? kindById(cpu.read(address + ObjectHeader.kind)) : undefined;
    return kind?.isKept?.(cpu, address) ?? false;
  }

  #nameStart(object: number): number {
    return object + this.#cpu.read(object + ObjectHeader.nameAt);
  }
}

function encodeName(name: string): Uint8Array {
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
