/**
 * AtomicBigInt: the kernel's `atomic64_t`. Its two words are one element of a BigInt64Array over the arena, so every operation is
 * one access of the processor: nothing to repair after a death, and no lock, which two words of 32 bits would need
 * (lib/atomic64.c).
 *
 * These two words are the only ones of an arena that are ever accessed as 64 bits, and never as 32 while the object is there:
 * accesses of two sizes to one place at the same time would have no order. Before an object is opened its words were set to 0,
 * and all who can open it have seen that happen; its memory is used again when no view of it is left. The machines that explore
 * and time algorithms have words of 32 bits, and no use for a class whose operations are single steps.
 */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

/** Objects begin cache lines, so an even offset is a place of 64 bits. */
const Words = struct({ header: ObjectHeader, pad: ObjectHeader.words % 2, value: 2 });
const WORD_BYTES = 4;
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
  readonly #values: BigInt64Array;

  /** Opens the number of that name, making it, as 0, if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    const { buffer, byteOffset } = arena.words;
    this.#values = new BigInt64Array(buffer, byteOffset + (this.address + Words.value) * WORD_BYTES, 1);
  }

  static from(arena: Arena, handle: ObjectHandle): AtomicBigInt {
    return new AtomicBigInt(arena, handle);
  }

  read(): bigint {
    return Atomics.load(this.#living(), 0);
  }
  readAcquire(): bigint {
    return Atomics.load(this.#living(), 0);
  }
  set(value: bigint): void {
    Atomics.store(this.#living(), 0, whole(value));
  }
  setRelease(value: bigint): void {
    Atomics.store(this.#living(), 0, whole(value));
  }

  fetchAdd(value: bigint): bigint {
    return Atomics.add(this.#living(), 0, whole(value));
  }
  fetchSub(value: bigint): bigint {
    return Atomics.sub(this.#living(), 0, whole(value));
  }
  fetchAnd(bits: bigint): bigint {
    return Atomics.and(this.#living(), 0, whole(bits));
  }
  fetchOr(bits: bigint): bigint {
    return Atomics.or(this.#living(), 0, whole(bits));
  }
  /** `atomic64_fetch_andnot`: clears these bits. */
  fetchAndNot(bits: bigint): bigint {
    return Atomics.and(this.#living(), 0, ~whole(bits));
  }
  fetchXor(bits: bigint): bigint {
    return Atomics.xor(this.#living(), 0, whole(bits));
  }
  addReturn(value: bigint): bigint {
    return wrapped(this.fetchAdd(value) + value);
  }
  subReturn(value: bigint): bigint {
    return wrapped(this.fetchSub(value) - value);
  }

  inc(): void {
    Atomics.add(this.#living(), 0, 1n);
  }
  dec(): void {
    Atomics.sub(this.#living(), 0, 1n);
  }
  /** One more; whether it is 0 now. */
  incAndTest(): boolean {
    return Atomics.add(this.#living(), 0, 1n) === -1n;
  }
  /** One less; whether it is 0 now. */
  decAndTest(): boolean {
    return Atomics.sub(this.#living(), 0, 1n) === 1n;
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
    return Atomics.exchange(this.#living(), 0, whole(value));
  }
  cmpxchg(expected: bigint, value: bigint): bigint {
    return Atomics.compareExchange(this.#living(), 0, whole(expected), whole(value));
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
  #living(): BigInt64Array {
    if (!isPresent(this.thread.cpu, this.address)) this.checkThere();
    return this.#values;
  }

  /** The value before, or undefined when `change` gives none for it. */
  #update(change: (value: bigint) => bigint | undefined): bigint | undefined {
    const values = this.#living();
    let value = Atomics.load(values, 0);
    for (;;) {
      const next = change(value);
      if (next === undefined) return undefined;
      const seen = Atomics.compareExchange(values, 0, value, wrapped(next));
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
