import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

const Words = struct({ header: ObjectHeader, value: 1 });

const KIND = defineKind<Repairer>({
  name: 'atomic-int',
  words: Words,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  repair: () => true,
});

/**
 * A signed 32-bit number that all threads change in one step each: the kernel's `atomic_t`. It wraps. What counts
 * references is a `Refcount`, which does not.
 *
 * Every operation is fully ordered, but for `read` and `set`, which order nothing, and those that change nothing (an
 * `addUnless` that returns false), which order their own load only. `fetch…` return the value before, `…Return` the one after.
 *
 * Never waits. Death: each operation was made or not. Source: kernel Documentation/atomic_t.txt.
 */
export class AtomicInt extends SharedObject {
  readonly #cpu: Cpu;
  readonly #word: number;

  /** Opens the number of that name, making it, as 0, if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#cpu = this.thread.cpu;
    this.#word = this.address + Words.value;
  }

  static from(arena: Arena, handle: ObjectHandle): AtomicInt {
    return new AtomicInt(arena, handle);
  }

  read(): number {
    return this.#living().load(this.#word);
  }
  readAcquire(): number {
    return this.#living().loadAcquire(this.#word);
  }
  set(value: number): void {
    this.#living().store(this.#word, whole(value));
  }
  setRelease(value: number): void {
    this.#living().storeRelease(this.#word, whole(value));
  }

  fetchAdd(value: number): number {
    return this.#living().fetchAdd(this.#word, whole(value));
  }
  fetchSub(value: number): number {
    return this.#living().fetchSub(this.#word, whole(value));
  }
  fetchAnd(bits: number): number {
    return this.#living().fetchAnd(this.#word, whole(bits));
  }
  fetchOr(bits: number): number {
    return this.#living().fetchOr(this.#word, whole(bits));
  }
  /** `atomic_fetch_andnot`: clears these bits. */
  fetchAndNot(bits: number): number {
    return this.#living().fetchAnd(this.#word, ~whole(bits));
  }
  fetchXor(bits: number): number {
    whole(bits);
    return this.#update((value) => value ^ bits) as number;
  }
  addReturn(value: number): number {
    return (this.fetchAdd(value) + value) | 0;
  }
  subReturn(value: number): number {
    return (this.fetchSub(value) - value) | 0;
  }

  inc(): void {
    this.#living().fetchAdd(this.#word, 1);
  }
  dec(): void {
    this.#living().fetchSub(this.#word, 1);
  }
  /** One more; whether it is 0 now. */
  incAndTest(): boolean {
    return this.#living().fetchAdd(this.#word, 1) === -1;
  }
  /** One less; whether it is 0 now. */
  decAndTest(): boolean {
    return this.#living().fetchSub(this.#word, 1) === 1;
  }
  /** `value` less; whether it is 0 now. */
  subAndTest(value: number): boolean {
    return this.subReturn(value) === 0;
  }
  /** `value` more; whether it is negative now. */
  addNegative(value: number): boolean {
    return this.addReturn(value) < 0;
  }

  xchg(value: number): number {
    return this.#living().xchg(this.#word, whole(value));
  }
  cmpxchg(expected: number, value: number): number {
    return this.#living().cmpxchg(this.#word, whole(expected), whole(value));
  }
  /** Whether it was `expected`, and so is `value` now. */
  tryCmpxchg(expected: number, value: number): boolean {
    return this.cmpxchg(expected, value) === expected;
  }

  /** `value` more, unless it is `unless`. Whether it was added. */
  addUnless(value: number, unless: number): boolean {
    whole(value);
    whole(unless);
    return this.#update((seen) => (seen === unless ? undefined : seen + value)) !== undefined;
  }
  /** One more, unless it is 0: for what is about to be freed then. */
  incNotZero(): boolean {
    return this.addUnless(1, 0);
  }
  incUnlessNegative(): boolean {
    return this.#update((seen) => (seen < 0 ? undefined : seen + 1)) !== undefined;
  }
  decUnlessPositive(): boolean {
    return this.#update((seen) => (seen > 0 ? undefined : seen - 1)) !== undefined;
  }
  /** One less, if it is positive. Returns what it is then, or -1 or less and nothing was changed. */
  decIfPositive(): number {
    const seen = this.#update((value) => (value <= 0 ? undefined : value - 1));
    return seen === undefined ? Math.min(this.read() - 1, -1) : seen - 1;
  }

  /** Sets bit `bit`, 0 to 31; whether it was set before. */
  testAndSetBit(bit: number): boolean {
    return (this.#living().fetchOr(this.#word, maskOf(bit)) & maskOf(bit)) !== 0;
  }
  testAndClearBit(bit: number): boolean {
    return (this.#living().fetchAnd(this.#word, ~maskOf(bit)) & maskOf(bit)) !== 0;
  }
  testAndChangeBit(bit: number): boolean {
    return (this.fetchXor(maskOf(bit)) & maskOf(bit)) !== 0;
  }
  testBit(bit: number): boolean {
    return (this.read() & maskOf(bit)) !== 0;
  }

  protected override get shown(): string {
    return `AtomicInt(${this.name ?? this.address}, ${this.read()})`;
  }

  /** The machine. What is destroyed after this look keeps its memory, since this thread has a view of it. Throws EINVAL. */
  #living(): Cpu {
    if (!isPresent(this.#cpu, this.address)) this.checkThere();
    return this.#cpu;
  }

  /** The value before, or undefined when `change` gives none for it. */
  #update(change: (value: number) => number | undefined): number | undefined {
    const cpu = this.#living();
    let value = cpu.load(this.#word);
    for (;;) {
      const next = change(value);
      if (next === undefined) return undefined;
      const seen = cpu.cmpxchg(this.#word, value, next | 0);
      if (seen === value) return value;
      value = seen;
    }
  }
}

function whole(value: number): number {
  if ((value | 0) === value) return value;
  throw new HoldfastError('EINVAL', `expected a whole number of 32 bits, received ${shown(value)}`);
}

function maskOf(bit: number): number {
  if (Number.isInteger(bit) && bit >= 0 && bit < 32) return 1 << bit;
  throw new HoldfastError('EINVAL', `a bit is a whole number from 0 to 31, received ${shown(bit)}`);
}
