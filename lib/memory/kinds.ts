/**
 * A kind of shared object: its name, its layout, how it starts out, and how the reaper repairs one after a thread has
 * died. The first word of every object holds its kind's id, so that a handle or a name of another kind is found out,
 * and so that the reaper knows what it meets when it walks the heap.
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { Heap } from './heap.ts';
import { type Layout, type Length, lengthOf } from './struct.ts';

export interface Kind<Repairer = never> {
  /** As messages and `holdfast torture` name it. */
  readonly name: string;
  /** Hash of the name; the first word of each object of this kind. */
  readonly id: number;
  /** Length of an object, ObjectHeader included. */
  readonly words: number;
  /** The struct that it is, where one was declared: how tools name its words. */
  readonly layout: Layout | null;
  /** Words behind these that depend on the arena: a line for each of its threads. */
  readonly trailing?: (cpu: Cpu) => number;
  /** Writes an object's first state: memory that no other thread can reach yet. ObjectHeader is written already. */
  readonly format: (cpu: Cpu, address: number) => void;
  /** The thread that holds the object: its CPU number plus one, or 0. */
  readonly holder: (cpu: Cpu, address: number) => number;
  /** For objects that several threads can hold at once: whether the thread with this CPU number plus one does. */
  readonly isHeldBy?: (cpu: Cpu, address: number, id: number) => boolean;
  /**
   * For objects that are kept for one waiter when nobody holds them: the thread of that waiter, or 0. `owner`: the calling
   * thread's CPU number plus one; it holds namesLatch.
   */
  readonly successor?: (cpu: Cpu, address: number, owner: number) => number;
  /** Of a block that another object has taken from the heap: that object, which those who wait for a word of the block wait for. */
  readonly partOf?: (cpu: Cpu, address: number) => number;
  /** The thread that those wait for who wait for `word`, in such a block of the object, or 0; out of date as soon as it is read. */
  readonly holderOfWord?: (cpu: Cpu, word: number) => number;
  /** Of a lock that many can read: what `task` waits to do. */
  readonly mode?: (cpu: Cpu, task: number) => 'read' | 'write';
  /**
   * For objects that can be given to a waiter that never comes for it, and is passed then: whether that is how `holder` has it now.
   */
  readonly isOnOffer?: (cpu: Cpu, address: number) => boolean;
  /** True if a waiter can proceed when any one holder releases, or when a thread that is no holder does. */
  readonly isAnyOf?: true;
  /** Whether the object is held or waited for, and so may not be destroyed. */
  readonly isBusy: (cpu: Cpu, address: number) => boolean;
  /**
   * The object is to be destroyed, and is not busy: from here on no fast path gets in, for its words say that it can't.
   * False, with nothing changed, when somebody has come meanwhile. It may be called again for an object that is closed, or
   * half so. Not needed where every call looks whether the object is there after it has got in.
   */
  readonly close?: (cpu: Cpu, address: number) => boolean;
  /**
   * Gives back to the heap what the object has taken of it, once the object is destroyed and no thread can reach it: block by
   * block, each of which stands in `nascent` from before the object leads to it no more until it is free. False when not all
   * of it can be had: it is called again later.
   */
  readonly release?: (cpu: Cpu, address: number, heap: Heap, nascent: number) => boolean;
  /**
   * Another waiter is the first in the object's wait list, because priorities have changed: wakes those that the object's
   * state now admits. `owner` is the calling thread's CPU number plus one; it holds namesLatch.
   */
  readonly reordered?: (cpu: Cpu, address: number, owner: number) => void;
  /**
   * For kinds that a program may have many thousand objects of: whether nobody holds the object, waits for it or is about
   * to, by its own words, so that no thread can have left anything half-done in it. A few loads, without a latch.
   */
  readonly isIdle?: (cpu: Cpu, address: number) => boolean;
  /**
   * Offset of the object's latch, if its kind has `isIdle`: an idle object's latch is free, and may have sleepers all the same,
   * for a thread that died between the two steps of its unlatch has woken nobody.
   */
  readonly latch?: number;
  /**
   * For objects that others lead to by words of their own: whether one does. The creator's `nascent` word may still name
   * such an object, and it stays. Default: none does.
   */
  readonly isKept?: (cpu: Cpu, address: number) => boolean;
  /**
   * For `fsck`: what does not hold in the object's own words, beside its wait lists and its holder. It comes to an end
   * whatever the words are. `owner` is the calling thread's CPU number plus one; it holds namesLatch.
   */
  readonly inspect?: (cpu: Cpu, address: number, owner: number) => readonly string[];
  /**
   * Undoes what dead threads left half-done in one object. False when that takes a live thread's next few steps: it is
   * called again then, as it is when the reaper dies half-way.
   */
  readonly repair: (repairer: Repairer, address: number) => boolean;
}

/** `words` is the object's struct, or a mere length. */
export type KindDeclaration<Repairer> = Omit<Kind<Repairer>, 'id' | 'words' | 'layout'> & { readonly words: Length };

const kinds = new Map<number, Kind<never>>();

/**
 * Declares a kind. Each is declared once, when its module is loaded; the package's entry loads all of them, since any
 * thread may have to repair any kind. Throws EINVAL when another kind's name has the same hash.
 */
export function defineKind<Repairer>(kind: KindDeclaration<Repairer>): Kind<Repairer> {
  const { words } = kind;
  const layout = typeof words === 'number' ? null : words;
  const defined = Object.freeze({ ...kind, words: lengthOf(words), layout, id: (hash(kind.name) & ~3) | 1 });
  const other = kinds.get(defined.id);
  if (other !== undefined) {
    throw new HoldfastError('EINVAL', `the kinds ${shown(kind.name)} and ${shown(other.name)} have the same id`);
  }
  kinds.set(defined.id, defined as Kind<never>);
  return defined;
}

/** Length of an object of that kind in the arena behind `cpu`, without its name. */
export function sizeOf(cpu: Cpu, { words, trailing }: Kind<never>): number {
  return words + (trailing?.(cpu) ?? 0);
}

export function kindById(id: number): Kind<never> | undefined {
  return kinds.get(id);
}

/** FNV-1a over the UTF-16 units, as a signed word. */
export function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h | 0;
}

/** The names of the kinds that this thread has loaded. */
export function kindNames(): string[] {
  return [...kinds.values()].map(({ name }) => name);
}
