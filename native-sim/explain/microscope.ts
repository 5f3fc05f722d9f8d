/**
 * Records a run of a machine step by step: what each core has in its store buffer, its invalidate queue and its caches,
 * which messages are under way, what its thread does and what for it waits. A page shows it; see `page.ts`.
 */
import { LINE_SHIFT, LINE_WORDS, State } from '../machine/caches.ts';
import { Code, Waits } from '../machine/codes.ts';
import type { BufferedStore, Core, QueuedInvalidation, Request } from '../machine/core.ts';
import { ARCS } from '../machine/counters.ts';
import { PS } from '../machine/interconnect.ts';
import type { Machine } from '../machine/machine.ts';
import { Event } from '../machine/memory-system.ts';
import { Observer, type Source } from '../machine/observer.ts';
import type { SimThread } from '../machine/thread.ts';

/** What a step has changed; parts that are not in it are as they were. Keys are a core's number, a dot, and a part. */
export type Changes = Record<string, unknown>;

export interface Step {
  /** ns */
  time: number;
  /** What happened, a sentence each, with the core where it did, or -1. */
  notes: [core: number, text: string][];
  changes: Changes;
}

/** An operation that had to wait for something that barriers, acquires and atomics wait for. */
export interface Wait {
  core: number;
  operation: string;
  from: number;
  until: number;
  what: string;
}

export interface Recording {
  cores: number;
  /** Lines that the run uses: by number, with the names of their words that it uses. */
  lines: { line: number; words: { address: number; name: string }[] }[];
  /** By core: its operations, in order. */
  operations: string[][];
  steps: Step[];
  waits: Wait[];
}

const STATE_LETTERS = ['I', 'S', 'E', 'M', 'O', 'F'] as const;

export class Microscope extends Observer {
  readonly #machine: Machine;
  readonly #nameOf: (address: number) => string;
  /** ns; steps before it are not recorded. */
  readonly #from: number;
  readonly #operations: string[][];
  readonly #steps: Step[] = [];
  readonly #waits: Wait[] = [];
  readonly #words = new Set<number>();
  /** By core: what it waits for since when. */
  readonly #waiting: ({ from: number; what: string[] } | null)[];
  #notes: [number, string][] = [];
  #last: Changes = {};

  constructor(machine: Machine, nameOf: (address: number) => string, from = 0) {
    super();
    const { cores } = machine.system;
    this.#machine = machine;
    this.#nameOf = nameOf;
    this.#from = from;
    this.#operations = cores.map(() => []);
    this.#waiting = cores.map(() => null);
  }

  #note(core: number, text: string): void {
    this.#notes.push([core, text]);
  }

  #lineName(line: number): string {
    const words = [...this.#words].filter((address) => address >> LINE_SHIFT === line).sort((a, b) => a - b);
    if (words.length === 0) return `line ${line}`;
    return `${this.#nameOf(words[0]!)}${words.length > 1 ? ', …' : ''}`;
  }

  // What the machine tells

  override loaded({ number }: Core, thread: SimThread, source: Source): void {
    this.#words.add(thread.address);
    if (source === 'buffer') this.#note(number, `the store buffer answers the load of ${this.#nameOf(thread.address)}`);
    if (source !== 'queue') return;
    const text = `reads ${this.#nameOf(thread.address)} as it was before an invalidation that still waits in its queue`;
    this.#note(number, text);
  }

  override stored(_core: Core, { address }: SimThread): void {
    this.#words.add(address);
  }

  override waits(core: Core, thread: SimThread): void {
    if (thread.address > 0 || thread.waits === Waits.line) this.#words.add(thread.address);
    const what = this.#whatFor(core, thread);
    const waiting = (this.#waiting[core.number] ??= { from: core.clock / PS, what: [] });
    if (waiting.what.at(-1) === what) return;
    waiting.what.push(what);
    this.#note(core.number, `${this.#operation(thread)} waits for ${what}`);
  }

  override done(core: Core, thread: SimThread): void {
    if (thread.code === Code.now) return;
    const operation = this.#operation(thread);
    const waiting = this.#waiting[core.number]!;
    this.#waiting[core.number] = null;
    const until = core.clock / PS;
    if (until < this.#from) return;
    if (waiting !== null) {
      const { from, what } = waiting;
      this.#waits.push({ core: core.number, operation, from, until, what: what.join(', then ') });
    }
    const result = resultOf(thread);
    this.#operations[core.number]!.push(`${operation}${result}`);
    this.#note(
      core.number,
      `${operation}${result}${waiting === null ? '' : `, after ${(until - waiting.from).toFixed(1)} ns`}`,
    );
  }

  override requested({ core, line, isOwning }: Request): void {
    const has = this.#machine.system.caches.state(core, line) !== State.invalid;
    this.#note(
      core,
      `sends ${isOwning ? (has ? 'invalidate' : 'read invalidate') : 'read'} for ${this.#lineName(line)}`,
    );
  }

  override served({ core, line }: Request, supplier: number, state: number): void {
    const from = supplier < 0 ? 'memory' : `core ${supplier}, which has it in ${STATE_LETTERS[state]}`;
    const text = supplier === core ? 'has the line; the others are told to drop it' : `gets the line from ${from}`;
    this.#note(-1, `the home of ${this.#lineName(line)} serves core ${core}: it ${text}`);
  }

  override changed({ number }: Core, line: number, from: number, to: number, arc: number): void {
    this.#note(number, `${this.#lineName(line)}: ${STATE_LETTERS[from]} to ${STATE_LETTERS[to]}, arc ${ARCS[arc]}`);
  }

  override queued({ number }: Core, { line }: QueuedInvalidation): void {
    this.#note(number, `acknowledges the invalidation of ${this.#lineName(line)} and puts it into its queue`);
  }

  override buffered({ number }: Core, { address, value }: BufferedStore): void {
    this.#note(number, `${this.#nameOf(address)} = ${value} goes into the store buffer`);
  }

  override committed({ number }: Core, address: number, value: number): void {
    this.#note(number, `${this.#nameOf(address)} = ${value} is visible to all`);
  }

  override stepped(time: number): void {
    const notes = this.#notes;
    if (notes.length === 0) return;
    this.#notes = [];
    if (time / PS < this.#from) return;
    const state = this.#state(time);
    const changes: Changes = {};
    for (const [part, value] of Object.entries(state)) {
      if (JSON.stringify(value) !== JSON.stringify(this.#last[part])) changes[part] = value;
    }
    this.#last = state;
    this.#steps.push({ time: time / PS, notes, changes });
  }

  // What it is like now

  #state(time: number): Changes {
    const { system, threads, scheduler } = this.#machine;
    const state: Changes = { messages: this.#messages(time) };
    const lines = new Set([...this.#words].map((address) => address >> LINE_SHIFT));
    for (const core of system.cores) {
      const { number } = core;
      const thread = scheduler.current(number) ?? threads.find((other) => other.core === number && !other.hasEnded);
      const isWaiting = this.#waiting[number] !== null && thread !== undefined && !thread.hasEnded;
      state[`${number}.done`] = this.#operations[number]!.length;
      state[`${number}.now`] = isWaiting ? `${this.#operation(thread)}` : null;
      state[`${number}.waits`] = isWaiting ? this.#waiting[number]!.what.at(-1) : null;
      state[`${number}.buffer`] = core.stores.map(
        ({ address, value, isRelease }) => `${this.#nameOf(address)} = ${value}${isRelease ? ' (release)' : ''}`,
      );
      state[`${number}.queue`] = core.invalidations
        .filter(({ until }) => until > time)
        .map(({ line }) => `invalidate ${this.#lineName(line)}`);
      for (const line of lines) state[`${number}.line.${line}`] = STATE_LETTERS[system.caches.state(number, line)];
    }
    for (const address of this.#words) state[`word.${address}`] = system.memory[address];
    return state;
  }

  /** On their way, soonest first, and those that wait at a line's home. */
  #messages(time: number): string[] {
    const { system, events } = this.#machine;
    const coming = events
      .pending()
      .filter(({ kind }) => kind <= Event.done && kind !== Event.serve)
      .sort((a, b) => a.time - b.time)
      .map(
        ({ time: due, kind, number, subject }) =>
          `${this.#message(kind, number, subject)}, in ${((due - time) / PS).toFixed(1)} ns`,
      );
    const waiting = system
      .waitingRequests()
      .map((request) => `${this.#request(request)} of core ${request.core} waits at the home`);
    return [...coming, ...waiting];
  }

  #request({ core, line, isOwning }: Request): string {
    const has = this.#machine.system.caches.state(core, line) !== State.invalid;
    return `${isOwning ? (has ? 'invalidate' : 'read invalidate') : 'read'} ${this.#lineName(line)}`;
  }

  #message(kind: number, number: number, subject: unknown): string {
    if (kind === Event.invalidate) {
      const { line, core } = subject as Request;
      return `invalidate ${this.#lineName(line)}: for core ${core}, to core ${number}`;
    }
    const request = subject as Request;
    const name = this.#lineName(request.line);
    if (kind === Event.downgrade) return `read ${name}: for core ${request.core}, to core ${number}`;
    if (kind === Event.done) {
      const has = this.#machine.system.caches.state(request.core, request.line) !== State.invalid;
      const answer = request.isOwning
        ? has
          ? 'acknowledgements'
          : 'read response and acknowledgements'
        : 'read response';
      return `${answer} ${name}: to core ${request.core}`;
    }
    if (kind === Event.send) return `${this.#request(request)}: core ${request.core} sends it`;
    return `${this.#request(request)}: core ${request.core} to the home at core ${this.#machine.system.homeOf(request.line)}`;
  }

  #whatFor({ stores, invalidations, clock }: Core, { waits, line }: SimThread): string {
    const buffered = stores.map(({ address, value }) => `${this.#nameOf(address)} = ${value}`).join(', ');
    switch (waits) {
      case Waits.line: {
        const isQueued = invalidations.some((entry) => entry.line === line && entry.until > clock);
        return `the line of ${this.#lineName(line)}${isQueued ? ', whose invalidation it has still to carry out' : ''}`;
      }
      case Waits.drained:
      case Waits.call:
        return `its store buffer: ${buffered}`;
      case Waits.room:
        return 'room in its store buffer';
      case Waits.spinning:
        return 'another value';
      default:
        return 'a wake-up';
    }
  }

  #operation(thread: SimThread): string {
    const { code, address, x, y } = thread;
    const name = BARRIERS[code] === undefined ? this.#nameOf(address) : '';
    switch (code) {
      case Code.load:
        return `load ${name}`;
      case Code.loadAcquire:
        return `load ${name}, acquire`;
      case Code.store:
        return `${name} = ${x}`;
      case Code.storeRelease:
        return `${name} = ${x}, release`;
      case Code.cmpxchg:
        return `cmpxchg ${name}: ${x} to ${y}`;
      case Code.xchg:
        return `xchg ${name}: ${x}`;
      case Code.add:
        return `add ${x} to ${name}`;
      case Code.and:
        return `and ${x} into ${name}`;
      case Code.or:
        return `or ${x} into ${name}`;
      case Code.condLoad:
        return `spin on ${name}`;
      case Code.condLoadAcquire:
        return `spin on ${name}, acquire`;
      case Code.wait:
        return `sleep on ${name}`;
      case Code.wake:
        return `wake sleepers on ${name}`;
      default:
        return BARRIERS[code] ?? 'pause';
    }
  }

  recording(): Recording {
    const lines = [...new Set([...this.#words].map((address) => address >> LINE_SHIFT))].sort((a, b) => a - b);
    return {
      cores: this.#operations.length,
      lines: lines.map((line) => ({
        line,
        words: Array.from({ length: LINE_WORDS }, (_, word) => line * LINE_WORDS + word)
          .filter((address) => this.#words.has(address))
          .map((address) => ({ address, name: this.#nameOf(address) })),
      })),
      operations: this.#operations,
      steps: this.#steps,
      waits: this.#waits,
    };
  }

  /** Words whose lines are shown from the first step on: those that an earlier recording of the same run has met. */
  show(words: readonly number[]): void {
    for (const address of words) this.#words.add(address);
  }
}

const BARRIERS: Readonly<Record<number, string>> = {
  [Code.mb]: 'full barrier',
  [Code.rmb]: 'read barrier',
  [Code.wmb]: 'write barrier',
  [Code.relax]: 'pause',
};

/** What the operation has read. */
function resultOf({ code, result }: SimThread): string {
  const isRead = code <= Code.loadAcquire || code === Code.condLoad || code === Code.condLoadAcquire;
  const isModify = code >= Code.cmpxchg && code <= Code.or;
  return isRead ? `: ${result}` : isModify ? `; it was ${result}` : '';
}
