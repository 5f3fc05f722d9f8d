import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';

/** In the `pprev` of an entry that is in no list, and of one that was taken out for good. */
const NOWHERE = 0;
const OUT = -1;
const NEXT = 0;
/** The word that leads to the entry: its predecessor's `next`, or the head. */
const PPREV = 1;

export interface RcuHlistOptions {
  /** Where an entry has its two words for the list, from its address on. @default 0 */
  at?: number | undefined;
  /**
   * What the list ends with, 0 to 2^30 - 1: the number of the bucket, say. A reader whose entry was moved to another bucket
   * meanwhile comes to another end than it set out for (`endOf`), and starts again. @default 0
   */
  nulls?: number | undefined;
}

/**
 * A singly linked list with a head of one word, for the buckets of a hash table: the kernel's `hlist`, and with `nulls` its
 * `hlist_nulls`, with their `_rcu` calls. Each entry has two words of its own; the memory is the program's.
 *
 *   head and next   > 0   the next entry's words       <= 0   the end: minus `nulls`
 *
 * Rules for readers and writers are those of `RcuList`. An entry may go to another list at once, without a grace period,
 * where its memory stays of one type (`KmemCache` with `rcu`) and readers check the entry and the end.
 *
 * Source: kernel include/linux/rculist.h, rculist_nulls.h.
 */
export class RcuHlist implements Iterable<number> {
  readonly head: number;
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #at: number;
  readonly #end: number;

  /** The list whose word is at `head`; see `init`. Throws EINVAL for words that are not in the heap, and for other ends. */
  constructor(arena: Arena, head: number, { at = 0, nulls = 0 }: RcuHlistOptions = {}) {
    if (!arena.heap.covers(head, 1) || !Number.isInteger(at)) {
      throw new HoldfastError('EINVAL', `a list has a word from alloc(), received ${shown(head)} and at ${shown(at)}`);
    }
    if (!Number.isInteger(nulls) || nulls < 0 || nulls >= 2 ** 30) {
      throw new HoldfastError('EINVAL', `nulls is a whole number from 0 to 2^30 - 1, received ${shown(nulls)}`);
    }
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.head = head;
    this.#at = at;
    this.#end = nulls === 0 ? 0 : -nulls;
  }

  /** An empty list, for a word that no reader can reach yet. `INIT_HLIST_HEAD`, `INIT_HLIST_NULLS_HEAD`. */
  init(): void {
    this.#cpu.storeRelease(this.head, this.#end);
  }

  /** The first entry, 0 for none. `hlist_first_rcu`, `hlist_nulls_first_rcu`. */
  first(): number {
    return this.#entryAt(this.#cpu.loadDependent(this.head));
  }

  /** The entry behind that one, 0 for none. `hlist_next_rcu`, `hlist_for_each_entry_continue_rcu`. */
  next(entry: number): number {
    return this.#entryAt(this.#cpu.loadDependent(entry + this.#at + NEXT));
  }

  /** The `nulls` that a reader came to behind that entry, for which `next` gave 0; or at the head, with 0. */
  endOf(entry: number): number {
    const end = this.#cpu.loadDependent(entry === 0 ? this.head : entry + this.#at + NEXT);
    return end > 0 ? Number.NaN : Math.abs(end);
  }

  /** From `from` on, or from the first entry. `hlist_for_each_entry_rcu`, `hlist_for_each_entry_from_rcu`. */
  *entries(from = this.first()): Generator<number, void> {
    for (let entry = from; entry !== 0; entry = this.next(entry)) yield entry;
  }

  [Symbol.iterator](): Generator<number, void> {
    return this.entries();
  }

  get isEmpty(): boolean {
    return this.first() === 0;
  }

  /** Words of an entry that was in no list yet, for `isListed`. `INIT_HLIST_NODE`. */
  initEntry(entry: number): void {
    this.#cpu.store(this.#nodeOf(entry) + PPREV, NOWHERE);
  }

  /** Whether the entry is in a list. `!hlist_unhashed`. */
  isListed(entry: number): boolean {
    return this.#cpu.load(this.#nodeOf(entry) + PPREV) > 0;
  }

  /** In front of all others. `hlist_add_head_rcu`, `hlist_nulls_add_head_rcu`. */
  addHead(entry: number): void {
    this.#addAt(this.head, entry);
  }

  /** Behind all others; it walks there. `hlist_add_tail_rcu`. */
  addTail(entry: number): void {
    let word = this.head;
    for (let node = this.#cpu.load(word); node > 0; node = this.#cpu.load(word)) word = node + NEXT;
    this.#addAt(word, entry);
  }

  /** In front of `next`, which is in the list. `hlist_add_before_rcu`. */
  addBefore(entry: number, next: number): void {
    this.#addAt(this.#cpu.load(this.#listed(next) + PPREV), entry);
  }

  /** Behind `prev`, which is in the list. `hlist_add_behind_rcu`. */
  addBehind(entry: number, prev: number): void {
    this.#addAt(this.#listed(prev) + NEXT, entry);
  }

  /** Takes the entry out; readers that are there go on from there. Throws EINVAL when it is in no list. `hlist_del_rcu`. */
  delete(entry: number): void {
    this.#unlink(this.#listed(entry), OUT);
  }

  /** Takes the entry out if it is in a list; `isListed` is false from then on. `hlist_del_init_rcu`. */
  deleteInit(entry: number): boolean {
    if (!this.isListed(entry)) return false;
    this.#unlink(this.#listed(entry), NOWHERE);
    return true;
  }

  /** Puts `fresh` in the place of `old`, in one step for readers. `hlist_replace_rcu`. */
  replace(old: number, fresh: number): void {
    const cpu = this.#cpu;
    const [node, mine] = [this.#listed(old), this.#nodeOf(fresh)];
    const [next, pprev] = [cpu.load(node + NEXT), cpu.load(node + PPREV)];
    cpu.store(mine + NEXT, next);
    cpu.store(mine + PPREV, pprev);
    cpu.storeRelease(pprev, mine);
    if (next > 0) cpu.store(next + PPREV, mine + NEXT);
    cpu.store(node + PPREV, OUT);
  }

  /** After the death of a writer: makes all `pprev` words from the `next` words. */
  mend(): void {
    const cpu = this.#cpu;
    let word = this.head;
    for (let node = cpu.load(word); node > 0; node = cpu.load(word)) {
      cpu.store(node + PPREV, word);
      word = node + NEXT;
    }
  }

  #addAt(word: number, entry: number): void {
    const cpu = this.#cpu;
    const node = this.#nodeOf(entry);
    const next = cpu.load(word);
    cpu.store(node + NEXT, next);
    cpu.store(node + PPREV, word);
    // Pairs with the dependent loads of readers: what is in the entry was written before it is found.
    cpu.storeRelease(word, node);
    if (next > 0) cpu.store(next + PPREV, node + NEXT);
  }

  #unlink(node: number, mark: number): void {
    const cpu = this.#cpu;
    const [next, pprev] = [cpu.load(node + NEXT), cpu.load(node + PPREV)];
    cpu.store(pprev, next);
    if (next > 0) cpu.store(next + PPREV, pprev);
    cpu.store(node + PPREV, mark);
  }

  #entryAt(node: number): number {
    return node > 0 ? node - this.#at : 0;
  }

  #nodeOf(entry: number): number {
    const node = entry + this.#at;
    if (this.#arena.heap.covers(node, 2)) return node;
    throw new HoldfastError('EINVAL', `an entry has two words for the list; received ${shown(entry)}`);
  }

  #listed(entry: number): number {
    const node = this.#nodeOf(entry);
    const pprev = this.#cpu.load(node + PPREV);
    if (this.#arena.heap.covers(pprev, 1) && this.#cpu.load(pprev) === node) return node;
    throw new HoldfastError(
      'EINVAL',
      `the entry at ${shown(entry)} is not in the list${pprev === OUT ? ' any more' : ''}`,
    );
  }
}
