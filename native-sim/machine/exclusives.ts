/**
 * Read-modify-writes of two instructions: a load-exclusive, which makes the core's monitor watch the line, and a
 * store-exclusive, which fails when the monitor has lost it (LDXR and STXR of Armv8.0, lwarx and stwcx. of POWER). It loses it
 *
 *     to a write     another core has taken the line away, to write any word of it
 *     by eviction    the core's own cache had no room for it
 *     spuriously     for no reason that a program could know: interrupts, a limit of the implementation
 *
 * A read by another core takes nothing away. A core that has lost it begins again with the load. As its line has come meanwhile, to be
 * written, the second pair follows at once, and the home serves requests in order of arrival: so nobody starves.
 */
import { LINE_SHIFT } from './caches.ts';
import type { Core } from './core.ts';
import type { MemorySystem } from './memory-system.ts';
import type { Random } from './random.ts';

export const StoreExclusive = { done: 0, waits: 1, failed: 2 } as const;

const PARTS = 1 << 20;

export class Exclusives {
  readonly #system: MemorySystem;
  readonly #random: Random;
  /** Of `PARTS`. */
  readonly #spurious: number;

  constructor(system: MemorySystem, random: Random, spurious: number) {
    this.#system = system;
    this.#random = random;
    this.#spurious = Math.round(spurious * PARTS);
  }

  /** The monitor watches the line of `address` from now on. False: the line has been asked for, and is not here yet. */
  load(core: Core, address: number, time: number): boolean {
    const line = address >> LINE_SHIFT;
    if (this.#system.caches.state(core.number, line) === 0) {
      this.#system.request(core, address, false, false, time);
      return false;
    }
    core.reserved = line;
    core.reservedValue = this.#system.memory[address]!;
    core.reservedWriter = this.#system.writers === null ? 0 : this.#system.writers[address]!;
    return true;
  }

  /** Whether the word may be written now; `waits`: the line has been asked for. The monitor watches nothing afterwards. */
  store(core: Core, address: number, time: number): number {
    if (!this.#system.owns(core, address >> LINE_SHIFT)) {
      this.#system.request(core, address, true, true, time);
      return StoreExclusive.waits;
    }
    core.reserved = -1;
    if (this.#spurious === 0 || this.#random.below(PARTS) >= this.#spurious) return StoreExclusive.done;
    this.#system.counters.failedExclusives.spurious++;
    return StoreExclusive.failed;
  }
}
