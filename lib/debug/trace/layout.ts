/**
 * What a trace is in shared memory: one object of an arena, to which all of its threads add, and a block of the heap with their rings.
 *
 *   head | rings | locks | stacks | text            the block: the records of ring 0 | of ring 1 | ...
 *
 *   rings   a head each, and the place of its records in the block
 *   locks   what the numbers of `lock` fields stand for
 *   stacks  places of the program, in `text`: each is there once
 *
 * A ring is one thread's, from its first event to its end: a thread that comes later, in the slot of a dead one perhaps, takes another one.
 * A thread that finds none left counts its events as lost. A record is 8 words:
 *
 *   time, low | time, high << 8 | point | the words of the fields, at most six
 *
 * The writer overwrites the oldest record once the ring is full. A reader copies, and looks then how far the writer has come:
 *
 *   writer                                  reader
 *   marks its slot             full         written := the count          acquire
 *   writes record i            plain        copies records before it
 *   written := i + 1           release      rmb
 *   clears the mark                         record j holds if written is at most j + size - 1
 *
 * The mark of the next event comes after the count of this one. So a reader that copied a word of record i sees that i records are written
 * when it looks again, and leaves out record i - size, whose place that is.
 *
 * A thread that is killed in the middle of a record has not counted it: it is the one event that is lost. The mark (`Emitting`) says that
 * a thread is in the middle of an event. A thread that changes who traces changes `Header.trace` first, and then waits until no slot has one: no
 * thread writes then to what was its place before.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { maxThreads, Slot, slotAddress, slotArea } from '../../sched/slot.ts';
import { Stack } from '../profile/layout.ts';
import { type StackPlace, stackPlaceIn } from '../profile/stacks.ts';
import { TraceUser } from './sink.ts';

/** Words of a slot. */
export const Emitting = slotArea(
  'trace',
  {
    /** 1 while the thread tells of an event, or adds to the tables. */
    mark: 1,
    /** The last recording that the thread has heard of. */
    heard: 1,
  },
  {
    vacate(cpu, slot) {
      cpu.store(slot + Emitting.mark, 0);
      cpu.store(slot + Emitting.heard, 0);
    },
  },
);

export const RECORD_WORDS = 8;
/** Where the words of the fields are in a record. */
export const FIELDS_AT = 2;

export const Ring = struct({
  /** Of the slot of the thread that has taken it, or 0: see `life` in `sched/slot.ts`. */
  life: 1,
  /** The thread's CPU number. */
  thread: 1,
  /** Its number in the operating system, or 0. */
  osThread: 1,
  /** Records that were written, and how often that has passed 2^32. */
  written: 1,
  turns: 1,
  pad: 11,
});

/** More threads than that are not traced at a time. */
export const MOST_RINGS = 128;

/** Words of a lock's name that are kept, four bytes each. */
export const NAME_WORDS = 24;

export const LockEntry = struct({
  /** `lockKey` of the object, or 0. */
  key: 1,
  /** 1 once the rest is there. */
  named: 1,
  address: 1,
  /** Of the object; 0 for a word of the program's. */
  kind: 1,
  /** Bytes of the name, which may be cut off; 0 for none. */
  nameLength: 1,
  name: NAME_WORDS,
});

export const LOCKS = 1024;
export const STACKS = 512;
export const TEXT_WORDS = 1 << 15;

export const Tables = struct({
  header: ObjectHeader.words,
  /** The thread that starts or stops one: a CPU number plus one, or 0. */
  busy: 1,
  /** The thread for which the rings record: a CPU number plus one, or 0. */
  owner: 1,
  /** Counts the recordings. */
  session: 1,
  /** The points that they record, a bit each. */
  points: 1,
  /** 1 when each contention is to have its stack. */
  wantsStacks: 1,
  /** How many rings there are, of how many records each: a power of two. */
  ringCount: 1,
  ringSize: 1,
  /** The block of the heap with the records, and its length. */
  block: 1,
  blockWords: 1,
  /** Rings that threads have asked for. */
  ringsTaken: 1,
  /** Events of threads that have found no ring. */
  unrecorded: 1,
  rings: MOST_RINGS * Ring.words,
  /** Counts the times that what follows was cleared: what a thread remembers of it goes with that. */
  epoch: 1,
  droppedLocks: 1,
  droppedStacks: 1,
  textUsed: 1,
  locks: LOCKS * LockEntry.words,
  stacks: STACKS * Stack.words,
  text: TEXT_WORDS,
});

export const TABLES_KIND = defineKind<Repairer>({
  name: 'trace',
  words: Tables.words,
  format: () => {},
  // That thread may detach: that ends it.
  holder: () => 0,
  isBusy: () => true,
  repair({ cpu, isDead }, tables) {
    const owner = cpu.load(tables + Tables.owner);
    if (owner !== 0 && isDead(owner)) {
      // Nobody can begin another one before `owner` is 0.
      changeUsers(cpu, TraceUser.rings, false);
      cpu.storeRelease(tables + Tables.owner, 0);
    }
    const busy = cpu.load(tables + Tables.busy);
    if (busy !== 0 && isDead(busy)) cpu.storeRelease(tables + Tables.busy, 0);
    return true;
  },
});

export function ringAt(tables: number, number: number): number {
  return tables + Tables.rings + number * Ring.words;
}

/** Where a trace's stacks are. */
export function stackPlace(tables: number): StackPlace {
  return stackPlaceIn(tables, Tables, STACKS, TEXT_WORDS);
}

const USERS = 3;
/** Of what counts the changes in `Header.trace`, so that it stays a positive number. */
const CHANGES = 1 << 28;

export function isUsedBy(word: number, user: TraceUser): boolean {
  return (word & user) !== 0;
}

/**
 * That user traces the arena from here on, or no more; `hearsLocks`: whether it wants to hear of locks that are free. `Header.trace` is
 * another number each time, and 0 while there is no user.
 */
export function changeUsers(cpu: Cpu, user: TraceUser, isOn: boolean, hearsLocks = false): void {
  if (hearsLocks) cpu.fetchOrRelaxed(Header.traceLocks, user);
  else cpu.fetchAndRelaxed(Header.traceLocks, ~user);
  for (;;) {
    const word = cpu.load(Header.trace);
    const count = ((cpu.fetchAddRelaxed(Header.traceChanges, 1) >>> 0) % CHANGES) + 1;
    const users = isOn ? (word & USERS) | user : word & USERS & ~user;
    // Fully ordered: pairs with the exchange of the mark in `ThreadTracer`, and with the acquires in `watching` and `lookForObserver`.
    if (cpu.cmpxchg(Header.trace, word, users === 0 ? 0 : count * 4 + users) === word) return;
  }
}

/** Loads that `quiesce` waits for a thread that is in the middle of an event: some 80 ms. */
const PATIENCE = 1 << 22;

const isClear = (mark: number) => mark === 0;

/**
 * Waits until each thread has told to the end of the event that it was in the middle of. Returns how many have not: they are preempted
 * right there.
 */
export function quiesce(cpu: Cpu): number {
  let unfinished = 0;
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    // Pairs with the release that clears it.
    if (cpu.loadAcquire(slot + Emitting.mark) === 0 || cpu.load(slot + Slot.life) < 0) continue;
    if (cpu.condLoadAcquire(slot + Emitting.mark, isClear, 0, PATIENCE) !== 0) unfinished++;
  }
  return unfinished;
}
