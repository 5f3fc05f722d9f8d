/**
 * What a core must have seen, on a machine that is not multi-copy atomic (POWER). There a line whose invalidation waits in
 * a core's queue may answer that core although others have read the new value already, and nothing local to the core forbids it:
 * neither time nor a dependency. What forbids it is propagation. A write brings everything with it that was ordered before it
 * by its thread's barriers, whoever wrote that (cumulativity); a core that has read the write has seen all of it.
 *
 * Writes become visible one after the other in any case, so what a write brings with it is said by a time, its base: all
 * that had become visible by then. A core's `floor` is the latest base of the writes that it has read, and a line whose
 * invalidation arrived before the floor answers no load any more. Kept by core:
 *
 *     floor   what it must have seen: raised by what it reads, and by a sync to the time of the sync
 *     seen    when what it has read, or wrote, became visible
 *     base    of its next write: an lwsync raises it to `seen`, a sync to the time of the sync
 *
 * A write's own base is at least its thread's floor: what was propagated to a thread is propagated with what it writes then. That is
 * more than the model asks for where the write does not depend on the read.
 */
import type { Core } from './core.ts';

export class Propagation {
  /** By word: when what it holds became visible, and its base. */
  readonly #visible: Float64Array;
  readonly #bases: Float64Array;

  constructor(words: number) {
    this.#visible = new Float64Array(words);
    this.#bases = new Float64Array(words);
  }

  /** Of a store that the core makes now. */
  baseOf(core: Core): number {
    return Math.max(core.base, core.floor);
  }

  /** A store of the core is visible from `time` on. All that stood before a barrier in front of it has become so earlier. */
  committed(core: Core, address: number, base: number, epoch: number, time: number): void {
    if (epoch > core.committedEpoch) {
      core.committedEpoch = epoch;
      core.committedBefore = core.committedLast;
    }
    core.committedLast = time;
    this.#visible[address] = time;
    this.#bases[address] = Math.max(base, core.committedBefore);
  }

  /** The core has read what memory holds. */
  read(core: Core, address: number): void {
    const base = this.#bases[address]!;
    core.floor = Math.max(core.floor, base);
    core.seen = Math.max(core.seen, base, this.#visible[address]!);
  }

  /** It has read a line whose invalidation arrived at `time`. */
  readOld(core: Core, time: number): void {
    core.floor = Math.max(core.floor, time - 1);
    core.seen = Math.max(core.seen, time - 1);
  }

  /** lwsync, once its reads are done and its earlier stores stand in the buffer. */
  lightBarrier(core: Core): void {
    core.epoch++;
    core.base = Math.max(core.base, core.seen, core.floor);
  }

  /** sync, once all earlier stores are visible. */
  fullBarrier(core: Core, time: number): void {
    core.epoch++;
    core.floor = Math.max(core.floor, time);
    core.base = core.floor;
  }
}
