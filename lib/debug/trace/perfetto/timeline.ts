/**
 * Events as pictures: slices with a begin and an end, each on a track, instants, and flows between those. A slice is made from the event that
 * ends it, which says how long it took, where the one that begins it has been overwritten.
 */
import type { TracedLock } from '../locks.ts';
import { Mode, OUTCOMES } from '../points.ts';
import type { Trace, TraceEvent } from '../read.ts';

/** Where something is drawn. Slices of one track lie one in the other, or one after the other. */
export interface Track {
  readonly name: string;
  /** The place of its thread in `Trace.threads`; undefined for what belongs to none. */
  readonly thread: number | undefined;
  /** Whether it is the thread's own, and not a child of that. */
  readonly isThread: boolean;
}

export interface Slice {
  readonly track: Track;
  readonly name: string;
  /** ns. */
  readonly begin: number;
  /** Infinity for one that has not ended. */
  end: number;
  readonly notes: { [name: string]: string | number };
}

export interface Instant {
  readonly track: Track;
  readonly name: string;
  readonly time: number;
  readonly notes: { readonly [name: string]: string | number };
  /** The flow that leaves here, and that which arrives, by number. */
  leaves?: number;
  arrives?: number;
}

export interface Counter {
  readonly name: string;
  readonly values: readonly { readonly time: number; readonly value: number }[];
}

export interface Timeline {
  readonly tracks: readonly Track[];
  readonly slices: readonly Slice[];
  readonly instants: readonly Instant[];
  readonly counters: readonly Counter[];
}

/** Draws what was traced. */
export function timelineOf(trace: Trace): Timeline {
  return new Drawing(trace).finish();
}

/** `mutex "accounts"`, or `mutex at 1234`. */
export function labelOf(lock: TracedLock | undefined): string {
  if (lock === undefined) return 'something';
  return lock.name === undefined ? `${lock.kind} at ${lock.address}` : `${lock.kind} ${JSON.stringify(lock.name)}`;
}

/** A slice that is to find a place among those of its group, which overlap. */
interface Floating {
  readonly group: string;
  readonly thread: number | undefined;
  readonly slice: Span;
}

type Span = Omit<Slice, 'track'>;

type Fields = TraceEvent['fields'];

class Drawing {
  readonly #trace: Trace;
  readonly #tracks = new Map<string, Track>();
  readonly #slices: Slice[] = [];
  readonly #floating: Floating[] = [];
  readonly #instants: Instant[] = [];
  /** Slices that have begun, by what ends them. */
  readonly #open = new Map<string, Span>();
  readonly #waits: Span[] = [];
  readonly #work: Span[] = [];
  /** The flow that leads to a task that was woken. */
  readonly #flows = new Map<number, number>();
  #flowCount = 0;

  constructor(trace: Trace) {
    this.#trace = trace;
    for (const [thread, { number, threadId }] of trace.threads.entries()) {
      const name = threadId === 0 ? `thread ${number} (main)` : `thread ${number} (worker ${threadId})`;
      this.#tracks.set(`thread ${thread}`, { name, thread, isThread: true });
    }
    for (const event of trace.events) this.#draw(event);
  }

  finish(): Timeline {
    this.#place();
    return {
      tracks: [...this.#tracks.values()],
      slices: this.#slices,
      instants: this.#instants,
      counters: [counterOf('calls that wait', this.#waits), counterOf('work items that run', this.#work)],
    };
  }

  #draw(event: TraceEvent): void {
    const { point, time, fields } = event;
    if (point === 'contention_begin') this.#beginWait(event);
    else if (point === 'contention_end') this.#endWait(event);
    else if (point === 'park') this.#beginSleep(event, time);
    else if (point === 'resume') this.#endSleep(event);
    else if (point === 'acquire') this.#beginHold(event, time);
    else if (point === 'release') this.#endHold(event);
    else if (point === 'unpark') this.#wake(event);
    else if (point === 'grace_period_begin') this.#beginPeriod(event);
    else if (point === 'grace_period_end') this.#close(periodKey(fields), time);
    else if (point === 'callback_batch') this.#ranCallbacks(event);
    else if (point === 'workqueue_start') this.#beginWork(event, time);
    else if (point === 'workqueue_end') this.#endWork(event);
    else this.#note(event);
  }

  #note({ point, thread, time, fields }: TraceEvent): void {
    const label = this.#label(fields);
    const names: { readonly [point: string]: string } = {
      acquire: `takes of ${label}`,
      release: `gives to ${label}`,
      handoff: `hands ${label} over to thread ${fields.thread}`,
      owner_death: `the owner of ${label} died`,
      thread_death: `thread ${fields.thread} was killed`,
      callback_queue: `queues a callback of ${label}`,
      workqueue_queue: `queues an item of ${label}`,
    };
    this.#instants.push({ track: this.#threadTrack(thread), name: names[point] ?? point, time, notes: {} });
  }

  /** It belongs to no thread: one may begin it, and another one end it. */
  #beginPeriod({ time, fields }: TraceEvent): void {
    const group = `grace periods of ${this.#label(fields)}${fields.expedited ? ', expedited' : ''}`;
    const notes = { number: fields.number ?? 0 };
    this.#float(periodKey(fields), group, undefined, { name: 'grace period', begin: time, notes });
  }

  #ranCallbacks({ thread, time, fields }: TraceEvent): void {
    const begin = time - (fields.time ?? 0);
    const notes = { count: fields.count ?? 0 };
    const name = `callbacks of ${this.#label(fields)}`;
    this.#slices.push({ track: this.#threadTrack(thread), name, begin, end: time, notes });
  }

  #beginWait({ thread, time, fields }: TraceEvent): void {
    const { lock = 0, task, holder = 0, stack = 0 } = fields;
    const notes: Slice['notes'] = { lock: this.#label(fields), mode: modeName(fields) };
    if (holder > 0) notes.holder = `thread ${holder - 1}`;
    const [frame] = this.#trace.stacks[stack] ?? [];
    if (frame !== undefined) notes.at = `${frame.name} (${frame.file}:${frame.line}:${frame.column})`;
    const name = `wait for ${this.#label(fields)}`;
    const key = `wait ${thread} ${task} ${lock}`;
    if (isAsync(fields)) this.#float(key, 'asynchronous waits', thread, { name, begin: time, notes });
    else this.#put(key, this.#threadTrack(thread), name, time, notes);
    this.#waits.push(this.#open.get(key) as Span);
  }

  #endWait(event: TraceEvent): void {
    const { thread, time, fields } = event;
    const key = `wait ${thread} ${fields.task} ${fields.lock}`;
    if (!this.#open.has(key)) this.#beginWait({ ...event, time: time - (fields.wait ?? 0) });
    const slice = this.#close(key, time);
    const outcome = OUTCOMES[fields.outcome ?? 0];
    if (slice !== undefined && outcome !== undefined) slice.notes.outcome = outcome;
  }

  #beginSleep({ thread, fields }: TraceEvent, time: number): void {
    // What an asynchronous call sleeps lies beside its thread, which goes on.
    if (isAsync(fields)) return;
    this.#put(`sleep ${thread} ${fields.task}`, this.#threadTrack(thread), 'sleep', time, { for: this.#label(fields) });
  }

  #endSleep(event: TraceEvent): void {
    const { thread, time, fields } = event;
    const key = `sleep ${thread} ${fields.task}`;
    if (!this.#open.has(key)) this.#beginSleep(event, time - (fields.sleep ?? 0));
    this.#close(key, time);
    const flow = this.#flows.get(fields.task ?? 0);
    if (flow === undefined) return;
    this.#flows.delete(fields.task ?? 0);
    this.#instants.push({ track: this.#threadTrack(thread), name: 'woken', time, notes: {}, arrives: flow });
  }

  #wake(event: TraceEvent): void {
    const flow = ++this.#flowCount;
    this.#flows.set(event.fields.task ?? 0, flow);
    const track = this.#threadTrack(event.thread);
    const name = `wakes thread ${event.fields.thread}`;
    this.#instants.push({ track, name, time: event.time, notes: {}, leaves: flow });
  }

  #beginHold(event: TraceEvent, time: number): void {
    const { thread, fields } = event;
    const label = this.#label(fields);
    // A permit that belongs to nobody is held by no thread: it has no end, or another thread's.
    if (fields.task === 0) {
      this.#note({ ...event, time });
      return;
    }
    const notes: Slice['notes'] = { mode: modeName(fields) };
    if (fields.wait) notes['waited, ns'] = fields.wait;
    const key = `hold ${thread} ${fields.task} ${fields.lock}`;
    this.#float(key, label, thread, { name: `holds ${label}`, begin: time, notes });
  }

  #endHold(event: TraceEvent): void {
    const { thread, time, fields } = event;
    const key = `hold ${thread} ${fields.task} ${fields.lock}`;
    if (fields.task === 0) this.#note(event);
    else if (!this.#open.has(key)) this.#beginHold(event, time - (fields.hold ?? 0));
    this.#close(key, time);
  }

  #beginWork({ thread, fields }: TraceEvent, time: number): void {
    const name = `item of ${this.#label(fields)}`;
    const key = `work ${thread} ${fields.item}`;
    this.#float(key, 'work items', thread, { name, begin: time, notes: { item: fields.item ?? 0 } });
    this.#work.push(this.#open.get(key) as Span);
  }

  #endWork(event: TraceEvent): void {
    const { thread, time, fields } = event;
    const key = `work ${thread} ${fields.item}`;
    if (!this.#open.has(key)) this.#beginWork(event, time - (fields.time ?? 0));
    this.#close(key, time);
  }

  /** A slice of the thread's own track. */
  #put(key: string, track: Track, name: string, begin: number, notes: Slice['notes']): void {
    const slice: Slice = { track, name, begin, end: Number.POSITIVE_INFINITY, notes };
    this.#slices.push(slice);
    this.#open.set(key, slice);
  }

  /** A slice that finds its track at the end. */
  #float(key: string, group: string, thread: number | undefined, begun: Omit<Span, 'end'>): void {
    const slice = { ...begun, end: Number.POSITIVE_INFINITY };
    this.#floating.push({ group, thread, slice });
    this.#open.set(key, slice);
  }

  #close(key: string, time: number): Span | undefined {
    const slice = this.#open.get(key);
    this.#open.delete(key);
    if (slice !== undefined) slice.end = time;
    return slice;
  }

  /** Each slice of a group has the first track of the group where it does not lie across another one. */
  #place(): void {
    const ends = new Map<Track, number>();
    for (const { group, thread, slice } of this.#floating.sort((a, b) => a.slice.begin - b.slice.begin)) {
      for (let lane = 1; ; lane++) {
        const key = `${thread} ${group} ${lane}`;
        const name = lane === 1 ? group : `${group}, ${lane}`;
        const track = this.#tracks.get(key) ?? { name, thread, isThread: false };
        if ((ends.get(track) ?? 0) > slice.begin) continue;
        this.#tracks.set(key, track);
        ends.set(track, slice.end);
        this.#slices.push({ ...slice, track });
        break;
      }
    }
  }

  #threadTrack(thread: number): Track {
    return this.#tracks.get(`thread ${thread}`) as Track;
  }

  #label({ lock = 0 }: Fields): string {
    return labelOf(this.#trace.locks[lock]);
  }
}

function periodKey({ lock, expedited, number }: Fields): string {
  return `period ${lock} ${expedited} ${number}`;
}

function isAsync({ mode = 0 }: Fields): boolean {
  return (mode & Mode.async) !== 0;
}

function modeName({ mode = 0 }: Fields): string {
  return `${mode & Mode.shared ? 'shared' : 'alone'}${mode & Mode.async ? ', async' : ''}`;
}

/** How many of these there are at a time. */
function counterOf(name: string, spans: readonly { readonly begin: number; readonly end: number }[]): Counter {
  const changes = spans.flatMap(({ begin, end }) => [
    { time: begin, by: 1 },
    ...(end === Number.POSITIVE_INFINITY ? [] : [{ time: end, by: -1 }]),
  ]);
  changes.sort((a, b) => a.time - b.time || a.by - b.by);
  let value = 0;
  return { name, values: changes.map(({ time, by }) => ({ time, value: (value += by) })) };
}
