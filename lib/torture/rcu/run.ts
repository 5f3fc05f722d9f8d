/** The torture of one flavour: starts the threads, kills some, lets some leave, and looks at what they count. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { Arena } from '../../arena/arena.ts';
import type { ObjectHandle } from '../../arena/shared-object.ts';
import { spawnWorker } from '../../arena/spawn.ts';
import { Random } from '../random.ts';
import type { Part, Role, Said } from './performer.ts';
import type { PeriodDelays } from './slow-periods.ts';
import { formatRcuStage, Seat, Stage, seatAddress, stageWords } from './stage.ts';
import { type RcuTotals, statLines, totalsOf, violationsIn } from './totals.ts';
import type { RcuTortureType } from './types.ts';

export interface RcuTortureSettings {
  readonly readers: number;
  readonly fakewriters: number;
  /** Threads whose callbacks the barrier tests wait for. */
  readonly callbacks: number;
  readonly seconds: number;
  /** Whether threads are killed at random. */
  readonly kill: boolean;
  /** Whether threads leave and join at random. */
  readonly onoff: boolean;
  /** After how many ms all pause, for as long; 0 for never. */
  readonly stutter: number;
  /** How often the counts are printed, s. */
  readonly interval: number;
  readonly delays: PeriodDelays;
  readonly seed: number;
}

export interface RcuOutcome extends RcuTotals {
  readonly type: string;
  readonly isBusted: boolean;
  readonly verdict: 'ok' | 'violation';
  readonly violations: readonly string[];
  readonly seconds: number;
  readonly kills: number;
  readonly joins: number;
}

const ARENA_BYTES = 64 << 20;
/** Thread numbers beside two for each seat: the director's, kthreadd's. */
const MORE_THREADS = 4;
const LOOK_MS = 20;
/** So many looks at which no thread has moved are a standstill: those that came late do not count. */
const STANDSTILL = 1500;
/** The longest pause between two ends of threads, ms. */
const LONGEST_PEACE = 150;
/** One end in so many may hit a thread that is starting. */
const STARTING_EVERY = 10;
/** The roles whose threads may die, or leave. What the others count would not be whole. */
const MORTAL: readonly Role[] = ['reader', 'writer', 'fakewriter'];

export async function rcuTorture(
  type: RcuTortureType,
  settings: RcuTortureSettings,
  source: string,
  print: (line: string) => void = () => {},
): Promise<RcuOutcome> {
  const run = new RcuTorture(type, settings, source, print);
  await run.perform();
  return run.outcome;
}

interface Performer {
  readonly role: Role;
  readonly worker: Worker;
  readonly incarnation: number;
  /** The seat's rounds when it came. */
  readonly before: number;
  /** Whether it is on its way out, killed or by itself. */
  ends: boolean;
  /** When there is none in the seat any more. */
  over: Promise<void>;
}

class RcuTorture {
  readonly #type: RcuTortureType;
  readonly #settings: RcuTortureSettings;
  readonly #source: string;
  readonly #print: (line: string) => void;
  readonly #arena: Arena;
  readonly #domain: ObjectHandle | undefined;
  readonly #stage: number;
  readonly #roles: readonly Role[];
  readonly #performers: Performer[] = [];
  readonly #violations: string[] = [];
  readonly #random: Random;
  #deaths = 0;
  #joins = 0;
  #seconds = 0;
  #hasStopped = false;

  constructor(type: RcuTortureType, settings: RcuTortureSettings, source: string, print: (line: string) => void) {
    const { readers, fakewriters, callbacks, seed } = settings;
    const roles: [Role, number][] = [
      ['writer', 1],
      ['reader', readers],
      ['fakewriter', fakewriters],
      ['callback', callbacks],
      ['barrier', callbacks > 0 ? 1 : 0],
      ['flood', 1],
    ];
    this.#type = type;
    this.#settings = settings;
    this.#source = source;
    this.#print = print;
    this.#roles = roles.flatMap(([role, count]) => Array.from({ length: count }, () => role));
    const seats = this.#roles.length;
    this.#arena = Arena.create({ bytes: ARENA_BYTES, maxThreads: 2 * seats + MORE_THREADS });
    this.#domain = type.create(this.#arena);
    this.#stage = this.#arena.alloc(stageWords(seats));
    formatRcuStage(this.#arena.cpu, this.#stage, seats);
    this.#random = new Random(seed);
  }

  get outcome(): RcuOutcome {
    const violations = [...this.#violations, ...violationsIn(this.#totals())];
    return {
      type: this.#type.name,
      isBusted: this.#type.isBusted,
      verdict: violations.length === 0 ? 'ok' : 'violation',
      violations,
      seconds: this.#seconds,
      kills: this.#deaths,
      joins: this.#joins,
      ...this.#totals(),
    };
  }

  async perform(): Promise<void> {
    const { readers, fakewriters, callbacks, stutter, kill, onoff, delays, seed } = this.#settings;
    const parameters = `nreaders=${readers} nfakewriters=${fakewriters} n_barrier_cbs=${callbacks} stutter=${stutter} kill=${Number(kill)} onoff=${Number(onoff)} gp_preinit_delay=${delays.preinit} gp_init_delay=${delays.init} gp_cleanup_delay=${delays.cleanup} seed=${seed}`;
    this.#say(`--- Start of test: ${parameters}`);
    for (const seat of this.#roles.keys()) this.#start(seat);
    await this.#untilDone();
    await this.#stop();
    this.#printTotals();
    this.#say(`--- End of test: ${this.outcome.verdict === 'ok' ? 'SUCCESS' : 'FAILURE'}: ${parameters}`);
    this.#arena.detach();
  }

  async #untilDone(): Promise<void> {
    const { cpu } = this.#arena;
    const { seconds, stutter, interval } = this.#settings;
    const started = performance.now();
    const elapsed = () => performance.now() - started;
    let nextEnd = 0;
    let nextPrint = interval * 1000;
    const moves = this.#watch();
    while (this.#violations.length === 0 && violationsIn(this.#totals()).length === 0) {
      if (elapsed() >= seconds * 1000 && this.#hasShown()) break;
      await delay(LOOK_MS);
      this.#seconds = elapsed() / 1000;
      cpu.store(this.#stage + Stage.stutter, stutter > 0 ? Math.floor(elapsed() / stutter) % 2 : 0);
      if (!moves()) this.#violations.push('a standstill: no thread has moved for a long time');
      if (elapsed() > nextPrint) {
        nextPrint += interval * 1000;
        this.#printTotals();
      }
      if (elapsed() < nextEnd) continue;
      nextEnd = elapsed() + this.#random.below(LONGEST_PEACE);
      this.#endOne();
    }
  }

  /** All come to their end by themselves. */
  async #stop(): Promise<void> {
    const { cpu } = this.#arena;
    cpu.store(this.#stage + Stage.stop, 1);
    this.#hasStopped = true;
    let haveEnded = false;
    const ended = Promise.all(this.#performers.map(({ over }) => over)).then(() => {
      haveEnded = true;
    });
    const moves = this.#watch();
    while (!haveEnded && moves()) await Promise.race([ended, delay(LOOK_MS)]);
    if (!haveEnded) this.#violations.push(`a hang at the end: ${this.#whoStays()}`);
    await Promise.all(this.#performers.map(({ worker }) => worker.terminate()));
  }

  /** Says whether any thread has moved in the last so many looks. */
  #watch(): () => boolean {
    let seen = -1;
    let looks = 0;
    return () => {
      let turns = this.#deaths + this.#joins;
      for (const seat of this.#performers.keys()) turns += this.#turnsOf(seat);
      looks = turns === seen ? looks + 1 : 0;
      seen = turns;
      return looks < STANDSTILL;
    };
  }

  #whoStays(): string {
    return this.#performers.flatMap(({ role, ends }, seat) => (ends ? [] : [`thread ${seat}, a ${role}`])).join('; ');
  }

  /** Whether what the torture is about has happened. */
  #hasShown(): boolean {
    const { kill, onoff, callbacks } = this.#settings;
    const { cpu } = this.#arena;
    const hasRead = (seat: number) => cpu.load(seatAddress(this.#stage, seat) + Seat.pipe) > 0;
    const { given, barriers, floods } = this.#totals();
    return (
      this.#roles.every((role, seat) => role !== 'reader' || hasRead(seat)) &&
      given > 0 &&
      floods > 0 &&
      (callbacks === 0 || barriers > 0) &&
      (!kill || this.#deaths > 0) &&
      (!onoff || this.#joins > 0)
    );
  }

  /** Kills a thread, or has it leave. */
  #endOne(): void {
    const { kill, onoff } = this.#settings;
    if (!kill && !onoff) return;
    const arrived = [...this.#performers.keys()].filter((seat) => this.#hasArrived(seat));
    // A thread that ends while it starts has tortured nothing; one that is left alone has nobody to disturb.
    if (2 * arrived.length < this.#performers.length) return;
    const seat = this.#random.oneIn(STARTING_EVERY)
      ? this.#random.below(this.#performers.length)
      : this.#random.pick(arrived);
    const performer = this.#performers[seat] as Performer;
    if (performer.ends || !MORTAL.includes(performer.role)) return;
    performer.ends = true;
    if (kill && (!onoff || this.#random.oneIn(2))) {
      this.#deaths++;
      void performer.worker.terminate();
    } else {
      this.#joins++;
      this.#arena.cpu.store(seatAddress(this.#stage, seat) + Seat.doom, 1);
    }
  }

  #hasArrived(seat: number): boolean {
    const { before, ends } = this.#performers[seat] as Performer;
    return !ends && this.#turnsOf(seat) !== before;
  }

  #turnsOf(seat: number): number {
    return this.#arena.cpu.load(seatAddress(this.#stage, seat) + Seat.turns);
  }

  #start(seat: number): void {
    const role = this.#roles[seat] as Role;
    const incarnation = (this.#performers[seat]?.incarnation ?? 0) + 1;
    this.#arena.cpu.store(seatAddress(this.#stage, seat) + Seat.doom, 0);
    const workerData: Part = {
      arena: this.#arena.handle,
      type: this.#type.name,
      domain: this.#domain,
      stage: this.#stage,
      seats: this.#roles.length,
      seat,
      role,
      callbacks: this.#settings.callbacks,
      seed: this.#settings.seed,
      incarnation,
      delays: this.#settings.delays,
    };
    const worker = spawnWorker(new URL(this.#source), { name: `rcutorture/${role}`, workerData });
    this.#arena.watch(worker);
    worker.on('message', ({ line }: Said) => this.#say(line));
    worker.once('error', (error) => {
      this.#violations.push(`thread ${seat}, a ${role}, crashed: ${(error as Error)?.message ?? error}`);
    });
    const before = this.#turnsOf(seat);
    const performer: Performer = { role, worker, incarnation, before, ends: false, over: Promise.resolve() };
    this.#performers[seat] = performer;
    performer.over = new Promise<void>((resolve) => worker.once('exit', () => resolve())).then(() =>
      this.#ended(seat, performer),
    );
  }

  async #ended(seat: number, performer: Performer): Promise<void> {
    if (!performer.ends && !this.#hasStopped) this.#violations.push(`thread ${seat} ended by itself`);
    performer.ends = true;
    if (!this.#hasStopped) this.#start(seat);
    // The seat's next thread may have been started just before the end.
    else return;
    await this.#performers[seat]?.over;
  }

  #totals(): RcuTotals {
    return totalsOf(this.#arena.cpu, this.#stage, this.#roles.length);
  }

  #printTotals(): void {
    for (const line of statLines(this.#type.name, this.#totals(), { deaths: this.#deaths, joins: this.#joins }))
      this.#print(line);
  }

  #say(line: string): void {
    this.#print(`${this.#type.name}-torture:${line.startsWith('---') ? '' : ' '}${line}`);
  }
}
