/**
 * One trace of an arena, for all of its threads: from `startTrace` to `stop`.
 *
 *   free      owner = 0    the rings' bit of Header.trace is 0
 *   prepared  owner = me   it is 0; nobody is in the middle of an event; rings and tables are cleared
 *   running   owner = me   it is 1: threads take rings and record
 *   stopped   owner = me   it is 0, until nobody is in the middle of an event, and the rings are read
 *
 * A thread that dies as the owner is the reaper's business, which makes it free (`TABLES_KIND`).
 */
import type { Arena } from '../../arena/arena.ts';
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { watching } from '../../sched/contention.ts';
import { DETACHED } from '../../sched/thread.ts';
import { Stack } from '../profile/layout.ts';
import {
  changeUsers,
  LOCKS,
  LockEntry,
  MOST_RINGS,
  quiesce,
  RECORD_WORDS,
  ringAt,
  STACKS,
  TABLES_KIND,
  Tables,
} from './layout.ts';
import { POINTS, Point, pointNamed } from './points.ts';
import { readTrace, type Trace } from './read.ts';
import { type TraceUser, TraceUser as Users } from './sink.ts';
import './rings.ts';
import './tracer.ts';

/** The name of the one object of an arena that traces are written to. */
const NAME = 'holdfast.trace';

export interface TraceOptions {
  /** Names of the trace points to record: see `POINTS`. Default: all of them. */
  points?: readonly string[] | undefined;
  /** Events that are kept of each thread, the latest: a power of two from 16 to 2^20. 32 bytes each. @default 4,096 */
  events?: number | undefined;
  /** Threads that there is room for, those that end meanwhile included: from 1 to 128. @default 16 */
  threads?: number | undefined;
  /** Whether to note where each contention begins, which costs about 10 us each. @default false */
  stacks?: boolean | undefined;
}

/** A trace that is being made. */
export class TraceSession implements Disposable {
  readonly #arena: Arena;
  readonly #tables: number;
  readonly #session: number;
  readonly #startedAt = new Date().toISOString();
  readonly #start: number;
  #result: Trace | undefined;

  /** @internal */
  constructor(arena: Arena, tables: number, session: number) {
    this.#arena = arena;
    this.#tables = tables;
    this.#session = session;
    this.#start = arena.cpu.now();
  }

  /** What the rings have now. */
  read(): Trace {
    if (this.#result !== undefined) return this.#result;
    this.#check();
    return this.#read(0);
  }

  /**
   * Ends it, for all threads, and reads it. Returns the same when it is called again. Where the thread has detached, that has ended it;
   * throws EINVAL then if another one has begun since.
   */
  stop(): Trace {
    if (this.#result !== undefined) return this.#result;
    const { cpu, thread } = this.#arena;
    this.#check();
    if (thread.self !== DETACHED) changeUsers(cpu, Users.rings, false);
    const result = this.#read(quiesce(cpu));
    this.#check();
    this.#result = result;
    // Pairs with the exchange in `startTrace`: the thread that begins the next one clears what was read.
    if (thread.self !== DETACHED) {
      cpu.storeRelease(this.#tables + Tables.owner, 0);
      watching(thread);
    }
    return result;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  /** The rings are another trace's once the thread has detached, and another one has begun. */
  #check(): void {
    const { cpu, thread } = this.#arena;
    if (thread.self !== DETACHED || cpu.loadAcquire(this.#tables + Tables.session) === this.#session) return;
    throw new HoldfastError('EINVAL', 'this thread has detached from the arena, and another trace of it was made');
  }

  #read(unfinished: number): Trace {
    const { cpu } = this.#arena;
    return readTrace(cpu, this.#tables, {
      startedAt: this.#startedAt,
      start: this.#start,
      duration: cpu.now() - this.#start,
      unfinished,
    });
  }
}

/**
 * Begins to record what the arena's threads do with locks, grace periods and work items, event by event: all of its threads, those that
 * attach later included. A thread that is attached already learns of it in its next call that has to wait. The rings take
 * `threads * events * 32` bytes of the arena, and 260 KB are for the tables; both stay there for the next trace.
 *
 * What it costs: nothing for a thread that has not learned of it; see docs/trace.md for one that has.
 *
 * Throws EBUSY while another trace of this arena is made, EINVAL for bad options and unknown points, ENOMEM when the arena has no room.
 */
export function startTrace(arena: Arena, options: TraceOptions = {}): TraceSession {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `startTrace() expects an Arena, received ${shown(arena)}`);
  }
  checkOptionNames(options, ['points', 'events', 'threads', 'stacks']);
  const points = pointsOf(options.points);
  const events = checkEvents(options.events ?? 4096);
  const threads = checkThreads(options.threads ?? 16);
  const { stacks = false } = options;
  if (typeof stacks !== 'boolean') {
    throw new HoldfastError('EINVAL', `stacks is true or false, received ${shown(stacks)}`);
  }
  const tables = openTables(arena);
  const { cpu, thread } = arena;
  const owner = cpu.cmpxchg(tables + Tables.owner, 0, thread.id);
  if (owner !== 0) throw new HoldfastError('EBUSY', `thread ${owner - 1} traces this arena already`);
  try {
    return changeTracing(arena, Users.rings, true, () => {
      makeRings(arena, tables, threads, events);
      cpu.store(tables + Tables.points, points);
      cpu.store(tables + Tables.wantsStacks, stacks ? 1 : 0);
      const session = (cpu.load(tables + Tables.session) + 1) | 0 || 1;
      cpu.store(tables + Tables.session, session);
      return { hearsLocks: (points & LOCK_POINTS) !== 0, value: new TraceSession(arena, tables, session) };
    });
  } catch (error) {
    cpu.storeRelease(tables + Tables.owner, 0);
    throw error;
  }
}

const LOCK_POINTS = (1 << Point.acquire) | (1 << Point.release);

function pointsOf(names: readonly string[] | undefined): number {
  if (names === undefined) return (1 << POINTS.length) - 1;
  if (!Array.isArray(names)) throw new HoldfastError('EINVAL', `points are names, received ${shown(names)}`);
  return names.reduce<number>((bits, name) => {
    const point = pointNamed(name);
    if (point !== undefined) return bits | (1 << point);
    const known = POINTS.map((other) => other.name).join(', ');
    throw new HoldfastError('EINVAL', `there is no trace point ${shown(name)}; there are ${known}`);
  }, 0);
}

function checkEvents(events: number): number {
  const isPower = Number.isInteger(events) && events >= 16 && events <= 2 ** 20 && (events & (events - 1)) === 0;
  if (isPower) return events;
  throw new HoldfastError('EINVAL', `events is a power of two from 16 to 1,048,576, received ${shown(events)}`);
}

function checkThreads(threads: number): number {
  if (Number.isInteger(threads) && threads >= 1 && threads <= MOST_RINGS) return threads;
  throw new HoldfastError('EINVAL', `threads is a whole number from 1 to ${MOST_RINGS}, received ${shown(threads)}`);
}

/** The arena's one object of this kind, made if there is none. */
export function openTables(arena: Arena): number {
  arena.thread.current();
  return arena.objects.open(TABLES_KIND, NAME);
}

/** What `prepare` says: whether the user wants to hear of locks that are free, and what `changeTracing` returns. */
export interface Prepared<Value> {
  readonly hearsLocks: boolean;
  readonly value: Value;
}

/**
 * `user` begins to trace the arena, or goes on in another way, or, with `isOn` false, ends. `prepare` runs before threads ask for their sinks
 * anew, and while no thread is in one that has to do with that user. Throws EBUSY while another thread is here, and when one is in the middle of
 * an event and does not come to its end.
 */
export function changeTracing<Value>(
  arena: Arena,
  user: TraceUser,
  isOn: boolean,
  prepare: () => Prepared<Value>,
): Value {
  const { cpu, thread } = arena;
  const tables = openTables(arena);
  const busy = cpu.cmpxchg(tables + Tables.busy, 0, thread.id);
  if (busy !== 0) throw new HoldfastError('EBUSY', `thread ${busy - 1} starts or stops a trace just now`);
  try {
    changeUsers(cpu, user, false);
    if (quiesce(cpu) > 0) throw new HoldfastError('EBUSY', 'a thread is stopped in the middle of an event: try later');
    if (cpu.load(Header.trace) === 0) clearTables(cpu, tables);
    cpu.store(Header.traceTables, tables);
    const { hearsLocks, value } = prepare();
    if (isOn) changeUsers(cpu, user, true, hearsLocks);
    watching(thread);
    return value;
  } finally {
    cpu.storeRelease(tables + Tables.busy, 0);
  }
}

/** Locks and stacks, as they were before the first user. Nobody traces, and nobody adds to them. */
export function clearTables(cpu: Cpu, tables: number): void {
  cpu.store(tables + Tables.epoch, (cpu.load(tables + Tables.epoch) + 1) | 0);
  for (const word of [Tables.droppedLocks, Tables.droppedStacks, Tables.textUsed]) cpu.store(tables + word, 0);
  clearEntries(cpu, tables + Tables.locks, LOCKS, LockEntry.words);
  clearEntries(cpu, tables + Tables.stacks, STACKS, Stack.words);
}

/** The first two words of each entry that is in use: its key, and whether the rest is there. */
function clearEntries(cpu: Cpu, table: number, count: number, words: number): void {
  for (let entry = table; entry < table + count * words; entry += words) {
    if (cpu.load(entry) === 0) continue;
    cpu.store(entry + 1, 0);
    cpu.store(entry, 0);
  }
}

/** Empty rings, with a block of the heap for their records. Nobody writes to any. */
function makeRings(arena: Arena, tables: number, threads: number, events: number): void {
  const { cpu } = arena;
  const words = threads * events * RECORD_WORDS;
  const block = cpu.load(tables + Tables.block);
  if (cpu.load(tables + Tables.blockWords) < words) {
    cpu.store(tables + Tables.blockWords, 0);
    cpu.store(tables + Tables.block, 0);
    if (block !== 0) arena.free(block);
    cpu.store(tables + Tables.block, arena.alloc(words));
    cpu.store(tables + Tables.blockWords, words);
  }
  cpu.store(tables + Tables.ringCount, threads);
  cpu.store(tables + Tables.ringSize, events);
  cpu.store(tables + Tables.ringsTaken, 0);
  cpu.store(tables + Tables.unrecorded, 0);
  for (let word = ringAt(tables, 0); word < ringAt(tables, threads); word++) cpu.store(word, 0);
}
