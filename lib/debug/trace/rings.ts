/** The ring of one thread: the sink that records, as `layout.ts` tells. */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import { Slot } from '../../sched/slot.ts';
import type { Thread } from '../../sched/thread.ts';
import type { Hold } from './holds.ts';
import { Emitting, FIELDS_AT, isUsedBy, RECORD_WORDS, Ring, ringAt, Tables } from './layout.ts';
import { POINTS, Point } from './points.ts';
import { defineSink, type Traced, type TraceSink, TraceUser } from './sink.ts';

/** The place of the field of two words among each point's fields, which is the last one, or -1. */
const WIDE = Int32Array.from(POINTS, ({ fields }) => fields.findIndex(({ type }) => type === 'u64'));

/** A multiplication takes a few cycles, a division some twenty. */
const PER_HIGH = 2 ** -32;

class RingSink implements TraceSink {
  readonly session: number;
  readonly points: number;
  readonly #cpu: Cpu;
  readonly #ring: number;
  readonly #records: number;
  readonly #mask: number;
  /** Records that it has written, modulo 2^32. */
  #written = 0;

  constructor(thread: Thread, tables: number, session: number, number: number) {
    const { cpu } = thread;
    this.session = session;
    this.points = cpu.load(tables + Tables.points);
    this.#cpu = cpu;
    this.#ring = ringAt(tables, number);
    const size = cpu.load(tables + Tables.ringSize);
    this.#mask = size - 1;
    this.#records = cpu.load(tables + Tables.block) + number * size * RECORD_WORDS;
    cpu.store(this.#ring + Ring.thread, thread.number);
    cpu.store(this.#ring + Ring.osThread, cpu.load(thread.slot + Slot.osThread));
    // Pairs with the acquire in `readTrace`.
    cpu.storeRelease(this.#ring + Ring.life, cpu.load(thread.slot + Slot.life));
  }

  emit(point: number, time: number, a: number, b: number, c: number, d: number, e: number): void {
    const cpu = this.#cpu;
    const record = this.#records + (this.#written & this.#mask) * RECORD_WORDS;
    const wide = WIDE[point] as number;
    cpu.storeUnordered(record, time | 0);
    cpu.storeUnordered(record + 1, ((time * PER_HIGH) << 8) | point);
    cpu.storeUnordered(record + FIELDS_AT, a | 0);
    cpu.storeUnordered(record + FIELDS_AT + 1, b | 0);
    cpu.storeUnordered(record + FIELDS_AT + 2, c | 0);
    cpu.storeUnordered(record + FIELDS_AT + 3, d | 0);
    cpu.storeUnordered(record + FIELDS_AT + 4, e | 0);
    if (wide >= 0) {
      const last = wide === 2 ? c : wide === 3 ? d : e;
      cpu.storeUnordered(record + FIELDS_AT + wide + 1, (last * PER_HIGH) | 0);
    }
    this.#written = (this.#written + 1) | 0;
    if (this.#written === 0) cpu.storeUnordered(this.#ring + Ring.turns, cpu.load(this.#ring + Ring.turns) + 1);
    // Pairs with the acquire in `readRing`.
    cpu.storeReleaseLight(this.#ring + Ring.written, this.#written);
  }

  /** The fields of both points are lock, mode, task, and ns in two words. */
  lockEvent(mark: number, session: number, hold: Hold, wait: number): boolean {
    const cpu = this.#cpu;
    const now = cpu.now();
    // As in `ThreadTracer.emit`, where the partners are told.
    cpu.xchg(mark, 1);
    if (cpu.loadUnordered(Header.trace) !== session) return false;
    const record = this.#records + (this.#written & this.#mask) * RECORD_WORDS;
    const isRelease = wait < 0;
    cpu.storeUnordered(record, now | 0);
    cpu.storeUnordered(record + 1, ((now * PER_HIGH) << 8) | (isRelease ? Point.release : Point.acquire));
    cpu.storeUnordered(record + FIELDS_AT, hold.lock);
    cpu.storeUnordered(record + FIELDS_AT + 1, hold.mode);
    cpu.storeUnordered(record + FIELDS_AT + 2, hold.task);
    // Apart: `wait` is 0 as a rule, and a small integer to V8.
    if (isRelease) {
      const held = now - hold.since;
      cpu.storeUnordered(record + FIELDS_AT + 3, held | 0);
      cpu.storeUnordered(record + FIELDS_AT + 4, (held * PER_HIGH) | 0);
    } else {
      hold.since = now;
      cpu.storeUnordered(record + FIELDS_AT + 3, wait | 0);
      cpu.storeUnordered(record + FIELDS_AT + 4, (wait * PER_HIGH) | 0);
    }
    this.#written = (this.#written + 1) | 0;
    if (this.#written === 0) cpu.storeUnordered(this.#ring + Ring.turns, cpu.load(this.#ring + Ring.turns) + 1);
    // Pairs with the acquire in `readRing`.
    cpu.storeReleaseLight(this.#ring + Ring.written, this.#written);
    cpu.storeReleaseLight(mark, 0);
    return true;
  }
}

/** Of a thread that has found no ring: counts its events. */
class Unrecorded implements TraceSink {
  readonly session: number;
  readonly points: number;
  readonly #cpu: Cpu;
  readonly #tables: number;

  constructor({ cpu }: Thread, tables: number, session: number) {
    this.session = session;
    this.points = cpu.load(tables + Tables.points);
    this.#cpu = cpu;
    this.#tables = tables;
  }

  emit(): void {
    this.#cpu.fetchAddRelaxed(this.#tables + Tables.unrecorded, 1);
  }
}

/** What each thread has in the recording that runs, or has had in the last one. */
const sinks = new WeakMap<Thread, RingSink | Unrecorded>();

function open({ thread }: Traced): TraceSink | undefined {
  const { cpu } = thread;
  if (!isUsedBy(cpu.load(Header.trace), TraceUser.rings)) return undefined;
  const tables = cpu.load(Header.traceTables);
  const session = cpu.load(tables + Tables.session);
  let sink = sinks.get(thread);
  if (sink?.session !== session) {
    const number = cpu.fetchAddRelaxed(tables + Tables.ringsTaken, 1);
    const hasRing = number < cpu.load(tables + Tables.ringCount);
    sink = hasRing ? new RingSink(thread, tables, session, number) : new Unrecorded(thread, tables, session);
    sinks.set(thread, sink);
    cpu.store(thread.slot + Emitting.heard, session);
  }
  return sink;
}

defineSink(open);
