/**
 * What a contention profile is in shared memory: one object of an arena, to which all of its threads add.
 *
 *   head | delays | rows | shares | unlocks | edges | stacks | text
 *
 *   rows    a lock each, or what a class of locks has that found no row: counters, and two histograms of its waits
 *   shares  how much of a row's waits a thread has met at one place of the program: sampled
 *   unlocks how long others have waited for what a thread gave back at one place of the program: sampled
 *   edges   how long one thread has slept behind another, for one row
 *   stacks  places of the program, in `text`: each is there once
 *
 * The tables are hash tables that are only added to, and fixed. An entry is claimed by the exchange that writes its key. What
 * finds no entry is counted as dropped. A thread may be killed between any two of these steps:
 *
 * - Of the wait that it was recording some counters have been added to, and others have not. Each is right by itself.
 * - A row whose key is there and whose `named` is not is named by the next thread that meets it, in the same words.
 * - So it is with a stack whose key is there and whose text is not.
 *
 * Sessions. A thread that records a wait says in its slot in which session (`Recording`), and looks again whether that
 * session runs; `stopSession` ends the session and then waits until no slot names it. So no wait of one session gets into the
 * tables of the next, and none is half there when the profile is read.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { defineKind } from '../../memory/kinds.ts';
import { ObjectHeader } from '../../memory/objects.ts';
import type { Repairer } from '../../memory/repairer.ts';
import { struct } from '../../memory/struct.ts';
import { slotArea } from '../../sched/slot.ts';
import { taskArea } from '../../sched/task.ts';
import { BUCKETS } from './histogram.ts';
import { Tally } from './tally.ts';

/** Words of a slot. */
export const Recording = slotArea(
  'profile',
  {
    /** The session in which the thread is recording a wait, or 0. */
    session: 1,
    /** The last session that the thread has heard of. */
    heard: 1,
    /** When the synchronous call in which the thread sleeps for a lock began to wait: ms, cut off to 31 bits, and never 0; 0 while there is none. */
    since: 1,
    /** Where it was called, once it has taken some ms: the number of the stack plus one, or 0. */
    stack: 1,
  },
  {
    vacate(cpu, slot) {
      cpu.store(slot + Recording.session, 0);
      cpu.store(slot + Recording.heard, 0);
      cpu.store(slot + Recording.since, 0);
      cpu.store(slot + Recording.stack, 0);
    },
  },
);

/** Words of a task that waits for a lock in its sleep. Times are us on `cpu.now()`, cut off to 31 bits, and never 0. */
export const Blocked = taskArea(
  'profile',
  {
    /** The session that has heard the wait begin, the last one while the task does not wait. Its own thread writes it. */
    session: 1,
    /** 0 while it does not wait. The waiting that no unlock was charged with yet began here. The thread that exchanges it for a later time charges the time between. */
    uncharged: 1,
  },
  {
    vacate(cpu, task) {
      cpu.store(task + Blocked.session, 0);
      cpu.store(task + Blocked.uncharged, 0);
    },
  },
);

/** A time in ns, as words of `Blocked` have it. */
export function blockedAt(ns: number): number {
  return Math.floor(ns / 1000) & 0x7fffffff || 1;
}

/** A time in ns, as `Recording.since` has it. */
export function sinceAt(ns: number): number {
  return Math.floor(ns / 1e6) & 0x7fffffff || 1;
}

/** us from one to the other, for up to 17 minutes; 0 where `since` is the later one. */
export function blockedFor(since: number, until: number): number {
  const us = (until - since) & 0x7fffffff;
  return us < 2 ** 30 ? us : 0;
}

/** What calls that wait in one way, synchronously or not, have met. */
export const Waits = struct({
  /** ns. */
  total: Tally.words,
  /** ns, as the bits of a 32-bit float, which grow as it does; 0 for none. */
  longest: 1,
  shortest: 1,
  /** Calls that slept. The others got it while they were spinning. */
  slept: 1,
  timeouts: 1,
  aborts: 1,
  ownerDeaths: 1,
  /** Calls that came to nothing for another reason: a deadlock, a lock that is not recoverable. */
  failed: 1,
  /** One for each call: how many there were is the sum. */
  histogram: BUCKETS,
});

/** Words of a lock's name that are kept, four bytes each. */
export const NAME_WORDS = 24;

export const Row = struct({
  /** `rowKey` of the object and what it is called, or 0. */
  key: 1,
  /** 1 once the next four say what it is. */
  named: 1,
  /** The object, or a word of the program's; 0 for the others of a class. */
  address: 1,
  /** Of the object; 0 for a word of the program's. */
  kind: 1,
  /** 1 for the calls that share it. */
  shared: 1,
  /** Bytes of the name, which may be cut off; 0 for none. */
  nameLength: 1,
  name: NAME_WORDS,
  /** Bytes of the class that the program has given to it; 0 for none, or where no thread that knows it has been here. */
  classLength: 1,
  class: NAME_WORDS,
  sync: Waits.words,
  async: Waits.words,
});

export const Share = struct({
  /** `shareKey`, or 0. */
  key: 1,
  /** Calls, and ns that they have waited: estimated from those that were sampled. */
  count: Tally.words,
  delay: Tally.words,
});

/** A lock that is held longer than the program has it, to show what that costs. */
export const Delay = struct({
  ns: 1,
  /** Bytes of the name, which is a lock's, or that of a class; 0 for a place that is free. */
  nameLength: 1,
  name: NAME_WORDS,
});

export const Edge = struct({
  /** `edgeKey`, or 0. */
  key: 1,
  count: 1,
  delay: Tally.words,
});

export const Stack = struct({
  /** Hash of the text, or 0. */
  key: 1,
  /** Where it is, words from the start of `text`, plus one: its length in bytes, and then the text. 0 while it is not there. */
  text: 1,
});

export const DELAYS = 8;
export const ROWS = 128;
/** Rows of classes of locks that have found no row of their own. */
export const CLASS_ROWS = 32;
export const SHARES = 1024;
export const UNLOCKS = 512;
export const EDGES = 512;
export const STACKS = 512;
export const TEXT_WORDS = 1 << 15;

export const Profile = struct({
  header: ObjectHeader.words,
  /** The thread that profiles: a CPU number plus one, or 0. */
  owner: 1,
  /** Counts the sessions. */
  sessions: 1,
  /** Waits that found no row, not even one of their class. */
  droppedWaits: 1,
  /** Acquisitions of locks that found no row. */
  droppedAcquisitions: 1,
  /** Samples and edges that found no entry, and samples whose stack found no room. */
  droppedSamples: 1,
  /** Calls that came back without having lined up for an object. */
  unknown: 1,
  /** Words of `text` that are taken. */
  textUsed: 1,
  /** What locks that are free are counted in, or 0; see `holds-layout.ts`. */
  holds: 1,
  /** ms of a wait that the program wants to hear of, or 0. */
  longWait: 1,
  delays: DELAYS * Delay.words,
  rows: (ROWS + CLASS_ROWS) * Row.words,
  shares: SHARES * Share.words,
  unlocks: UNLOCKS * Share.words,
  edges: EDGES * Edge.words,
  stacks: STACKS * Stack.words,
  text: TEXT_WORDS,
});

export const PROFILE_KIND = defineKind<Repairer>({
  name: 'contention profile',
  words: Profile.words,
  format: () => {},
  // The thread that profiles may detach: that ends the session.
  holder: () => 0,
  isBusy: (cpu, profile) => cpu.load(profile + Profile.owner) !== 0,
  repair(repairer, profile) {
    const { cpu, isDead } = repairer;
    const owner = cpu.load(profile + Profile.owner);
    if (owner === 0 || !isDead(owner)) return true;
    // Nobody can start another session before `owner` is 0.
    cpu.xchg(Header.profileLocks, 0);
    cpu.xchg(Header.profile, 0);
    cpu.storeRelease(profile + Profile.owner, 0);
    return true;
  },
});

/** Where a profile's stacks are. */
export function stacksOf(profile: number) {
  return {
    stacks: profile + Profile.stacks,
    count: STACKS,
    used: profile + Profile.textUsed,
    text: profile + Profile.text,
    words: TEXT_WORDS,
  };
}

/** A row is at most 8 bits, a stack 9, a thread 10: see MOST_THREADS. */
export function shareKey(row: number, stack: number, thread: number, isAsync: boolean): number {
  return 1 + ((((row << 9) | stack) << 10) | thread) * 2 + (isAsync ? 1 : 0);
}

export function readShareKey(key: number): { row: number; stack: number; thread: number; async: boolean } {
  const bits = key - 1;
  return { row: bits >>> 20, stack: (bits >>> 11) & 511, thread: (bits >>> 1) & 1023, async: (bits & 1) === 1 };
}

/** `holder`: a CPU number plus one. */
export function edgeKey(row: number, waiter: number, holder: number): number {
  return 1 + ((((row << 10) | waiter) << 10) | holder);
}

export function readEdgeKey(key: number): { row: number; waiter: number; holder: number } {
  const bits = key - 1;
  return { row: bits >>> 20, waiter: (bits >>> 10) & 1023, holder: bits & 1023 };
}

/**
 * The entry with that key in a table of `count` entries of `words` words, whose first word is the key; claimed if it is not
 * there. 0 when the table is full. `key`: any number but 0. The table is one object's: a thread that finds an entry may add.
 */
export function claimEntry(cpu: Cpu, table: number, count: number, words: number, key: number): number {
  const first = (Math.imul(key, 0x9e3779b1) >>> 8) % count;
  for (let i = 0; i < count; i++) {
    const entry = table + ((first + i) % count) * words;
    const seen = cpu.load(entry) || cpu.cmpxchg(entry, 0, key);
    if (seen === key || seen === 0) return entry;
  }
  return 0;
}
