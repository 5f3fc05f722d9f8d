/**
 * AtomicBigInt: the kernel's `atomic64_t`. Its two words are one `WideWord`, so every operation is one access of the processor:
 * nothing to repair after a death, and no lock, which two words of 32 bits would need (lib/atomic64.c).
 *
 * These two words are the only ones of an arena that are ever accessed as 64 bits, and never as 32 while the object is there:
 * accesses of two sizes to one place at the same time would have no order. Before an object is opened its words were set to 0,
 * and all who can open it have seen that happen; its memory is used again when no view of it is left.
 */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import {
  cmpxchg64,
  fetchAdd64,
  fetchAnd64,
  fetchOr64,
  fetchSub64,
  fetchXor64,
  load64,
  store64,
  type WideWord,
  wideWord,
  xchg64,
} from '../machine/wide-word.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

/** Objects begin cache lines, so an even offset is a place of 64 bits. */
const Words = struct({ header: ObjectHeader, pad: ObjectHeader.words % 2, value: 2 });
const BITS = 64;

const KIND = defineKind<Repairer>({
  name: 'atomic-big-int',
  words: Words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair: () => true,
});

/**
 * A signed 64-bit number, a bigint, that all threads change in one step each: the kernel's `atomic64_t`. It wraps. What fits in
 * 32 bits is an `AtomicInt`: V8 makes an object of each bigint, and a change takes 15 to 20 ns where that takes 12. What many
 * threads count, and few read, is a `PercpuCounter`.
 *
 * The order of each operation is that of `AtomicInt`, by the same names: fully ordered, but for `read` and `set`, which order
 * nothing, and those that change nothing (an `addUnless` that returns false), which order their own load only. `fetch…` return
 * the value before, `…Return` the one after. Numbers that are no bigint of 64 bits throw EINVAL.
 *
 * Never waits. Death: each operation was made or not. Source: kernel Documentation/atomic_t.txt.
 */
export class AtomicBigInt extends SharedObject {
  readonly #word: WideWord;

  /** Opens the number of that name, making it, as 0, if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#word = wideWord(arena.words, this.address + Words.value);
  }

  static from(arena: Arena, handle: ObjectHandle): AtomicBigInt {
    return new AtomicBigInt(arena, handle);
  }

  read(): bigint {
    return load64(this.#living());
  }
  readAcquire(): bigint {
    return load64(this.#living());
  }
  set(value: bigint): void {
    store64(this.#living(), whole(value));
  }
  setRelease(value: bigint): void {
    store64(this.#living(), whole(value));
  }

  fetchAdd(value: bigint): bigint {
    return fetchAdd64(this.#living(), whole(value));
  }
  fetchSub(value: bigint): bigint {
    return fetchSub64(this.#living(), whole(value));
  }
  fetchAnd(bits: bigint): bigint {
    return fetchAnd64(this.#living(), whole(bits));
  }
  fetchOr(bits: bigint): bigint {
    return fetchOr64(this.#living(), whole(bits));
  }
  /** `atomic64_fetch_andnot`: clears these bits. */
  fetchAndNot(bits: bigint): bigint {
    return fetchAnd64(this.#living(), ~whole(bits));
  }
  fetchXor(bits: bigint): bigint {
    return fetchXor64(this.#living(), whole(bits));
  }
  addReturn(value: bigint): bigint {
    return wrapped(this.fetchAdd(value) + value);
  }
  subReturn(value: bigint): bigint {
    return wrapped(this.fetchSub(value) - value);
  }

  inc(): void {
    fetchAdd64(this.#living(), 1n);
  }
  dec(): void {
    fetchSub64(this.#living(), 1n);
  }
  /** One more; whether it is 0 now. */
  incAndTest(): boolean {
    return fetchAdd64(this.#living(), 1n) === -1n;
  }
  /** One less; whether it is 0 now. */
  decAndTest(): boolean {
    return fetchSub64(this.#living(), 1n) === 1n;
  }
  /** `value` less; whether it is 0 now. */
  subAndTest(value: bigint): boolean {
    return this.subReturn(value) === 0n;
  }
  /** `value` more; whether it is negative now. */
  addNegative(value: bigint): boolean {
    return this.addReturn(value) < 0n;
  }

  xchg(value: bigint): bigint {
    return xchg64(this.#living(), whole(value));
  }
  cmpxchg(expected: bigint, value: bigint): bigint {
    return cmpxchg64(this.#living(), whole(expected), whole(value));
  }
  /** Whether it was `expected`, and so is `value` now. */
  tryCmpxchg(expected: bigint, value: bigint): boolean {
    return this.cmpxchg(expected, value) === expected;
  }

  /** `value` more, unless it is `unless`. Whether it was added. */
  addUnless(value: bigint, unless: bigint): boolean {
    whole(value);
    whole(unless);
    return this.#update((seen) => (seen === unless ? undefined : seen + value)) !== undefined;
  }
  /** One more, unless it is 0: for what is about to be freed then. */
  incNotZero(): boolean {
    return this.addUnless(1n, 0n);
  }
  incUnlessNegative(): boolean {
    return this.#update((seen) => (seen < 0n ? undefined : seen + 1n)) !== undefined;
  }
  decUnlessPositive(): boolean {
    return this.#update((seen) => (seen > 0n ? undefined : seen - 1n)) !== undefined;
  }
  /** One less, if it is positive. Returns what it is then, or what it would be, which is negative, and nothing was changed. */
  decIfPositive(): bigint {
    let found = 0n;
    this.#update((seen) => {
      found = seen;
      return seen <= 0n ? undefined : seen - 1n;
    });
    return wrapped(found - 1n);
  }

  /** Sets bit `bit`, 0 to 63; whether it was set before. */
  testAndSetBit(bit: number): boolean {
    const mask = maskOf(bit);
    return (this.fetchOr(mask) & mask) !== 0n;
  }
  testAndClearBit(bit: number): boolean {
    const mask = maskOf(bit);
    return (this.fetchAndNot(mask) & mask) !== 0n;
  }
  testAndChangeBit(bit: number): boolean {
    const mask = maskOf(bit);
    return (this.fetchXor(mask) & mask) !== 0n;
  }
  testBit(bit: number): boolean {
    return (this.read() & maskOf(bit)) !== 0n;
  }

  protected override get shown(): string {
    return `AtomicBigInt(${this.name ?? this.address}, ${this.read()})`;
  }

  /** The number. What is destroyed after this look keeps its memory, since this thread has a view of it. Throws EINVAL. */
  #living(): WideWord {
    if (!isPresent(this.thread.cpu, this.address)) this.checkThere();
    return this.#word;
  }

  /** The value before, or undefined when `change` gives none for it. */
  #update(change: (value: bigint) => bigint | undefined): bigint | undefined {
    const word = this.#living();
    let value = load64(word);
    for (;;) {
      const next = change(value);
      if (next === undefined) return undefined;
      const seen = cmpxchg64(word, value, wrapped(next));
      if (seen === value) return value;
      value = seen;
    }
  }
}

function wrapped(value: bigint): bigint {
  return BigInt.asIntN(BITS, value);
}

function whole(value: bigint): bigint {
  if (typeof value === 'bigint' && wrapped(value) === value) return value;
  throw new HoldfastError('EINVAL', `expected a bigint of 64 bits, received ${shown(value)}`);
}

function maskOf(bit: number): bigint {
  if (Number.isInteger(bit) && bit >= 0 && bit < BITS) return wrapped(1n << BigInt(bit));
  throw new HoldfastError('EINVAL', `a bit is a whole number from 0 to 63, received ${shown(bit)}`);
}
