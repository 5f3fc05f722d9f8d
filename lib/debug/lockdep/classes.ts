/**
 * Classes of locks. What is learned of one lock holds for all of its class: those of one kind, and one name but for numbers
 * (`account 7` and `account 8` are `account #`), or of one class that the program has given them. A lock without a name is a
 * class by itself.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { hash, kindById } from '../../memory/kinds.ts';
import { kindIdOf } from '../../memory/objects.ts';
import { readText, utf8 } from '../../memory/text.ts';
import type { ObservedLock } from '../../sched/watch.ts';
import { classGivenTo } from '../profile/given-classes.ts';
import { claimEntry } from '../profile/layout.ts';
import { classNameOf } from '../profile/rows.ts';
import { CLASSES, Class, NAME_WORDS, Tables } from './layout.ts';

/** Subclasses of a class: how many locks of one class a thread can take one inside the other, and say so. */
export const SUBCLASSES = 8;

/** What the locks of a class are. */
interface Subject {
  readonly kind: number;
  readonly name: string;
  readonly subclass: number;
}

/** Finds classes for one thread, in one session. */
export class ClassFinder {
  readonly #cpu: Cpu;
  readonly #tables: number;
  /** By view: the numbers of its subclasses, and what it was called then. */
  #known = new WeakMap<object, { readonly name: string | undefined; readonly numbers: number[] }>();

  constructor(cpu: Cpu, tables: number) {
    this.#cpu = cpu;
    this.#tables = tables;
  }

  forget(): void {
    this.#known = new WeakMap();
  }

  /** The number of the lock's class if this thread has met it. */
  known(lock: ObservedLock, subclass: number): number | undefined {
    const known = this.#known.get(lock);
    return known?.name === classGivenTo(lock) ? known?.numbers[subclass] : undefined;
  }

  /** The number of the lock's class, claimed if there is none yet; -1 when there is no room. */
  find(lock: ObservedLock, subclass: number): number {
    const subject = { kind: kindIdOf(this.#cpu, lock.address), name: nameOf(lock), subclass };
    const name = classGivenTo(lock);
    let known = this.#known.get(lock);
    if (known === undefined || known.name !== name) this.#known.set(lock, (known = { name, numbers: [] }));
    const number = this.#claim(subject);
    known.numbers[subclass] = number;
    return number;
  }

  #claim(subject: Subject): number {
    const cpu = this.#cpu;
    const classes = this.#tables + Tables.classes;
    const key = hash(`${subject.kind} ${subject.subclass} ${subject.name}`) || 1;
    const entry = claimEntry(cpu, classes, CLASSES, Class.words, key);
    if (entry === 0) {
      cpu.fetchAddRelaxed(this.#tables + Tables.droppedClasses, 1);
      return -1;
    }
    // Also where another thread has claimed it: that may have died, and writes the same words.
    if (cpu.loadAcquire(entry + Class.named) === 0) write(cpu, entry, subject);
    return (entry - classes) / Class.words;
  }
}

function nameOf(lock: ObservedLock): string {
  const name = classGivenTo(lock) ?? lock.lockClass;
  if (name !== undefined) return name;
  if (lock.name !== undefined) return classNameOf(lock.name);
  // The serial number tells it from others that have had its address.
  const { serial = 0 } = (lock as { handle?: { serial?: number } }).handle ?? {};
  return `(at ${lock.address}, ${serial})`;
}

function write(cpu: Cpu, entry: number, { kind, name, subclass }: Subject): void {
  const bytes = utf8(name).subarray(0, NAME_WORDS * 4);
  cpu.store(entry + Class.kind, kind);
  cpu.store(entry + Class.subclass, subclass);
  cpu.store(entry + Class.nameLength, bytes.length);
  for (let i = 0; i < bytes.length; i += 4) {
    const word = [0, 1, 2, 3].reduce((sum, j) => sum | ((bytes[i + j] ?? 0) << (j * 8)), 0);
    cpu.store(entry + Class.name + (i >> 2), word);
  }
  // Pairs with the acquires in `#claim` and `classLabel`.
  cpu.storeRelease(entry + Class.named, 1);
}

/** How reports name a class: `mutex "account #"`, and `/1` for its first subclass. */
export function classLabel(cpu: Cpu, tables: number, number: number): string {
  const entry = tables + Tables.classes + number * Class.words;
  if (cpu.loadAcquire(entry + Class.named) === 0) return 'a lock';
  const name = readText(cpu, entry + Class.name, cpu.load(entry + Class.nameLength));
  const kind = kindById(cpu.load(entry + Class.kind))?.name ?? 'foreign object';
  const subclass = cpu.load(entry + Class.subclass);
  const called = name.startsWith('(') ? name : JSON.stringify(name);
  return `${kind} ${called}${subclass === 0 ? '' : `/${subclass}`}`;
}

/** How many classes there are. */
export function countClasses(cpu: Cpu, tables: number): number {
  let count = 0;
  for (let i = 0; i < CLASSES; i++) if (cpu.load(tables + Tables.classes + i * Class.words) !== 0) count++;
  return count;
}
