/**
 * Flights: computations of values that are missing, one at a time for each key, in whatever thread.
 *
 *   nothing, or too old   -> entry PENDING, its value a flight   the first to miss the key; it computes
 *   PENDING               -> the value                           `land`, or a `set` of somebody else
 *   PENDING               -> nothing                             `land` without a value; `delete`, `clear`
 *
 * A task that misses the key meanwhile sleeps on the flight's `turn`, which changes when the entry is PENDING no more; then it
 * looks again, and computes if it has to. What was set or deleted while a value was computed is newer than that: the computation
 * finds `entry` of its flight 0, and stores nothing.
 *
 *   owner of a flight   entry   what it means
 *   a thread            e       it computes for the entry
 *   a thread            0       it computes, and its entry is gone
 *   0                   e       it died: the next to come computes
 *   0                   0       free
 *
 * A flight's block stays a flight, so that a late sleeper or waker finds a `turn` there.
 */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import type { Repairer } from '../../memory/repairer.ts';
import type { Stretch } from '../../rcu/stretch.ts';
import { isWaitedFor } from '../../sched/slot.ts';
import { CoreWords, type StructureView } from '../core.ts';
import { Journal } from '../journal.ts';
import { Packed } from '../map/codec.ts';
import { CacheEntry, CacheWords, Flight, PENDING, PINS, writeTime } from './layout.ts';
import { PinTable } from './pins.ts';
import { stageFree } from './table.ts';

/** What a task that has missed a key is to do. */
export type Start =
  /** The value is there by now. */
  | { readonly is: 'there' }
  /** Compute, and `land`. */
  | { readonly is: 'mine'; readonly flight: number }
  /** Sleep while the word `turn` is `seen`. */
  | { readonly is: 'theirs'; readonly turn: number; readonly seen: number; readonly owner: number }
  /** There is no memory: compute, and store nothing. */
  | { readonly is: 'alone' };

const THERE: Start = { is: 'there' };
const ALONE: Start = { is: 'alone' };

export class FlightTable extends PinTable {
  readonly #owner: number;
  readonly #value = new Packed();

  constructor(arena: Arena, view: StructureView, stretch: Stretch) {
    super(arena, view, stretch);
    this.#owner = arena.thread.id;
  }

  /** For the writer, which has missed the key, or has waited for another one that computes its value. */
  takeOff(key: Packed, hasWaited = false): Start {
    const { cpu, journal, address } = this;
    const entry = this.find(key);
    if (this.isThereFor(hasWaited, entry)) return THERE;
    if (entry === 0 || !this.isPending(entry)) return this.#begin(key);
    const flight = cpu.read(this.valueAt(entry));
    const owner = cpu.load(flight + Flight.owner);
    const turn = flight + Flight.turn;
    if (owner !== 0) return { is: 'theirs', turn, seen: cpu.load(turn), owner };
    this.begin();
    journal.stage(flight + Flight.owner, this.#owner);
    journal.add(address + CacheWords.computing, 1);
    this.commit();
    return { is: 'mine', flight };
  }

  /**
   * For the writer: the flight is over; with a value it is stored, unless the entry is gone. Throws as `set` does: then the
   * flight is not over.
   */
  land(flight: number, key: Packed, value: Packed | undefined, expires: number): void {
    const { cpu, journal, address } = this;
    const entry = cpu.read(flight + Flight.entry);
    if (entry !== 0 && value !== undefined) this.set(key, value, expires);
    else if (entry !== 0) this.delete(key);
    this.begin();
    stageEnd(cpu, journal, address, flight);
    this.commit();
  }

  #begin(key: Packed): Start {
    const { cpu, journal, address } = this;
    try {
      if (cpu.read(address + CacheWords.freeFlights) === 0) this.#addFlight();
      this.#value.pack(cpu.read(address + CacheWords.freeFlights));
      this.makeMemory(key, this.#value);
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'ENOMEM') return ALONE;
      throw error;
    }
    const flight = cpu.read(address + CacheWords.freeFlights);
    this.begin();
    // One that is too old, unless it had to go for the memory.
    const old = this.find(key);
    const entry = this.stagePut(key, this.#value, old);
    writeTime(cpu, entry + CacheEntry.expiresLow, 0);
    const pins = old === 0 ? 0 : cpu.load(old + CacheEntry.state) & PINS;
    cpu.write(entry + CacheEntry.state, PENDING | pins);
    if (old !== 0) this.stageOut(old);
    journal.stage(address + CacheWords.freeFlights, cpu.read(flight + Flight.nextFree));
    journal.stage(flight + Flight.owner, this.#owner);
    journal.stage(flight + Flight.entry, entry);
    journal.add(address + CacheWords.pending, 1);
    journal.add(address + CacheWords.computing, 1);
    this.commit();
    if (old === 0) this.fit();
    return { is: 'mine', flight };
  }

  #addFlight(): void {
    const { cpu, journal, address, pool } = this;
    pool.reserve(Flight.words, 1);
    this.begin();
    const flight = pool.take(Flight.words);
    cpu.write(flight + Flight.next, cpu.read(address + CacheWords.flights));
    cpu.write(flight + Flight.nextFree, 0);
    cpu.write(flight + Flight.turn, 0);
    cpu.write(flight + Flight.owner, 0);
    cpu.write(flight + Flight.entry, 0);
    journal.stage(address + CacheWords.flights, flight);
    journal.stage(address + CacheWords.freeFlights, flight);
    this.commit();
  }
}

/** For `destroy`: whether a call that has waited for a value has not come back. */
export function areFlightsAwaited(cpu: Cpu, cache: number): boolean {
  let flight = cpu.load(cache + CacheWords.flights);
  while (flight !== 0 && !isWaitedFor(cpu, flight, flight + Flight.words)) flight = cpu.read(flight + Flight.next);
  return flight !== 0;
}

/** The thread that computes the value for which tasks sleep on `turn`, a CPU number plus one, or 0. */
export function computing(cpu: Cpu, turn: number): number {
  return cpu.load(turn - Flight.turn + Flight.owner);
}

/** Under the latch: the flights of dead threads are taken over by those who wait, or free. */
export function repairFlights({ cpu, isDead }: Repairer, cache: number): void {
  const journal = new Journal(cpu, cache + CoreWords.journal);
  let flight = cpu.read(cache + CacheWords.flights);
  for (; flight !== 0; flight = cpu.read(flight + Flight.next)) {
    const owner = cpu.load(flight + Flight.owner);
    if (owner === 0 || !isDead(owner)) continue;
    journal.begin();
    if (cpu.read(flight + Flight.entry) === 0) stageEnd(cpu, journal, cache, flight);
    else {
      journal.stage(flight + Flight.owner, 0);
      journal.stage(flight + Flight.turn, (cpu.load(flight + Flight.turn) + 1) | 0);
      journal.add(cache + CacheWords.computing, -1);
    }
    journal.commit();
  }
}

/** Stages that a flight whose entry is gone is over. */
function stageEnd(cpu: Cpu, journal: Journal, cache: number, flight: number): void {
  journal.stage(flight + Flight.owner, 0);
  stageFree(cpu, journal, cache, flight);
  journal.add(cache + CacheWords.computing, -1);
}
