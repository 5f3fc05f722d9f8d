/**
 * A hash table whose entries can be put out, and which of them goes first.
 *
 *   new ──> inactive ──second access──> active       new, and its eviction was regretted ──> active
 *              │  ^                       │ last one, not used since it was last looked at
 *              │  └───────────────────────┘ while the inactive list is short of its share
 *              └─ last one, not used: put out       last one, used: active
 *
 * Both lists are looked at from their ends, and only when an entry has to go: an entry in the active list that was used since is
 * spared once more (the second chance of CLOCK). So a hit changes no list, and a hit on an active entry that has its REFERENCED
 * changes nothing at all.
 *
 * Each arrow is a step of its own (`journal.ts`): a writer that dies has made it or not.
 *
 * Source: mm/swap.c, mm/vmscan.c. Chances in the active list, and what decides the share, are not the kernel's: see `regret.ts`.
 */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { Block, classOf, wordsOf } from '../chunks.ts';
import type { StructureView } from '../core.ts';
import type { Journal } from '../journal.ts';
import type { Packed } from '../map/codec.ts';
import { Entry, HashTable } from '../map/table.ts';
import { MemoryAwaited } from '../pool.ts';
import {
  ACTIVE,
  BATCH,
  CacheEntry,
  CacheWords,
  Flight,
  isPinned,
  Line,
  lineOf,
  PENDING,
  PIN_ON_USE,
  PINNED_ALL,
  PINS,
  REFERENCED,
  readTime,
  WORKINGSET,
  writeTime,
} from './layout.ts';
import { type List, Lru } from './lru.ts';
import { Regret, SHADOWS } from './regret.ts';

const { active, inactive, pinned } = CacheWords;

/** Entries that are looked at for one that goes: with more, a writer would hold others up. The kernel's SWAP_CLUSTER_MAX. */
const MOST_SPARED = 32;
/** Evictions between two that look at what other threads have used. */
const LOOK_AROUND = 32;
/** Entries that are put out at once when the arena is full. */
const CLUSTER = 32;

export class CacheTable extends HashTable {
  readonly #lru: Lru;
  readonly #regret: Regret;
  readonly #number: number;
  /** Turns of flights that are over: to be woken once the latch is free. */
  protected readonly over: number[] = [];

  constructor(arena: Arena, view: StructureView, stretch: Stretch) {
    super(arena, view, stretch, CacheEntry.words, 1 + SHADOWS);
    this.#lru = new Lru(this.cpu, this.journal, view.address);
    this.#regret = new Regret(this.cpu, this.journal, view.address);
    this.#number = arena.thread.number;
  }

  /** Entries, those included that are too old and that nobody has put out yet. */
  get entriesCount(): number {
    return this.size - this.cpu.load(this.address + CacheWords.pending);
  }

  count(list: List): number {
    return this.#lru.count(list);
  }

  /** For readers and the writer: whether what `find` has found can be had. */
  isThere(entry: number): boolean {
    return entry !== 0 && !(this.cpu.loadUnordered(entry + CacheEntry.state) & PENDING) && !this.isExpired(entry);
  }

  /** The same, for a call that has waited since before the entry was made: it has it also when it is too old by now. */
  isThereFor(hasWaited: boolean, entry: number): boolean {
    return this.isThere(entry) || (hasWaited && entry !== 0 && !this.isPending(entry));
  }

  isExpired(entry: number): boolean {
    const expires = readTime(this.cpu, entry + CacheEntry.expiresLow);
    return expires !== 0 && expires <= this.cpu.now() / 1e6;
  }

  /**
   * For the writer: the key has that value from now on, until the time `expires` (ms on the arena's clock, 0 for ever). Throws
   * ENOMEM when nothing more can be put out.
   */
  set(key: Packed, value: Packed, expires: number): void {
    this.#makeRoom(key, value);
    const { cpu, journal, address } = this;
    const size = wordsOf(classOf(this.lengthFor(key, value)));
    this.begin();
    const old = this.find(key);
    const entry = this.stagePut(key, value, old);
    writeTime(cpu, entry + CacheEntry.expiresLow, expires);
    let state = 0;
    if (old !== 0 && !this.isPending(old)) {
      state = cpu.load(old + CacheEntry.state) | REFERENCED;
      this.stageOut(old);
    } else {
      if (old !== 0) this.stageOver(old);
      if (this.#regret.stageArrival(key.hash, this.entriesCount)) state = ACTIVE | WORKINGSET;
      const kept = old === 0 ? 0 : cpu.load(old + CacheEntry.state) & PINS;
      const pinning = cpu.read(address + CacheWords.pinning);
      state |= kept | pinning;
      if (pinning & ~kept & PINNED_ALL) journal.add(address + CacheWords.pins, 1);
      if (isPinned(state) && !isPinned(kept)) journal.add(address + CacheWords.culled, 1);
    }
    cpu.write(entry + CacheEntry.state, state);
    this.#lru.stageIn(this.#lru.listOf(state), entry);
    journal.add(address + CacheWords.taken, size);
    if (isPinned(state)) journal.add(address + CacheWords.takenPinned, size);
    this.commit();
    if (old === 0) this.fit();
  }

  /** For the writer: takes the key out. Returns whether it could be had. */
  delete(key: Packed): boolean {
    const entry = this.find(key);
    const wasThere = this.isThere(entry);
    if (entry !== 0) this.#remove(entry);
    return wasThere;
  }

  override clear(): void {
    const { journal, address } = this;
    for (const entry of this.entries()) if (this.isPending(entry)) this.#removeFound(entry);
    super.clear(() => {
      this.#lru.stageEmpty();
      journal.stage(address + CacheWords.taken, 0);
      journal.stage(address + CacheWords.takenPinned, 0);
    });
  }

  /** For the writer: sees to the accesses of all threads. `lru_add_drain_all`. */
  drainAll(): void {
    const threads = this.cpu.load(this.address + CacheWords.threads);
    for (let number = 0; number < threads; number++) this.drain(number);
  }

  /** For the writer: sees to the accesses of one thread. */
  drain(number = this.#number): void {
    const { cpu } = this;
    const line = lineOf(this.address, number);
    let head = cpu.load(line + Line.head);
    // Pairs with the release in `record` of batch.ts.
    const tail = cpu.loadAcquire(line + Line.tail);
    if (head === tail) return;
    for (; head !== tail; head = (head + 1) | 0) {
      const at = line + Line.ring + 2 * (head & (BATCH - 1));
      const entry = this.seek(cpu.read(at), cpu.read(at + 1));
      if (entry !== 0) this.#access(entry);
    }
    // Pairs with the acquire in `record`: what was read there may be written over.
    cpu.storeRelease(line + Line.head, head);
  }

  /** Takes the entry that is needed least out. False when all are pinned. */
  evict(): boolean {
    const { cpu } = this;
    for (let spared = 0; ; spared++) {
      this.#balance();
      const entry = this.#lru.last(inactive);
      if (entry === 0) return false;
      const state = cpu.load(entry + CacheEntry.state);
      const isExpired = this.isExpired(entry);
      if (!(state & REFERENCED) || isExpired || spared === MOST_SPARED) {
        this.#evict(entry, isExpired);
        return true;
      }
      this.become(entry, (state & PIN_ON_USE) | ACTIVE | WORKINGSET);
    }
  }

  /** What is to be woken, once: the caller does so when the latch is free. */
  takeOver(): readonly number[] {
    return this.over.splice(0);
  }

  /** Stages that the flight of an entry that is PENDING goes on without it. */
  protected stageOver(entry: number): void {
    const { cpu, journal, address } = this;
    const flight = cpu.read(this.valueAt(entry));
    journal.stage(flight + Flight.entry, 0);
    journal.stage(flight + Flight.turn, (cpu.load(flight + Flight.turn) + 1) | 0);
    journal.add(address + CacheWords.pending, -1);
    // The thread that computed has died: nobody else frees the flight.
    if (cpu.load(flight + Flight.owner) === 0) stageFree(cpu, journal, address, flight);
    this.over.push(flight + Flight.turn);
  }

  /** Puts entries out until there is room for one more. */
  #makeRoom(key: Packed, value: Packed): void {
    const { cpu, address } = this;
    const size = wordsOf(classOf(this.lengthFor(key, value)));
    const most = cpu.read(address + CacheWords.most);
    const mostWords = cpu.read(address + CacheWords.mostWords);
    const refuse = (what: string) => {
      throw new HoldfastError('ENOMEM', `${what}, and nothing more can be put out`);
    };
    for (let isFirst = true; ; isFirst = false) {
      const old = this.find(key);
      const isReplaced = old !== 0 && !this.isPending(old);
      const oldSize = isReplaced ? this.sizeOf(old) : 0;
      const kept = old === 0 ? 0 : cpu.load(old + CacheEntry.state);
      if (isPinned(kept) || (!isReplaced && isPinned(cpu.read(address + CacheWords.pinning)))) {
        const taken = cpu.read(address + CacheWords.takenPinned) - oldSize + size;
        if (taken > cpu.read(address + CacheWords.mostPinned)) refuse(`pinned entries would take ${taken * 4} bytes`);
      }
      const least = cpu.read(address + CacheWords.takenPinned) + size;
      if (least > mostWords) refuse(`an entry of ${size * 4} bytes does not fit in maxBytes, ${mostWords * 4}`);
      const isFull = this.entriesCount + (isReplaced ? 0 : 1) > most;
      const isTooLarge = cpu.read(address + CacheWords.taken) - oldSize + size > mostWords;
      if (!isFull && !isTooLarge) break;
      if (isFirst) this.#lookAround();
      if (!this.evict()) refuse(`the cache has ${this.entriesCount} entries that are pinned`);
    }
    this.makeMemory(key, value);
  }

  /** Sees to it that the arena has memory for the entry. What it puts out for that is memory once readers are out. */
  protected makeMemory(key: Packed, value: Packed): void {
    for (;;) {
      try {
        this.reserve(key, value);
        return;
      } catch (error) {
        const isFull = error instanceof HoldfastError && error.code === 'ENOMEM' && !(error instanceof MemoryAwaited);
        if (!isFull || !this.#shrink(classOf(this.lengthFor(key, value)))) throw error;
      }
    }
  }

  /** Puts entries out whose blocks are of the class. Returns whether there were any. */
  #shrink(size: number): boolean {
    let count = 0;
    for (const list of [inactive, active]) {
      for (let entry = this.#lru.last(list); entry !== 0 && count < CLUSTER; ) {
        const before = this.#lru.before(list, entry);
        if (this.cpu.read(entry + Block.size) === size) {
          this.#evict(entry, false);
          count++;
        }
        entry = before;
      }
    }
    return count > 0;
  }

  /** What was used lately is not put out: what this thread has used, and now and then what the others have. */
  #lookAround(): void {
    if (this.cpu.read(this.address + CacheWords.evictions) % LOOK_AROUND === 0) this.drainAll();
    else this.drain();
  }

  /** Moves what was not used from the active list until the inactive one has its share. */
  #balance(): void {
    const { cpu } = this;
    for (let spared = 0; ; ) {
      const inactives = this.count(inactive);
      const entry = this.#lru.last(active);
      if (entry === 0 || inactives >= this.#regret.inactiveOf(inactives + this.count(active))) return;
      const isSpared = (cpu.load(entry + CacheEntry.state) & REFERENCED) !== 0 && spared++ < MOST_SPARED;
      const state = cpu.load(entry + CacheEntry.state);
      this.become(entry, (state & PIN_ON_USE) | WORKINGSET | (isSpared ? ACTIVE : 0));
    }
  }

  /** The entry was used. `mark_page_accessed`. */
  #access(entry: number): void {
    const { cpu, journal, address } = this;
    const state = cpu.load(entry + CacheEntry.state);
    if (state & PENDING || isPinned(state)) return;
    if (!(state & REFERENCED)) cpu.storeReleaseLight(entry + CacheEntry.state, state | REFERENCED);
    else if (!(state & ACTIVE)) {
      const next = (state & PIN_ON_USE) | ACTIVE | WORKINGSET;
      this.become(entry, next, () => journal.add(address + CacheWords.activations, 1));
    }
  }

  /** Gives the entry that state, at the front of the list for it; one that is PENDING is in none. */
  protected become(entry: number, state: number, further = () => {}): void {
    const { cpu, journal, address } = this;
    const old = cpu.load(entry + CacheEntry.state);
    const [from, to] = [this.#lru.listOf(old), this.#lru.listOf(state)];
    this.begin();
    journal.stage(entry + CacheEntry.state, state);
    const isListed = (old & PENDING) === 0;
    if (isListed) {
      this.#lru.stageOut(from, entry);
      this.#lru.stageIn(to, entry);
    }
    if (isListed && from !== to && (from === pinned || to === pinned)) {
      const size = this.sizeOf(entry);
      journal.add(address + CacheWords.takenPinned, to === pinned ? size : -size);
      journal.add(address + (to === pinned ? CacheWords.culled : CacheWords.rescued), 1);
    }
    further();
    this.commit();
  }

  #evict(entry: number, isExpired: boolean): void {
    const { cpu, journal, address } = this;
    const hash = cpu.read(entry + Entry.hash);
    const wasActive = (cpu.load(entry + CacheEntry.state) & WORKINGSET) !== 0;
    const entries = this.entriesCount;
    this.#removeFound(entry, () => {
      if (isExpired) journal.add(address + CacheWords.expirations, 1);
      else this.#regret.stageEviction(hash, wasActive, entries);
    });
  }

  #removeFound(entry: number, further?: () => void): void {
    this.seek(this.cpu.read(entry + Entry.hash), this.cpu.read(entry + Entry.stamp));
    this.#remove(entry, further);
  }

  /** Takes the entry out that `find` or `seek` has just found; `further` stages what else belongs to the step. */
  #remove(entry: number, further = () => {}): void {
    this.begin();
    this.stageRemove(entry);
    if (this.isPending(entry)) this.stageOver(entry);
    else this.stageOut(entry);
    further();
    this.commit();
    this.fit();
  }

  /** The entry is in no list any more. */
  protected stageOut(entry: number): void {
    const { journal, address } = this;
    const list = this.#lru.listOf(this.cpu.load(entry + CacheEntry.state));
    this.#lru.stageOut(list, entry);
    journal.add(address + CacheWords.taken, -this.sizeOf(entry));
    if (list === pinned) journal.add(address + CacheWords.takenPinned, -this.sizeOf(entry));
  }

  protected isPending(entry: number): boolean {
    return (this.cpu.load(entry + CacheEntry.state) & PENDING) !== 0;
  }

  protected sizeOf(entry: number): number {
    return wordsOf(this.cpu.read(entry + Block.size));
  }
}

/** Stages that a flight without owner and entry can be used again. */
export function stageFree(cpu: Cpu, journal: Journal, cache: number, flight: number): void {
  journal.stage(flight + Flight.nextFree, cpu.read(cache + CacheWords.freeFlights));
  journal.stage(cache + CacheWords.freeFlights, flight);
}
