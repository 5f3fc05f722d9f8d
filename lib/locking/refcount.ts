/**
 * Refcount: a reference count that pins what it cannot count: kernel include/linux/refcount.h.
 *
 *   count      what it means
 *   0          the last reference is gone; final
 *   1 .. MAX   references
 *   < 0        saturated: a mistake was made, so the object is never freed again
 *
 *   inc     n -> n + 1     from 0 (use after free) or MAX: -> SATURATED      relaxed: who adds has a reference
 *   tryInc  n -> n + 1     unless 0                                          relaxed
 *   dec     n -> n - 1     from 0 (one too many): -> SATURATED               release; the last one also acquire
 *
 * SATURATED lies half-way down, so that racing increments and decrements cannot move a saturated count out of range
 * before it is set again. The release pairs with the barrier of the last `dec`: who frees has seen all uses end.
 */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { HoldfastError, shown } from '../errors.ts';
import { defineKind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

const Words = struct({ header: ObjectHeader, count: 1 });

const SATURATED = -(2 ** 30);
/** The most references that are counted. */
const MAX = 2 ** 31 - 1;

const KIND = defineKind<Repairer>({
  name: 'refcount',
  words: Words,
  format: (cpu, address) => cpu.write(address + Words.count, 1),
  holder: () => 0,
  isBusy: () => false,
  close(cpu, address) {
    cpu.store(address + Words.count, SATURATED);
    return true;
  },
  repair: () => true,
});

/**
 * Counts references to something, starting with one. A count that went wrong (an increment after the last reference
 * was gone, a decrement too many, more than 2^31 - 1 references) is stuck at "saturated": the object leaks, and nobody
 * uses memory that was freed. References of a thread that dies stay counted.
 *
 * Never waits. Source: kernel include/linux/refcount.h.
 */
export class Refcount extends SharedObject {
  readonly #count: number;

  /** Opens the count of that name, making it if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
    this.#count = this.address + Words.count;
  }

  static from(arena: Arena, handle: ObjectHandle): Refcount {
    return new Refcount(arena, handle);
  }

  /** One more reference, for who has one. Throws EINVAL, and saturates, when there is none. */
  inc(): void {
    const count = this.thread.cpu.fetchAddRelaxed(this.#count, 1);
    if (count <= 0 || count === MAX) this.#saturate(count, 'inc');
  }

  /** One more reference, for who found the object without one. False when its last reference is gone. */
  tryInc(): boolean {
    const { cpu } = this.thread;
    let count = cpu.load(this.#count);
    while (count !== 0) {
      if (count < 0) {
        this.checkThere();
        return true;
      }
      const seen = cpu.cmpxchgRelaxed(this.#count, count, count === MAX ? SATURATED : count + 1);
      if (seen === count) return true;
      count = seen;
    }
    return false;
  }

  /** One reference less; true when it was the last. Throws EINVAL, and saturates, when there was none. */
  dec(): boolean {
    const { cpu } = this.thread;
    // Release: what this thread did with the object comes before the last `dec`, which pairs with it by the fence below.
    const count = cpu.fetchSubRelease(this.#count, 1);
    if (count === 1) {
      // Acquire: the caller, who may free the object, sees what all the others did with it.
      cpu.rmb();
      return true;
    }
    if (count <= 0) this.#saturate(count, 'dec');
    return false;
  }

  /** Starts over with `references`. Only for who has the last one, or the object to itself. */
  set(references: number): void {
    this.current();
    if (!Number.isInteger(references) || references < 1 || references > MAX) {
      throw new HoldfastError(
        'EINVAL',
        `a count of references is a whole number from 1 to ${MAX}; received ${shown(references)}`,
      );
    }
    const { cpu } = this.thread;
    for (let count = cpu.load(this.#count); ; ) {
      const seen = cpu.cmpxchg(this.#count, count, references);
      if (seen === count) return;
      count = seen;
      this.checkThere();
    }
  }

  /** References; 0 when the last is gone. Out of date as soon as it is read. Infinity when saturated. */
  get count(): number {
    const count = this.living.load(this.#count);
    return count < 0 ? Number.POSITIVE_INFINITY : count;
  }

  /** Whether a mistake has pinned the object. */
  get isSaturated(): boolean {
    return this.living.load(this.#count) < 0;
  }

  protected override get shown(): string {
    return `Refcount(${this.name ?? this.address}, ${this.isSaturated ? 'saturated' : this.count})`;
  }

  #saturate(count: number, call: string): void {
    this.checkThere();
    this.thread.cpu.store(this.#count, SATURATED);
    if (count === 0) {
      throw new HoldfastError(
        'EINVAL',
        `${call} of the ${this.label} after its last reference was gone; the count is saturated from now on`,
      );
    }
  }
}
