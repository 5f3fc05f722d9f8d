/**
 * How one thread counts the locks that it takes, those that are free too, and times how long it holds some of them.
 *
 * Reading the clock costs more than a free lock, so one acquisition in 16 is timed, by a random skip: a fixed one could go in step with the
 * program. Where the last one that was timed took long, the clock is no matter, and each is. Of a lock of which a thread knows 1,024 short
 * ones it times one in 128. Each stands for as many as it should.
 *
 * While nothing is timed, the fast paths of unlocks take their way (`Thread.observeUnlocks`): a lock that is free costs its slow path when it is
 * taken, and nothing when it is given back.
 */
import { Header } from '../../memory/header.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import { defineLockObserver, endObserver, lookForObserver, ownWanted, UNOWNED } from '../../sched/lock-observer.ts';
import { NEVER, type Thread } from '../../sched/thread.ts';
import type { LockObserver, ObservedLock, WaitForm, Wanted } from '../../sched/watch.ts';
import { bucketOf } from './histogram.ts';
import { Count, Counts, countsAt, Held, HeldRow, heldRowAt } from './holds-layout.ts';
import { Profile } from './layout.ts';
import { delayOf, RowFinder } from './rows.ts';
import { Chance, noteExtremes, recording } from './samples.ts';
import { tallyAdd } from './tally.ts';

/** Acquisitions for each that is timed; and where so many short ones are known of the lock, RARE. */
const INTERVAL = 16;
const ENOUGH = 1024;
const RARE = 128;
/** A hold for which the clock is no matter, ns. */
const LONG = 4000;

/** Locks that a thread has at hand, by address, each in four modes. */
const PLACES = 256;

/** Holds that are timed at once: more are counted and not timed. */
const MOST_TIMED = 1024;

/** Where what a thread counts of a lock that it takes in one mode is: words, of the thread's counts and of the row. */
interface Places {
  readonly count: number;
  readonly bounces: number;
  readonly last: number;
  readonly held: number;
  /** For how long the lock is held before the program has it, ns. */
  readonly delay: number;
}

/** What a thread has at hand of such a lock. */
class Known {
  readonly owner: HoldRecorder;
  readonly address: number;
  readonly serial: number;
  /** 0 for a lock that has found no row. */
  readonly count: number;
  readonly bounces: number;
  readonly last: number;
  readonly held: number;
  readonly delay: number;
  /** Acquisitions until one is timed. */
  skip: number;
  /** Of those there are to each that is timed at present. */
  interval: number;
  /** How many were timed. */
  timed = 0;

  constructor(owner: HoldRecorder, address: number, serial: number, places: Places, skip: number) {
    this.owner = owner;
    this.address = address;
    this.serial = serial;
    this.count = places.count;
    this.bounces = places.bounces;
    this.last = places.last;
    this.held = places.held;
    this.delay = places.delay;
    // One that is delayed is so each time.
    this.interval = places.delay > 0 ? 1 : INTERVAL;
    this.skip = places.delay > 0 ? 1 : skip;
  }
}

const NOWHERE: Places = { count: 0, bounces: 0, last: 0, held: 0, delay: 0 };

interface Timed {
  known: Known;
  task: number;
  since: number;
  weight: number;
}

export class HoldRecorder implements LockObserver {
  readonly tookIsEnough = true;
  readonly #thread: Thread;
  readonly session: number;
  readonly #profile: number;
  readonly #holds: number;
  readonly #counts: number;
  readonly #rows: RowFinder;
  readonly #chance: Chance;
  readonly #known: (Known | undefined)[] = new Array(PLACES * 4).fill(undefined);
  /** The last one that was asked for. */
  #wanted = new Known(this, 0, 0, NOWHERE, 0);
  readonly #timed: Timed[] = [];

  constructor(thread: Thread, session: number, profile: number, holds: number) {
    const { cpu, number } = thread;
    this.#thread = thread;
    this.session = session;
    this.#profile = profile;
    this.#holds = holds;
    this.#counts = countsAt(holds, number);
    this.#rows = new RowFinder(thread, this.#profile);
    this.#chance = new Chance(session, thread);
    if (cpu.load(this.#counts + Counts.session) === session) return;
    for (let word = Counts.rows; word < Counts.words; word++) cpu.store(this.#counts + word, 0);
    // Pairs with the acquire in `readCounts`.
    cpu.storeRelease(this.#counts + Counts.session, session);
  }

  wants(lock: ObservedLock, form: WaitForm): Wanted {
    return (this.#wanted = this.#knownOf(lock.address, form));
  }

  has(wantedByAll: Wanted | undefined, task: number): void {
    const last = this.#wanted;
    if (wantedByAll === last) this.#acquired(last, task);
    else this.#hasLater(wantedByAll, task);
  }

  /** Others have been asked for meanwhile, or observers in a group have heard of it. */
  #hasLater(wantedByAll: Wanted | undefined, task: number): void {
    const wanted = wantedByAll instanceof Known ? wantedByAll : ownWanted(this, wantedByAll);
    // It was asked for in another session, or before there was one.
    if (wanted instanceof Known && wanted.owner === this) this.#acquired(wanted, task);
  }

  took(lock: ObservedLock, form: WaitForm, task: number): void {
    this.#acquired(this.#knownOf(lock.address, form), task);
  }

  gave(lock: ObservedLock, task: number): void {
    const timed = this.#timed;
    for (let i = timed.length - 1; i >= 0; i--) {
      const hold = timed[i] as Timed;
      if (hold.known.address !== lock.address || hold.task !== task) continue;
      if (i === timed.length - 1) timed.pop();
      else timed.splice(i, 1);
      this.#record(hold);
      break;
    }
    if (timed.length === 0) this.#observeUnlocks(false);
  }

  /** From here on it is held in another mode; how long in all, says the mode in which it was taken. */
  shares(): void {}

  notHeld(): void {}

  #knownOf(address: number, { shared, async }: WaitForm): Known {
    const place = (((address >> 4) & (PLACES - 1)) << 2) | (shared ? 2 : 0) | (async ? 1 : 0);
    const known = this.#known[place];
    // An object has a serial number: see `objects.ts`.
    const serial = this.#thread.cpu.loadUnordered(address + ObjectHeader.serial);
    if (known !== undefined && known.address === address && known.serial === serial) return known;
    return (this.#known[place] = this.#find(address, serial, shared, async));
  }

  #find(address: number, serial: number, shared: boolean, async: boolean): Known {
    // From the thread's first lock on.
    if (this.#timed.length === 0) this.#observeUnlocks(false);
    let row = -1;
    recording(this.#thread, this.session, () => (row = this.#rows.rowOf(this.#rows.objectAt(address), shared)));
    const skip = this.#skip(INTERVAL);
    if (row < 0) return new Known(this, address, serial, NOWHERE, skip);
    const count = this.#counts + Counts.rows + row * Count.words;
    const held = heldRowAt(this.#holds, row);
    const places: Places = {
      count: count + (async ? Count.async : Count.sync),
      bounces: count + Count.bounces,
      last: held + HeldRow.last,
      held: held + (async ? HeldRow.async : HeldRow.sync),
      delay: delayOf(this.#thread.cpu, this.#profile, row),
    };
    return new Known(this, address, serial, places, skip);
  }

  #acquired(known: Known, task: number): void {
    const { cpu, id } = this.#thread;
    // The read-modify-write that took the lock orders it.
    if (cpu.loadUnordered(Header.profileLocks) !== this.session) {
      // Of the next session, if there is one, this acquisition is no part.
      endObserver(this.#thread, this);
      lookForObserver(this.#thread);
      return;
    }
    if (known.count === 0) {
      cpu.fetchAddRelaxed(this.#profile + Profile.droppedAcquisitions, 1);
      return;
    }
    cpu.storeUnordered(known.count, cpu.loadUnordered(known.count) + 1);
    if (cpu.loadUnordered(known.last) !== id) {
      cpu.storeUnordered(known.last, id);
      cpu.storeUnordered(known.bounces, cpu.loadUnordered(known.bounces) + 1);
    }
    if (--known.skip <= 0) this.#time(known, task);
  }

  #time(known: Known, task: number): void {
    const { cpu } = this.#thread;
    known.skip = this.#skip(known.interval);
    if (task !== UNOWNED && this.#timed.length < MOST_TIMED) {
      this.#timed.push({ known, task, since: cpu.now(), weight: known.interval });
      this.#observeUnlocks(true);
    }
    if (known.delay > 0) cpu.ndelay(known.delay);
  }

  /** On average `interval`. */
  #skip(interval: number): number {
    return interval === 1 ? 1 : 1 + Math.floor(this.#chance.next() * (2 * interval - 1));
  }

  #record({ known, since, weight }: Timed): void {
    const { cpu } = this.#thread;
    const ns = Math.max(0, Math.round(cpu.now() - since));
    const isLong = ns >= LONG || known.delay > 0;
    const interval = isLong ? 1 : ++known.timed <= ENOUGH ? INTERVAL : RARE;
    if (interval !== known.interval) {
      known.interval = interval;
      // Drawn anew: what the next one that is timed stands for is said by how it was chosen.
      known.skip = this.#skip(interval);
    }
    recording(this.#thread, this.session, () => {
      const { held } = known;
      cpu.fetchAddRelaxed(held + Held.timed, 1);
      tallyAdd(cpu, held + Held.total, ns * weight);
      cpu.fetchAddRelaxed(held + Held.histogram + bucketOf(ns), weight);
      noteExtremes(cpu, held + Held.longest, held + Held.shortest, ns);
    });
  }

  /** Only where no other observer of the thread wants to hear of each. */
  #observeUnlocks(areObserved: boolean): void {
    const thread = this.#thread;
    if (thread.observer === this && (thread.mine === NEVER) !== areObserved) thread.observeUnlocks(areObserved);
  }
}

/** The thread counts no more in a session that is over. It may have learned of the next one already, where it has taken a lock. */
export function endHolds(thread: Thread): void {
  const recorder = thread.observers.get(Header.profileLocks);
  const session = thread.cpu.load(Header.profileLocks);
  if (recorder instanceof HoldRecorder && recorder.session !== session) endObserver(thread, recorder);
}

defineLockObserver(Header.profileLocks, (thread) => {
  const { cpu } = thread;
  const session = cpu.loadAcquire(Header.profileLocks);
  const profile = cpu.load(Header.profileTables);
  const holds = session === 0 ? 0 : cpu.load(profile + Profile.holds);
  // 0 also where that session has ended meanwhile, and the next one is prepared, or counts none.
  return holds === 0 ? undefined : new HoldRecorder(thread, session, profile, holds);
});
