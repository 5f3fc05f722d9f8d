/** Which row of a profile's table a wait belongs to, and how a row says what it is about. */
import type { Cpu } from '../../machine/cpu.ts';
import { Heap } from '../../memory/heap.ts';
import { hash, kindById } from '../../memory/kinds.ts';
import { Objects } from '../../memory/object-store.ts';
import { kindIdOf, nameAtOf, nameLengthOf } from '../../memory/objects.ts';
import { readText, utf8 } from '../../memory/text.ts';
import type { Thread } from '../../sched/thread.ts';
import { classGivenAt } from './given-classes.ts';
import { CLASS_ROWS, claimEntry, DELAYS, Delay, NAME_WORDS, Profile, ROWS, Row } from './layout.ts';

/** What a row is about. */
export interface Subject {
  /** The object, or a word of the program's; 0 for the others of a class. */
  readonly address: number;
  /** The kind's id; 0 for a word. */
  readonly kind: number;
  readonly shared: boolean;
  /** '' for none. */
  readonly name: string;
  /** The class that the program has given to it, or ''. */
  readonly given: string;
}

/** Objects that a thread remembers the rows of. */
const MOST_KNOWN = 4096;

/** Finds rows for one thread, in one session. */
export class RowFinder {
  readonly #cpu: Cpu;
  readonly #heap: Heap;
  readonly #objects: Objects;
  readonly #profile: number;
  /** By `key`. */
  readonly #known = new Map<number, number>();

  constructor({ cpu, id, nascent }: Thread, profile: number) {
    this.#cpu = cpu;
    this.#heap = new Heap(cpu, id);
    this.#objects = new Objects(cpu, this.#heap, id, nascent);
    this.#profile = profile;
  }

  /** The object that the word lies in, or else the word. The caller's task has lined up for it, or holds it. */
  objectAt(word: number): number {
    return this.#heap.objectAround(word) || word;
  }

  /** The thread that holds the object: a CPU number plus one; 0 for none, and for what no thread can hold. */
  holderOf(object: number): number {
    if (!this.#heap.isObject(object)) return 0;
    return kindById(kindIdOf(this.#cpu, object))?.holder(this.#cpu, object) ?? 0;
  }

  /** Whether the object is waited for until it is free, and not until something happens. */
  isLock(object: number): boolean {
    return this.#heap.isObject(object) && isLockKind(kindNameOf(kindIdOf(this.#cpu, object)));
  }

  /** The number of the row for waits for that object, claimed if there is none yet; -1 when there is no room. */
  rowOf(object: number, shared: boolean): number {
    const key = this.#keyOf(object, shared);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const row = this.#find(key, object, shared);
    if (this.#known.size === MOST_KNOWN) this.#known.clear();
    this.#known.set(key, row);
    return row;
  }

  #find(key: number, object: number, shared: boolean): number {
    const subject = this.#subjectOf(object, shared);
    const own = this.#claim(0, ROWS, key, subject);
    if (own >= 0) return own;
    const name = subject.given || classNameOf(subject.name);
    const others = { ...subject, address: 0, name };
    return this.#claim(ROWS, CLASS_ROWS, mixed(hash(name), mixed(subject.kind, shared ? 1 : 0)) || 1, others);
  }

  #claim(first: number, count: number, key: number, subject: Subject): number {
    const rows = this.#profile + Profile.rows;
    const row = claimEntry(this.#cpu, rows + first * Row.words, count, Row.words, key);
    if (row === 0) return -1;
    // Also where another thread has claimed it: that may have died, and writes the same words.
    if (this.#cpu.loadAcquire(row + Row.named) === 0) nameRow(this.#cpu, row, subject);
    // Another thread may have named it that has not been told of its class.
    const lacksClass = subject.given !== '' && this.#cpu.load(row + Row.classLength) === 0;
    if (lacksClass) writeName(this.#cpu, row, Row.class, Row.classLength, subject.given);
    return (row - rows) / Row.words;
  }

  /**
   * A number for the object and what it is called: another object may have its address once it is destroyed. Of a session's
   * rows two have the same number once in a million sessions, and are one then.
   */
  #keyOf(object: number, shared: boolean): number {
    const cpu = this.#cpu;
    let key = mixed(object, shared ? 1 : 0);
    if (this.#heap.isObject(object)) {
      key = mixed(key, kindIdOf(cpu, object));
      const length = nameLengthOf(cpu, object);
      const name = object + nameAtOf(cpu, object);
      for (let i = 0; i * 4 < length; i++) key = mixed(key, cpu.read(name + i));
    }
    return key || 1;
  }

  #subjectOf(address: number, shared: boolean): Subject {
    if (!this.#heap.isObject(address)) return { address, kind: 0, shared, name: '', given: '' };
    const kind = kindIdOf(this.#cpu, address);
    const given = classGivenAt(this.#cpu, address);
    return { address, kind, shared, name: this.#objects.nameOf(address) ?? '', given };
  }
}

/** Whether objects of the kind are waited for until they are free. Others are waited for until somebody makes something happen. */
export function isLockKind(kind: string): boolean {
  return /(mutex|lock|semaphore|sem)$/.test(kind);
}

/** ns for which the lock of that row, which is named, is held before the program has it; see `Delay`. */
export function delayOf(cpu: Cpu, profile: number, row: number): number {
  const subject = subjectOf(cpu, profile + Profile.rows + row * Row.words);
  if (subject === undefined || (subject.name === '' && subject.given === '')) return 0;
  for (let i = 0; i < DELAYS; i++) {
    const delay = profile + Profile.delays + i * Delay.words;
    const length = cpu.load(delay + Delay.nameLength);
    const name = length === 0 ? undefined : readText(cpu, delay + Delay.name, length);
    const isMeant = name === subject.name || name === subject.given || name === classNameOf(subject.name);
    if (name !== undefined && isMeant) return cpu.load(delay + Delay.ns);
  }
  return 0;
}

/** What locks of one class have in common: the name, but for its numbers. */
export function classNameOf(name: string): string {
  return name.replace(/\d+/g, '#');
}

/** Says what a row is about. Threads that do so at once, or after each other, write the same. */
function nameRow(cpu: Cpu, row: number, { address, kind, shared, name }: Subject): void {
  cpu.store(row + Row.address, address);
  cpu.store(row + Row.kind, kind);
  cpu.store(row + Row.shared, shared ? 1 : 0);
  writeName(cpu, row, Row.name, Row.nameLength, name);
  // Pairs with the acquires in `#claim` and `subjectOf`.
  cpu.storeRelease(row + Row.named, 1);
}

/** Its length comes last: a text without one is not there. */
function writeName(cpu: Cpu, row: number, at: number, length: number, name: string): void {
  const bytes = cutOff(utf8(name), NAME_WORDS * 4);
  for (let i = 0; i < bytes.length; i += 4) {
    const word = [0, 1, 2, 3].reduce((sum, j) => sum | ((bytes[i + j] ?? 0) << (j * 8)), 0);
    cpu.store(row + at + (i >> 2), word);
  }
  // Pairs with the acquire in `subjectOf`.
  cpu.storeRelease(row + length, bytes.length);
}

/** What a row is about; undefined for one that nobody has named, or claimed. */
export function subjectOf(cpu: Cpu, row: number): Subject | undefined {
  if (cpu.loadAcquire(row + Row.named) === 0) return undefined;
  return {
    address: cpu.load(row + Row.address),
    kind: cpu.load(row + Row.kind),
    shared: cpu.load(row + Row.shared) === 1,
    name: readText(cpu, row + Row.name, cpu.load(row + Row.nameLength)),
    given: readText(cpu, row + Row.class, cpu.loadAcquire(row + Row.classLength)),
  };
}

/** What messages call the row's object, and its class. */
export function labelsOf({ address, name, given, kind: id }: Subject): {
  readonly label: string;
  readonly className: string;
} {
  const kind = kindNameOf(id);
  const unnamed = `${kind}${address === 0 ? 's without a name' : ` at ${address}`}`;
  const label = name === '' ? unnamed : `${kind} "${name}"`;
  const className = given || classNameOf(name);
  return {
    label: address === 0 && name !== '' ? `others of ${label}` : label,
    className: className === '' ? kind : `${kind} "${className}"`,
  };
}

export function kindNameOf(kind: number): string {
  return kind === 0 ? 'word' : (kindById(kind)?.name ?? 'foreign object');
}

/** At most so many bytes of UTF-8, without half a character at the end. */
export function cutOff(bytes: Uint8Array, most: number): Uint8Array {
  if (bytes.length <= most) return bytes;
  let end = most;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

/** Murmur3's mixing step. */
function mixed(a: number, b: number): number {
  let h = Math.imul(a ^ Math.imul(b, 0xcc9e2d51), 0x1b873593);
  h ^= h >>> 15;
  h = Math.imul(h, 0x85ebca6b);
  return h ^ (h >>> 13);
}
