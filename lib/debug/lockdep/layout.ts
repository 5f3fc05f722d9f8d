/**
 * What lockdep knows, in shared memory: one object of an arena, to which all of its threads add.
 *
 *   head | classes | orders | stacks | text | reports | suppressed
 *
 *   classes  a hash table of the classes of locks, which is only added to
 *   orders   a word for each pair of classes: whether one was taken while the other was held, in which ways, and where first
 *   reports  the texts of what was found
 *
 * No latch guards any of it, so none can be left behind by a thread that dies, and a hook may run whatever latch its caller
 * holds. What makes that possible is that all there is to know of an order is in one word:
 *
 *   bits  0..3   seen       the ways in which it was seen: `wayOf`
 *   bits  4..7   looked at  those for which somebody has looked whether they close a cycle
 *   bit   8      EXCLUDED   it closes a cycle that was reported: it is not followed any more
 *   bits  9..11             what was reported of the pair: `Reported`
 *   bits 12..21  held       the number plus one of the stack that took the one that was held; 0 for none
 *   bits 22..31  wanted     the same of the one that was wanted then
 *
 * A thread sets `seen` first, fully ordered, and looks for a cycle then: of two threads that close one from its two ends, one sees
 * the other's order. Where a thread dies between the two, `looked at` stays 0, and the next one that meets the order looks.
 *
 * Sessions, in `Header.lockdep`: 0 for none, odd while `reset` clears the tables, else even. A thread that adds says in its slot
 * in which session (`Adding`), and looks again whether that session runs. The thread that clears waits until no slot names the old one.
 * No two sessions have one number (`Tables.session`): a thread that hears of none between them knows by it that there is another.
 *
 * Suppressions are read by threads that report, whenever they are changed: so there are two places, and one word says which of them
 * counts, and has another number after each change.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { slotArea } from '../../sched/slot.ts';
import { Stack } from '../profile/layout.ts';
import { type StackPlace, stackPlaceIn } from '../profile/stacks.ts';

/** Words of a slot. */
export const Adding = slotArea(
  'lockdep',
  {
    /** The session to whose tables the thread is adding, or 0. */
    session: 1,
    /** 1 once the thread tells lockdep of its locks. */
    heard: 1,
  },
  {
    vacate(cpu, slot) {
      cpu.store(slot + Adding.session, 0);
      cpu.store(slot + Adding.heard, 0);
    },
  },
);

/** Words of a class's name that are kept, four bytes each. */
export const NAME_WORDS = 24;

export const Class = struct({
  /** Hash of what it is, or 0. */
  key: 1,
  /** 1 once the rest is there. */
  named: 1,
  /** Of its locks. */
  kind: 1,
  subclass: 1,
  nameLength: 1,
  name: NAME_WORDS,
});

/** A report's text in UTF-8, which may be cut off. */
const REPORT_TEXT_WORDS = 1500;

export const Report = struct({
  /** Bytes of the text, plus 1 once it is there. */
  length: 1,
  text: REPORT_TEXT_WORDS,
});

export const CLASSES = 256;
export const STACKS = 1023;
export const TEXT_WORDS = 1 << 16;
export const REPORTS = 24;
export const REPORT_BYTES = REPORT_TEXT_WORDS * 4;
export const SUPPRESSED_BYTES = 4096;

export const Tables = struct({
  header: ObjectHeader.words,
  /** 1 while a thread starts, clears or stops it. */
  busy: 1,
  /** After how many ms a section that awaits is reported. */
  awaitLimit: 1,
  flags: 1,
  /** The last session that there was; odd while the tables are cleared. */
  session: 1,
  /** Bytes of what was asked not to be reported, and above them how often that has changed: its lowest bit says where the text is. */
  suppressedAt: 1,
  suppressed: (2 * SUPPRESSED_BYTES) / 4,
  // From here on `reset` clears.
  /** Classes that found no room; their locks are not watched. */
  droppedClasses: 1,
  /** Stacks that found no room. */
  droppedStacks: 1,
  /** Reports, those that found no room included. */
  reportCount: 1,
  /** Places for reports that threads have taken: one for each report, and one for each that another thread has made before. */
  placesTaken: 1,
  suppressedCount: 1,
  textUsed: 1,
  classes: CLASSES * Class.words,
  orders: CLASSES * CLASSES,
  stacks: STACKS * Stack.words,
  text: TEXT_WORDS,
  reports: REPORTS * Report.words,
});

/** Flags. */
export const QUIET = 1;
export const RELEASE_ORDER = 2;
export const CALLBACKS = 4;

export const TABLES_KIND = defineKind<Repairer>({
  name: 'lockdep',
  words: Tables.words,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair({ cpu, isDead }, tables) {
    const busy = cpu.load(tables + Tables.busy);
    if (busy === 0 || !isDead(busy)) return true;
    // The dead thread was clearing the tables, and has left some: the session is over, and the next start clears them again.
    if (cpu.load(Header.lockdep) & 1) cpu.xchg(Header.lockdep, 0);
    cpu.storeRelease(tables + Tables.busy, 0);
    return true;
  },
});

export function stackPlace(tables: number): StackPlace {
  return stackPlaceIn(tables, Tables, STACKS, TEXT_WORDS);
}

/** The ways in which an order can be seen. */
const WAYS = 15;
export const LOOKED_SHIFT = 4;
export const EXCLUDED = 1 << 8;
/** What was reported of a pair of classes; of a class by itself where the two are one. */
export const Reported = { circle: 1 << 9, context: 1 << 10, other: 1 << 11 } as const;
const HELD_SHIFT = 12;
const WANTED_SHIFT = 22;
const STACK = 1023;

/** A lock as it is taken: alone, shared, or shared by who may share it already while others wait for it alone. */
export type Reading = 0 | 1 | 2;
export const RECURSIVE = 2;

/**
 * The way of an order, a bit: the held lock can block with others' readers or not, and so can the wanted one.
 * `-(EN)->`, `-(ER)->`, `-(SN)->`, `-(SR)->` in Documentation/locking/lockdep-design.rst.
 */
export function wayOf(held: Reading, wanted: Reading): number {
  return 1 << ((held === 0 ? 0 : 2) + (wanted === RECURSIVE ? 1 : 0));
}

/** Ways in which the held lock is had alone; and those in which the wanted one is not just another reader. */
const ALONE_WAYS = 1 | 2;
const WAITING_WAYS = 1 | 4;

/** Of the ways of an order those by which a path can go on that has come by readers only, if `afterReaders`. */
export function waysOn(word: number, afterReaders: boolean): number {
  return word & EXCLUDED ? 0 : word & (afterReaders ? ALONE_WAYS : WAYS);
}

/** Whether a path that goes on in these ways has come by readers only. */
export function isReadersOnly(ways: number): boolean {
  return (ways & WAITING_WAYS) === 0;
}

export function orderAt(tables: number, held: number, wanted: number): number {
  return tables + Tables.orders + held * CLASSES + wanted;
}

/** A word with the stacks of the two acquisitions, numbers or -1. */
export function withStacks(way: number, held: number, wanted: number): number {
  return way | ((held + 1) << HELD_SHIFT) | ((wanted + 1) << WANTED_SHIFT);
}

export function hasStacks(word: number): boolean {
  return word >>> HELD_SHIFT !== 0;
}

/** The numbers of the stacks, or -1. */
export function stacksIn(word: number): { readonly held: number; readonly wanted: number } {
  return { held: ((word >>> HELD_SHIFT) & STACK) - 1, wanted: (word >>> WANTED_SHIFT) - 1 };
}

/** Where it is noted what was reported of a pair, in whichever order: an address, and the bit for `what`. */
export interface Claim {
  readonly word: number;
  readonly what: number;
}

export function claimFor(tables: number, one: number, other: number, what: number): Claim {
  return { word: orderAt(tables, Math.min(one, other), Math.max(one, other)), what };
}

export function isClaimed(cpu: Cpu, { word, what }: Claim): boolean {
  return (cpu.load(word) & what) !== 0;
}

/** Whether this thread is the first to claim it. */
export function claim(cpu: Cpu, { word, what }: Claim): boolean {
  return (cpu.fetchOr(word, what) & what) === 0;
}
