/** What was traced, as plain data. */
import type { Cpu } from '../../machine/cpu.ts';
import { countUnheard, maxThreads, Slot, slotAddress, threadOf } from '../../sched/slot.ts';
import { type Frame, readFrames } from '../profile/stacks.ts';
import { Emitting, FIELDS_AT, LOCKS, RECORD_WORDS, Ring, ringAt, STACKS, stackPlace, Tables } from './layout.ts';
import { lockAt, type TracedLock } from './locks.ts';
import { type Field, POINTS } from './points.ts';

/** One event of a thread. */
export interface TraceEvent {
  /** ns, on a clock that all threads share. */
  readonly time: number;
  /** Whose it is: the place in `Trace.threads`. */
  readonly thread: number;
  /** The name of its trace point. */
  readonly point: string;
  /** Its fields, by name: numbers. Of `lock` and `stack` fields those in `Trace.locks` and `Trace.stacks`, 0 for none. */
  readonly fields: { readonly [field: string]: number };
}

/** A thread that has traced something. */
export interface TracedThread {
  /** Its number in the arena; one that came later may have the same. */
  readonly number: number;
  /** `threadId` of its Worker. */
  readonly threadId: number;
  /** Its number in the operating system, or 0. */
  readonly osThread: number;
  /** Whether it was attached, and alive as far as is known, when the trace was read. */
  readonly isAttached: boolean;
  /** Events that it has recorded, and how many of them were overwritten. */
  readonly recorded: number;
  readonly lost: number;
}

/** What was traced, as plain data. */
export interface Trace {
  /** When it began, by the wall clock, and on the clock of the events, ns; how long it has run, ns. */
  readonly startedAt: string;
  readonly start: number;
  readonly duration: number;
  readonly threads: readonly TracedThread[];
  /** In the order of their times; at most as many of a thread as its ring has room for, the latest. */
  readonly events: readonly TraceEvent[];
  /** By number. */
  readonly locks: { readonly [number: number]: TracedLock };
  /** By number: the innermost frame first. */
  readonly stacks: { readonly [number: number]: readonly Frame[] };
  /** Events of threads that have found no ring: how many there are is an option. */
  readonly unrecorded: number;
  /** Times that a lock or a stack found no room in its table. */
  readonly dropped: { readonly locks: number; readonly stacks: number };
  /** Attached threads that have not heard of it: each does in its next call that has to wait, and records nothing before. */
  readonly unheard: number;
  /** Threads that were stopped in the middle of an event, which is not there. */
  readonly unfinished: number;
}

type Circumstances = Pick<Trace, 'startedAt' | 'start' | 'duration' | 'unfinished'>;

/** Reads the rings and the tables. Events that threads record meanwhile may be there or not, each as a whole. */
export function readTrace(cpu: Cpu, tables: number, circumstances: Circumstances): Trace {
  const rings = Math.min(cpu.load(tables + Tables.ringsTaken), cpu.load(tables + Tables.ringCount));
  const threads: TracedThread[] = [];
  const events: TraceEvent[] = [];
  for (let number = 0; number < rings; number++) {
    const ring = ringAt(tables, number);
    // Pairs with the release in `RingSink`. A thread that died on the way there has recorded nothing.
    const life = cpu.loadAcquire(ring + Ring.life);
    if (life === 0) continue;
    const { recorded, records } = readRing(cpu, tables, number);
    for (const words of records) events.push(eventOf(words, threads.length));
    const thread = cpu.load(ring + Ring.thread);
    threads.push({
      number: thread,
      threadId: threadOf(life) - 1,
      osThread: cpu.load(ring + Ring.osThread),
      isAttached: thread < maxThreads(cpu) && cpu.load(slotAddress(cpu, thread) + Slot.life) === life,
      recorded,
      lost: recorded - records.length,
    });
  }
  return {
    ...circumstances,
    threads,
    events: events.sort((a, b) => a.time - b.time),
    locks: table(LOCKS, (number) => lockAt(cpu, tables, number)),
    stacks: table(STACKS, (number) => {
      const frames = readFrames(cpu, stackPlace(tables), number - 1);
      return frames.length === 0 ? undefined : frames;
    }),
    unrecorded: cpu.load(tables + Tables.unrecorded) >>> 0,
    unheard: countUnheard(cpu, Emitting.heard, cpu.load(tables + Tables.session)),
    dropped: {
      locks: cpu.load(tables + Tables.droppedLocks) >>> 0,
      stacks: cpu.load(tables + Tables.droppedStacks) >>> 0,
    },
  };
}

/** The records that a ring has, the oldest first, and how many there were: see `layout.ts`. */
export function readRing(
  cpu: Cpu,
  tables: number,
  number: number,
): { readonly recorded: number; readonly records: number[][] } {
  const ring = ringAt(tables, number);
  const size = cpu.load(tables + Tables.ringSize);
  const base = cpu.load(tables + Tables.block) + number * size * RECORD_WORDS;
  const before = writtenTo(cpu, ring);
  const copies: number[][] = [];
  const first = Math.max(0, before - size);
  for (let i = first; i < before; i++) {
    const record = base + (i % size) * RECORD_WORDS;
    copies.push(Array.from({ length: RECORD_WORDS }, (_, word) => cpu.loadUnordered(record + word)));
  }
  cpu.rmb();
  // What the writer may be writing over by now goes.
  const overwritten = writtenTo(cpu, ring) - size + 1;
  return { recorded: before, records: copies.slice(Math.max(0, overwritten - first)) };
}

/** How many records were written. Pairs with the release in `RingSink.emit`. */
function writtenTo(cpu: Cpu, ring: number): number {
  for (;;) {
    const turns = cpu.load(ring + Ring.turns);
    const written = cpu.loadAcquire(ring + Ring.written) >>> 0;
    if (cpu.load(ring + Ring.turns) === turns) return turns * 2 ** 32 + written;
  }
}

function eventOf(words: readonly number[], thread: number): TraceEvent {
  const [low = 0, high = 0] = words;
  const { name, fields } = POINTS[high & 0xff] ?? { name: 'unknown', fields: [] };
  return {
    time: (high >>> 8) * 2 ** 32 + (low >>> 0),
    thread,
    point: name,
    fields: Object.fromEntries(fields.map((field, i) => [field.name, fieldOf(words, field, FIELDS_AT + i)])),
  };
}

/** A field of two words is a record's last. */
function fieldOf(words: readonly number[], { type }: Field, at: number): number {
  const low = (words[at] as number) >>> 0;
  return type === 'u64' ? ((words[at + 1] as number) >>> 0) * 2 ** 32 + low : low;
}

function table<Entry>(count: number, read: (number: number) => Entry | undefined): { [number: number]: Entry } {
  const entries: { [number: number]: Entry } = {};
  for (let number = 1; number <= count; number++) {
    const entry = read(number);
    if (entry !== undefined) entries[number] = entry;
  }
  return entries;
}
