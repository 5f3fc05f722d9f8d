/**
 * Entries that nobody puts out. `pin` counts in the entry's `state`, and nests; `pinAll` sets a flag there, so it does not, and
 * `unpinAll` takes nothing from those who have called `pin`.
 *
 * A pinned entry is in a list of its own, which is not looked at for one that goes. Since it moves there and back under the
 * cache's latch, which takes it out of any list, none is ever stranded, as a page can be that another processor is at.
 *
 * Source: mm/mlock.c.
 */
import { HoldfastError } from '../../errors.ts';
import type { Packed } from '../map/codec.ts';
import {
  CacheEntry,
  CacheWords,
  isPinned,
  MOST_PINS,
  PENDING,
  PIN,
  PIN_ON_USE,
  PIN_SHIFT,
  PINNED_ALL,
} from './layout.ts';
import { CacheTable } from './table.ts';

export class PinTable extends CacheTable {
  /** For the writer: the entry is not put out before it is unpinned as often. False when it is not there. Throws ENOMEM. */
  pin(key: Packed): boolean {
    const { cpu, journal, address } = this;
    const entry = this.find(key);
    if (!this.isThere(entry)) return false;
    const state = cpu.load(entry + CacheEntry.state);
    if (state >>> PIN_SHIFT === MOST_PINS)
      throw new HoldfastError('EOVERFLOW', `an entry is pinned ${MOST_PINS} times`);
    if (!isPinned(state)) this.#checkPinned(cpu.read(address + CacheWords.takenPinned) + this.sizeOf(entry));
    this.become(entry, state + PIN, () => journal.add(address + CacheWords.pins, 1));
    return true;
  }

  /** For the writer: undoes a `pin`. False when the key is not pinned, undefined when it is not there. */
  unpin(key: Packed): boolean | undefined {
    const entry = this.find(key);
    if (entry === 0) return undefined;
    const state = this.cpu.load(entry + CacheEntry.state);
    if (state >>> PIN_SHIFT === 0) return state & PENDING ? undefined : false;
    this.become(entry, state - PIN, () => this.journal.add(this.address + CacheWords.unpins, 1));
    return true;
  }

  /**
   * For the writer: pins what is there, or has it pinned when it is used; new entries get `pinning` from now on. Each entry is
   * a step of its own. Throws ENOMEM before anything has changed.
   */
  pinAll(isCurrent: boolean, flag: number, pinning: number): void {
    const { cpu, address } = this;
    if (isCurrent && flag === PINNED_ALL) this.#checkPinned(cpu.read(address + CacheWords.taken));
    cpu.store(address + CacheWords.pinning, pinning);
    if (!isCurrent) return;
    for (const entry of this.entries()) {
      const state = cpu.load(entry + CacheEntry.state);
      if (state & (PENDING | PINNED_ALL)) continue;
      if (flag === PINNED_ALL) this.#pinByAll(entry, state);
      else cpu.storeReleaseLight(entry + CacheEntry.state, state | PIN_ON_USE);
    }
  }

  /** For the writer: undoes `pinAll`; what `pin` has pinned stays so. */
  unpinAll(): void {
    const { cpu, journal, address } = this;
    cpu.store(address + CacheWords.pinning, 0);
    for (const entry of this.entries()) {
      const state = cpu.load(entry + CacheEntry.state);
      const next = state & ~(PINNED_ALL | PIN_ON_USE);
      if (state & PINNED_ALL) this.become(entry, next, () => journal.add(address + CacheWords.unpins, 1));
      else if (state !== next) cpu.storeReleaseLight(entry + CacheEntry.state, next);
    }
  }

  /** For the writer: the entry of the key is used, the first time since `pinAll` said that it is pinned then. */
  pinAtUse(key: Packed): void {
    const { cpu, address } = this;
    const entry = this.find(key);
    if (entry === 0) return;
    const state = cpu.load(entry + CacheEntry.state);
    if (!(state & PIN_ON_USE)) return;
    const size = isPinned(state) ? 0 : this.sizeOf(entry);
    const hasRoom = cpu.read(address + CacheWords.takenPinned) + size <= cpu.read(address + CacheWords.mostPinned);
    if (hasRoom) this.#pinByAll(entry, state);
    else cpu.storeReleaseLight(entry + CacheEntry.state, state & ~PIN_ON_USE);
  }

  #pinByAll(entry: number, state: number): void {
    const { journal, address } = this;
    this.become(entry, (state & ~PIN_ON_USE) | PINNED_ALL, () => journal.add(address + CacheWords.pins, 1));
  }

  /** Throws ENOMEM when pinned entries may not have so many words. */
  #checkPinned(words: number): void {
    const most = this.cpu.read(this.address + CacheWords.mostPinned);
    if (words <= most) return;
    throw new HoldfastError('ENOMEM', `pinned entries would take more than the ${most * 4} bytes of maxPinnedBytes`);
  }
}
