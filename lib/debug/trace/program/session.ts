/** A trace program that runs in an arena, on all of its threads: from `traceProgram` to `stop`. */
import type { Arena } from '../../../arena/arena.ts';
import { checkOptionNames, HoldfastError, shown } from '../../../errors.ts';
import { DETACHED } from '../../../sched/thread.ts';
import { storeCell } from './cells.ts';
import { formatted } from './language/formats.ts';
import { ProgramWords, Running } from './layout.ts';
import { startProgram, stopProgram } from './places.ts';
import { areaAddress, type Pool, poolOf } from './pool.ts';
import { prepare } from './prepare.ts';
import { type Format, isShared, type MapSpec, type Probe, type Program } from './program.ts';
import { cellsOf, readMap } from './read.ts';
import { lostRecords, Output, type OutputRecord, readRing } from './ring.ts';
import { bucketsOf, mapText, type TraceMap } from './shown.ts';
import { takeArea } from './stored.ts';
import { OF_LOCKS, ThreadProgram } from './thread.ts';
import { Values } from './words.ts';

export interface TraceProgramOptions {
  /** Hears what the program prints, some lines at a time, on this thread. Default: it is in what `stop` returns. */
  output?: ((text: string) => void) | undefined;
}

/** What a program has found out, as plain data. */
export interface TraceProgramResult {
  /** In the order in which the program names them. */
  readonly maps: readonly TraceMap[];
  /** What it has printed, unless `output` has heard it. At most a megabyte. */
  readonly output: string;
  /** Lines of output that found no room: a thread printed faster than this one has read. */
  readonly lostOutput: number;
  /** Times that a thread found no room for what it keeps for itself, and has not run the program. */
  readonly droppedThreads: number;
  /** Names that found no room. */
  readonly droppedTexts: number;
  /** Threads that were stopped in the middle of an event when the program ended. */
  readonly unfinished: number;
}

/** How often what threads have printed is looked for, ms. */
const LOOKS_MS = 50;
/** Of output that nobody hears, characters. */
const MOST_OUTPUT = 1 << 20;

/** A trace program that runs. */
export class TraceProgram implements Disposable {
  /** The most instructions that it takes for an event: none takes longer. */
  readonly steps: number;
  /** Resolves with what `stop` returns, when the program has called `exit()` or was stopped. */
  readonly finished: Promise<TraceProgramResult>;
  readonly #arena: Arena;
  readonly #program: Program;
  readonly #pool: Pool;
  readonly #address: number;
  readonly #session: number;
  readonly #own: ThreadProgram | undefined;
  readonly #values: Values;
  readonly #output: ((text: string) => void) | undefined;
  readonly #timers: NodeJS.Timeout[];
  readonly #finish: (result: TraceProgramResult) => void;
  #printed = '';
  #result: TraceProgramResult | undefined;

  /** @internal */
  constructor(arena: Arena, program: Program, steps: number, address: number, output?: (text: string) => void) {
    const { cpu, thread } = arena;
    this.steps = steps;
    this.#arena = arena;
    this.#program = program;
    this.#pool = poolOf(cpu, program);
    this.#address = address;
    this.#session = cpu.load(address + ProgramWords.session);
    this.#output = output;
    this.#values = new Values(cpu, address);
    let finish: (result: TraceProgramResult) => void = () => {};
    this.finished = new Promise((resolve) => void (finish = resolve));
    this.#finish = finish;
    const area = takeArea(cpu, address, this.#pool.areaCount, thread.id);
    this.#own = area < 0 ? undefined : new ThreadProgram(thread, address, area);
    this.#run(({ on }) => on === 'begin');
    const every = (ms: number, call: () => void) => setInterval(call, ms).unref();
    this.#timers = [
      every(LOOKS_MS, () => this.#look()),
      ...program.probes.flatMap((probe) =>
        probe.on === 'interval'
          ? [every(probe.ms, () => this.#run((other) => other === probe || sameProbe(other, probe)))]
          : [],
      ),
    ];
  }

  /** What it has found out until now. */
  read(): TraceProgramResult {
    if (this.#result !== undefined) return this.#result;
    this.#check();
    this.#drain();
    return this.#read(0);
  }

  /**
   * Ends it, for all threads: `END` runs, here. Returns the same when it is called again. Throws EBUSY while another thread starts or stops
   * a trace, EINVAL where the thread has detached, which has ended it.
   */
  stop(): TraceProgramResult {
    if (this.#result !== undefined) return this.#result;
    this.#check();
    for (const timer of this.#timers) clearInterval(timer);
    const result = stopProgram(this.#arena, this.#address, (unfinished) => {
      this.#run(({ on }) => on === 'end');
      this.#drain();
      return this.#read(unfinished);
    });
    this.#result = result;
    this.#finish(result);
    return result;
  }

  [Symbol.dispose](): void {
    this.stop();
  }

  #check(): void {
    const { cpu, thread } = this.#arena;
    const isMine = cpu.load(this.#address + ProgramWords.owner) === thread.id;
    if (thread.self !== DETACHED && isMine && cpu.load(this.#address + ProgramWords.session) === this.#session) return;
    for (const timer of this.#timers) clearInterval(timer);
    throw new HoldfastError('EINVAL', 'this thread has detached from the arena, and that has ended the trace program');
  }

  /** Runs the probes that are like that: not those of trace points. */
  #run(isWanted: (probe: Probe) => boolean): void {
    const now = Math.round(this.#arena.cpu.now());
    for (const { probe, run } of this.#own?.probes ?? []) if (isWanted(probe)) run(now, 0, 0, 0, 0, 0);
  }

  #look(): void {
    try {
      this.#check();
      this.#drain();
      if (this.#arena.cpu.load(this.#address + ProgramWords.ended) !== 0) this.stop();
    } catch (error) {
      // Somebody starts a trace just now: next time. The thread has detached: there is no next time.
      if (!(error instanceof HoldfastError)) throw error;
    }
  }

  /** Takes what threads have printed, in the order of its times. */
  #drain(): void {
    const { cpu } = this.#arena;
    const records = this.#areas()
      .flatMap((area) => readRing(cpu, area))
      .sort((a, b) => a.time - b.time);
    const text = records.map((record) => this.#recordText(record)).join('');
    if (text === '') return;
    if (this.#output !== undefined) this.#output(text);
    else if (this.#printed.length < MOST_OUTPUT) this.#printed += text;
  }

  #recordText({ what, number, values }: OutputRecord): string {
    if (what === Output.line) {
      const format = this.#program.formats[number] as Format;
      return formatted(
        format,
        values.map((value, i) => this.#values.shown(format.arguments[i] ?? 'number', value)),
      );
    }
    if (what === Output.printMap) return mapText(this.#map(number));
    this.#clear(number);
    return '';
  }

  #clear(map: number): void {
    const { cpu, thread } = this.#arena;
    if (!isShared(this.#program.maps[map] as MapSpec)) {
      // Each thread empties its part when it adds to it next; until then it does not count.
      cpu.fetchAdd(this.#address + ProgramWords.clears + map, 1);
      return;
    }
    const writer = { id: thread.id, claim: thread.slot + Running.claim };
    for (const cell of cellsOf(cpu, this.#address, this.#pool, map)) storeCell(cpu, cell, writer, Number.NaN);
  }

  #areas(): number[] {
    const { cpu } = this.#arena;
    return Array.from({ length: this.#pool.areaCount }, (_, area) => area)
      .filter((area) => cpu.load(this.#address + ProgramWords.areaOwners + area) !== 0)
      .map((area) => areaAddress(this.#address, this.#pool, area));
  }

  #map(number: number): TraceMap {
    const { spec, entries, dropped, lost } = readMap(this.#arena.cpu, this.#address, this.#pool, number);
    const types = spec.isArray ? (['number'] as const) : spec.keys;
    return {
      name: `@${spec.name}`,
      value: spec.value,
      dropped,
      lost,
      entries: entries.map(({ key, value, count, total, buckets }) => ({
        key: key.map((part, i) => this.#values.shown(types[i] ?? 'number', part)),
        value: this.#values.shown(spec.type, value),
        ...(count === undefined ? {} : { count }),
        ...(total === undefined ? {} : { total }),
        ...(buckets === undefined ? {} : { buckets: bucketsOf(spec.linear, buckets) }),
      })),
    };
  }

  #read(unfinished: number): TraceProgramResult {
    const { cpu } = this.#arena;
    return {
      maps: this.#program.maps.map((_, i) => this.#map(i)),
      output: this.#printed,
      lostOutput: this.#areas().reduce((sum, area) => sum + lostRecords(cpu, area), 0),
      droppedThreads: cpu.load(this.#address + ProgramWords.droppedThreads),
      droppedTexts: cpu.load(this.#address + ProgramWords.droppedTexts),
      unfinished,
    };
  }
}

function sameProbe(a: Probe, b: Probe): boolean {
  return a.start === b.start;
}

/**
 * Runs a trace program on all threads of the arena, those that attach later included, for each event that it names: see
 * docs/trace-programs.md for the language. A thread that is attached already learns of it in its next call that has to wait. A
 * program takes 620 KB of the arena, which stay there for the next one; four can run at a time.
 *
 * Throws EINVAL for what is no program, or one that the verifier rejects, with line, column and reason; EBUSY when four run, and while
 * another thread starts or stops a trace; ENOMEM when the arena has no room.
 */
export function traceProgram(arena: Arena, source: string, options: TraceProgramOptions = {}): TraceProgram {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `traceProgram() expects an Arena, received ${shown(arena)}`);
  }
  checkOptionNames(options, ['output']);
  const { output } = options;
  if (output !== undefined && typeof output !== 'function') {
    throw new HoldfastError('EINVAL', `output is a function, received ${shown(output)}`);
  }
  arena.thread.current();
  const { program, steps } = prepare(source);
  const hearsLocks = program.probes.some((probe) => probe.on === 'point' && ((1 << probe.point) & OF_LOCKS) !== 0);
  return new TraceProgram(arena, program, steps, startProgram(arena, program, hearsLocks), output);
}

/** What a program has found out, as text: its maps. */
export function traceProgramText({ maps }: Pick<TraceProgramResult, 'maps'>): string {
  return maps.map(mapText).join('');
}
