/** The programs that run on one thread: its sink, which hears the events, and what a program has around it there. */
import { Header } from '../../../memory/header.ts';
import type { Thread } from '../../../sched/thread.ts';
import { StackTable } from '../../profile/stacks.ts';
import { Emitting, isUsedBy, LOCKS } from '../layout.ts';
import { Point } from '../points.ts';
import { defineSink, type Traced, type TraceSink, TraceUser } from '../sink.ts';
import { runnerOf } from './compiler.ts';
import { PLACES, ProgramWords, RUNNING, Running, textsOf } from './layout.ts';
import { openMaps } from './maps.ts';
import { areaAddress, poolOf } from './pool.ts';
import { codeOf, type Format, type Probe } from './program.ts';
import { Output, RingWriter } from './ring.ts';
import type { ProgramMap, Run, Runtime } from './runtime.ts';
import { readProgram, takeArea } from './stored.ts';

/** The points for which a thread has to be told of locks that are free. */
export const OF_LOCKS = (1 << Point.acquire) | (1 << Point.release);

/** One program on one thread. */
export class ThreadProgram implements Runtime {
  readonly thread: number;
  readonly maps: readonly ProgramMap[];
  readonly texts: readonly number[];
  readonly probes: readonly { readonly probe: Probe; readonly run: Run }[];
  readonly session: number;
  readonly #thread: Thread;
  readonly #traced: Traced | undefined;
  readonly #address: number;
  readonly #formats: readonly Format[];
  readonly #ring: RingWriter;
  readonly #table: StackTable;
  /** By number of a lock: its name and its kind, as numbers of texts and one; 0: not asked for yet. */
  readonly #names = new Int32Array(LOCKS + 1);
  readonly #kinds = new Int32Array(LOCKS + 1);

  /** `area`: of `takeArea`. Without `traced` there are no locks and no stacks. */
  constructor(thread: Thread, address: number, area: number, traced?: Traced) {
    const { cpu } = thread;
    const program = readProgram(cpu, address);
    const pool = poolOf(cpu, program);
    this.session = cpu.load(address + ProgramWords.session);
    this.thread = thread.number;
    this.#thread = thread;
    this.#traced = traced;
    this.#address = address;
    this.#formats = program.formats;
    this.#ring = new RingWriter(cpu, areaAddress(address, pool, area));
    this.#table = new StackTable(cpu, textsOf(address));
    this.maps = openMaps(cpu, address, pool, area, { id: thread.id, claim: thread.slot + Running.claim });
    this.texts = program.texts.map((text) => this.#textNumber(text));
    this.probes = program.probes.map((probe) => ({ probe, run: runnerOf(codeOf(program, probe), program, this) }));
  }

  lockName(lock: number): number {
    return ((this.#names[lock] as number) || (this.#names[lock] = 1 + this.#nameOf(lock))) - 1;
  }

  lockKind(lock: number): number {
    return ((this.#kinds[lock] as number) || (this.#kinds[lock] = 1 + this.#kindOf(lock))) - 1;
  }

  stack(): number {
    return this.#traced?.stackHere() ?? 0;
  }

  print(format: number, ...values: readonly number[]): void {
    const { length } = (this.#formats[format] as Format).arguments;
    this.#ring.write(Output.line, format, this.#thread.cpu.now(), values.slice(0, length));
  }

  printMap(map: number): void {
    this.#ring.write(Output.printMap, map, this.#thread.cpu.now(), []);
  }

  clearMap(map: number): void {
    this.#ring.write(Output.clearMap, map, this.#thread.cpu.now(), []);
  }

  end(): void {
    this.#thread.cpu.store(this.#address + ProgramWords.ended, 1);
  }

  /** The numbers of locks have another meaning now. */
  forgetLocks(): void {
    this.#names.fill(0);
    this.#kinds.fill(0);
  }

  #kindOf(lock: number): number {
    return this.#textNumber(this.#traced?.lockOf(lock)?.kind);
  }

  #nameOf(lock: number): number {
    const found = this.#traced?.lockOf(lock);
    return this.#textNumber(found === undefined ? undefined : (found.name ?? `(${found.kind} without a name)`));
  }

  #textNumber(text: string | undefined): number {
    if (text === undefined) return 0;
    const number = this.#table.numberOf(text) + 1;
    if (number === 0) this.#thread.cpu.fetchAddRelaxed(this.#address + ProgramWords.droppedTexts, 1);
    return number;
  }
}

class ProgramsSink implements TraceSink {
  readonly points: number;
  /** By point. */
  readonly #runs: readonly (readonly Run[])[];

  constructor(programs: readonly ThreadProgram[]) {
    const runs: Run[][] = [];
    let points = 0;
    for (const { probe, run } of programs.flatMap(({ probes }) => probes)) {
      if (probe.on !== 'point') continue;
      (runs[probe.point] ??= []).push(run);
      points |= 1 << probe.point;
    }
    this.#runs = runs;
    this.points = points;
  }

  emit(point: number, time: number, a: number, b: number, c: number, d: number, e: number): void {
    const runs = this.#runs[point] as readonly Run[];
    for (let i = 0; i < runs.length; i++) (runs[i] as Run)(time, a, b, c, d, e);
  }
}

/** By thread: what it has of each program, by address. */
const known = new WeakMap<Thread, Map<number, ThreadProgram>>();

function open(traced: Traced): TraceSink | undefined {
  const { thread } = traced;
  const { cpu } = thread;
  if (!isUsedBy(cpu.load(Header.trace), TraceUser.programs)) return undefined;
  // The thread that stops a program waits for this one, or has changed its state before. It may be in the middle of an event.
  const before = cpu.xchg(thread.slot + Emitting.mark, 1);
  const programs: ThreadProgram[] = [];
  for (let place = 0; place < PLACES; place++) {
    const address = cpu.load(Header.programs + place);
    const program = address === 0 ? undefined : openProgram(traced, address);
    if (program !== undefined) programs.push(program);
  }
  cpu.storeRelease(thread.slot + Emitting.mark, before);
  return programs.length === 0 ? undefined : new ProgramsSink(programs);
}

/** What the thread has of the program at that address; undefined while it does not run, and for a thread that finds no area. */
function openProgram(traced: Traced, address: number): ThreadProgram | undefined {
  const { thread } = traced;
  const { cpu } = thread;
  // Pairs with the exchange that starts it: it is wholly there.
  if (cpu.loadAcquire(address + ProgramWords.state) !== RUNNING) return undefined;
  let programs = known.get(thread);
  if (programs === undefined) known.set(thread, (programs = new Map()));
  let program = programs.get(address);
  if (program?.session === cpu.load(address + ProgramWords.session)) {
    program.forgetLocks();
    return program;
  }
  const area = takeArea(cpu, address, poolOf(cpu, readProgram(cpu, address)).areaCount, thread.id);
  programs.delete(address);
  if (area < 0) return undefined;
  program = new ThreadProgram(thread, address, area, traced);
  programs.set(address, program);
  return program;
}

defineSink(open);
