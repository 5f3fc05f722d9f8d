/** Which number a lock has in a trace's table of locks, and what a number stands for. */
import type { Cpu } from '../../machine/cpu.ts';
import { Heap } from '../../memory/heap.ts';
import { hash, kindById } from '../../memory/kinds.ts';
import { Objects } from '../../memory/object-store.ts';
import { kindIdOf, ObjectHeader } from '../../memory/objects.ts';
import { readText, utf8 } from '../../memory/text.ts';
import type { Thread } from '../../sched/thread.ts';
import { claimEntry } from '../profile/layout.ts';
import { cutOff } from '../profile/rows.ts';
import { LOCKS, LockEntry, NAME_WORDS, Tables } from './layout.ts';

/** What a number of the table stands for. */
export interface TracedLock {
  /** Such as `mutex`; `word` for a word of the program's. */
  readonly kind: string;
  readonly name: string | undefined;
  /** Of the object; other objects may have been there. */
  readonly address: number;
}

/** The numbers that a thread remembers: a place for each, by address. */
const PLACES = 256;

/** Finds numbers for one thread. */
export class LockFinder {
  readonly #cpu: Cpu;
  readonly #heap: Heap;
  readonly #objects: Objects;
  readonly #tables: number;
  /** Address, serial number and number of what was found last in each place; 0 for none. */
  readonly #addresses = new Int32Array(PLACES);
  readonly #serials = new Int32Array(PLACES);
  readonly #numbers = new Int32Array(PLACES);

  constructor({ cpu, id, nascent }: Thread, tables: number) {
    this.#cpu = cpu;
    this.#heap = new Heap(cpu, id);
    this.#objects = new Objects(cpu, this.#heap, id, nascent);
    this.#tables = tables;
  }

  /** The table has been cleared. */
  forget(): void {
    this.#addresses.fill(0);
  }

  /** The number of the object at `address`, if this thread has met it; -1 otherwise. An object has a serial number: see `objects.ts`. */
  known(address: number): number {
    const place = (address >> 4) & (PLACES - 1);
    const isKnown =
      this.#addresses[place] === address &&
      this.#serials[place] === this.#cpu.loadUnordered(address + ObjectHeader.serial);
    return isKnown ? (this.#numbers[place] as number) : -1;
  }

  /** The number of the object at `address`, or around it, claimed if there is none yet; 0 when there is no room. */
  find(address: number): number {
    const cpu = this.#cpu;
    const object = this.#heap.objectAround(address) || address;
    const number = this.#claim(object);
    const place = (address >> 4) & (PLACES - 1);
    this.#addresses[place] = address;
    this.#serials[place] = cpu.load(address + ObjectHeader.serial);
    this.#numbers[place] = number;
    return number;
  }

  #claim(object: number): number {
    const cpu = this.#cpu;
    const isObject = this.#heap.isObject(object);
    const serial = isObject ? cpu.load(object + ObjectHeader.serial) : 0;
    const locks = this.#tables + Tables.locks;
    const entry = claimEntry(cpu, locks, LOCKS, LockEntry.words, hash(`${object} ${serial}`) || 1);
    if (entry === 0) {
      cpu.fetchAddRelaxed(this.#tables + Tables.droppedLocks, 1);
      return 0;
    }
    // Also where another thread has claimed it: that may have died, and writes the same words.
    if (cpu.loadAcquire(entry + LockEntry.named) === 0) {
      const kind = isObject ? kindIdOf(cpu, object) : 0;
      write(cpu, entry, object, kind, isObject ? (this.#objects.nameOf(object) ?? '') : '');
    }
    return (entry - locks) / LockEntry.words + 1;
  }
}

function write(cpu: Cpu, entry: number, address: number, kind: number, name: string): void {
  const bytes = cutOff(utf8(name), NAME_WORDS * 4);
  cpu.store(entry + LockEntry.address, address);
  cpu.store(entry + LockEntry.kind, kind);
  cpu.store(entry + LockEntry.nameLength, bytes.length);
  for (let i = 0; i < bytes.length; i += 4) {
    const word = [0, 1, 2, 3].reduce((sum, j) => sum | ((bytes[i + j] ?? 0) << (j * 8)), 0);
    cpu.store(entry + LockEntry.name + (i >> 2), word);
  }
  // Pairs with the acquires in `#claim` and `lockAt`.
  cpu.storeRelease(entry + LockEntry.named, 1);
}

/** What the number stands for; undefined for 0, and for one that a thread has claimed and not named. */
export function lockAt(cpu: Cpu, tables: number, number: number): TracedLock | undefined {
  const entry = tables + Tables.locks + (number - 1) * LockEntry.words;
  if (number < 1 || number > LOCKS || cpu.loadAcquire(entry + LockEntry.named) === 0) return undefined;
  const kind = cpu.load(entry + LockEntry.kind);
  const length = cpu.load(entry + LockEntry.nameLength);
  return {
    kind: kind === 0 ? 'word' : (kindById(kind)?.name ?? 'foreign object'),
    name: length === 0 ? undefined : readText(cpu, entry + LockEntry.name, length),
    address: cpu.load(entry + LockEntry.address),
  };
}
