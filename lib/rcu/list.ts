import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';

/** In the `prev` of an entry that was taken out: taking it out again is found out (the kernel's LIST_POISON2). */
const OUT = -1;
const NEXT = 0;
const PREV = 1;

export interface RcuListOptions {
  /** Where an entry has its two words for the list, from its address on. @default 0 */
  at?: number | undefined;
}

/**
 * A doubly linked list that readers walk while a writer changes it: the kernel's `list_head` with its `_rcu` calls. The list
 * has two words of the arena at `head`, and each entry two of its own; the memory is the program's.
 *
 *   writer    entry.next, entry.prev | prev.next := entry (release)      takes out: prev.next := entry.next
 *   reader    entry := prev.next (dependent) | what is in the entry
 *
 * Readers are inside a reader of an RCU domain, and look at `next` only. Writers keep each other out, with a `Mutex` for
 * example. What was taken out may be freed, or put in again, after a grace period: a reader may still be there, and goes on
 * from there.
 *
 * Death: what readers see is a list at each step. A writer that dies may leave `prev` words behind that do not fit: the next
 * one, which learns of it from its lock, calls `mend()`.
 *
 * Source: kernel include/linux/rculist.h.
 */
export class RcuList implements Iterable<number> {
  readonly head: number;
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #at: number;

  /** The list whose two words are at `head`; see `init`. Throws EINVAL for words that are not in the heap. */
  constructor(arena: Arena, head: number, { at = 0 }: RcuListOptions = {}) {
    if (!arena.heap.covers(head, 2) || !Number.isInteger(at)) {
      throw new HoldfastError(
        'EINVAL',
        `a list has two words from alloc(), received ${shown(head)} and at ${shown(at)}`,
      );
    }
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.head = head;
    this.#at = at;
  }

  /** An empty list, for words that no reader can reach yet. `INIT_LIST_HEAD`. */
  init(): void {
    this.#cpu.storeRelease(this.head + NEXT, this.head);
    this.#cpu.store(this.head + PREV, this.head);
  }

  /** The first entry, 0 for none. `list_first_or_null_rcu`. */
  first(): number {
    return this.#entryAt(this.#cpu.loadDependent(this.head + NEXT));
  }

  /** The entry behind that one, 0 for none. `list_next_or_null_rcu`, `list_for_each_entry_continue_rcu`. */
  next(entry: number): number {
    return this.#entryAt(this.#cpu.loadDependent(entry + this.#at + NEXT));
  }

  /** From `from` on, or from the first entry. `list_for_each_entry_from_rcu`. */
  *entries(from = this.first()): Generator<number, void> {
    for (let entry = from; entry !== 0; entry = this.next(entry)) yield entry;
  }

  /** `list_for_each_entry_rcu`. */
  [Symbol.iterator](): Generator<number, void> {
    return this.entries();
  }

  get isEmpty(): boolean {
    return this.first() === 0;
  }

  /** In front of all others. `list_add_rcu`. */
  addHead(entry: number): void {
    this.#add(entry, this.head, this.#cpu.load(this.head + NEXT));
  }

  /** Behind all others. `list_add_tail_rcu`. */
  addTail(entry: number): void {
    this.#add(entry, this.#cpu.load(this.head + PREV), this.head);
  }

  /** Takes the entry out; readers that are there go on from there. Throws EINVAL when it was taken out already. `list_del_rcu`. */
  delete(entry: number): void {
    const node = this.#nodeIn(entry);
    const [next, prev] = [this.#cpu.load(node + NEXT), this.#cpu.load(node + PREV)];
    this.#cpu.store(next + PREV, prev);
    this.#cpu.store(prev + NEXT, next);
    this.#cpu.store(node + PREV, OUT);
  }

  /** Puts `fresh` in the place of `old`, in one step for readers. `list_replace_rcu`. */
  replace(old: number, fresh: number): void {
    const cpu = this.#cpu;
    const node = this.#nodeIn(old);
    const mine = this.#newNode(fresh);
    const [next, prev] = [cpu.load(node + NEXT), cpu.load(node + PREV)];
    cpu.store(mine + NEXT, next);
    cpu.store(mine + PREV, prev);
    cpu.storeRelease(prev + NEXT, mine);
    cpu.store(next + PREV, mine);
    cpu.store(node + PREV, OUT);
  }

  /**
   * Moves all entries of `from` in front of those here. Readers of `from` must be out in between, or they would come to the end
   * of this list and not know it: `synchronize` waits for them. `list_splice_init_rcu`.
   */
  splice(from: RcuList, synchronize: () => void): void {
    this.#splice(from, synchronize, () => [this.head, this.#cpu.load(this.head + NEXT)]);
  }

  /** Moves all entries of `from` behind those here. `list_splice_tail_init_rcu`. */
  spliceTail(from: RcuList, synchronize: () => void): void {
    this.#splice(from, synchronize, () => [this.#cpu.load(this.head + PREV), this.head]);
  }

  /** After the death of a writer: makes all `prev` words from the `next` words. */
  mend(): void {
    const cpu = this.#cpu;
    let prev = this.head;
    for (let node = cpu.load(prev + NEXT); ; node = cpu.load(node + NEXT)) {
      cpu.store(node + PREV, prev);
      if (node === this.head) return;
      prev = node;
    }
  }

  #splice(from: RcuList, synchronize: () => void, place: () => [number, number]): void {
    const cpu = this.#cpu;
    const [first, last] = [cpu.load(from.head + NEXT), cpu.load(from.head + PREV)];
    if (first === from.head) return;
    from.init();
    synchronize();
    const [prev, next] = place();
    cpu.store(last + NEXT, next);
    cpu.store(first + PREV, prev);
    // Pairs with the readers' `loadDependent`: what they find leads on.
    cpu.storeRelease(prev + NEXT, first);
    cpu.store(next + PREV, last);
  }

  #add(entry: number, prev: number, next: number): void {
    const cpu = this.#cpu;
    const node = this.#newNode(entry);
    cpu.store(node + NEXT, next);
    cpu.store(node + PREV, prev);
    // Pairs with the dependent loads of readers: what is in the entry was written before it is found.
    cpu.storeRelease(prev + NEXT, node);
    cpu.store(next + PREV, node);
  }

  #entryAt(node: number): number {
    return node === this.head ? 0 : node - this.#at;
  }

  #newNode(entry: number): number {
    const node = entry + this.#at;
    if (this.#arena.heap.covers(node, 2)) return node;
    throw new HoldfastError('EINVAL', `an entry has two words for the list; received ${shown(entry)}`);
  }

  #nodeIn(entry: number): number {
    const node = this.#newNode(entry);
    const prev = this.#cpu.load(node + PREV);
    if (prev !== OUT && this.#arena.heap.covers(prev, 2) && this.#cpu.load(prev + NEXT) === node) return node;
    throw new HoldfastError(
      'EINVAL',
      `the entry at ${shown(entry)} is not in the list${prev === OUT ? ' any more' : ''}`,
    );
  }
}
