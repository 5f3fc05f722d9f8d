/**
 * A seat, as the director sees it: starts its worker, kills it, and starts the next one.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { type Remote, wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { aimAt, type Errand, noneAimed } from './aim.ts';
import { nameHash } from './decisions.ts';
import type { Settings } from './outcome.ts';
import type { TortureThread } from './performance.ts';
import { Random } from './random.ts';
import type { RunStage } from './stage.ts';
import { ABSENT, ACTORS, Actor, AIMED, actorAddress, DONE, EXIT, LINGER, Seat, SPARED, seatAddress } from './words.ts';
import { spawnFrom } from './worker-source.ts';

/** How long a thread that is to exit by itself may take to get inside the lock before it is terminated, ms. */
const EXIT_MS = 200;
/** How long one that is to die at an operation of its own may take to get there, ms; and one that is still to start. */
const AIM_MS = 200;
const START_MS = 5000;
/** One worker in so many dies as it attaches, and of those that are left in the end as it detaches. */
const ATTACHING_EVERY = 6;
const DETACHING_EVERY = 3;
/** What a thread can be at when it dies that is at work. */
const AT_WORK = ['lock', 'heap', 'names', 'reaper'] as const satisfies readonly Errand[];

export class Performer {
  deaths = 0;
  /** Deaths at an operation of the thread's own. */
  readonly aimed = noneAimed();
  readonly seat: number;
  /** Resolves when the seat's last worker has stopped. */
  readonly ended: Promise<void>;
  readonly #stage: RunStage;
  readonly #source: string;
  readonly #seed: number;
  #end: () => void = () => {};
  #worker: Worker | undefined;
  /** The thread, once it has done its part. */
  #done: Remote<TortureThread> | undefined;
  #state: 'performing' | 'doomed' | 'ended' = 'performing';
  #incarnation = 0;
  /** Of deaths that belong to the seat: undefined where nobody is killed. */
  readonly #random: Random | undefined;

  constructor(stage: RunStage, seat: number, { seed, kill }: Settings, source: string) {
    this.#stage = stage;
    this.seat = seat;
    this.#seed = seed;
    this.#random = kill ? new Random(seed, nameHash(stage.type.name), seat) : undefined;
    this.#source = source;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.#start();
  }

  get isPerforming(): boolean {
    return this.#state === 'performing';
  }

  /** Whether the seat's worker is being killed: it may stand inside the lock until it is gone, and everybody waits for it. */
  get isDoomed(): boolean {
    return this.#state === 'doomed';
  }

  /** Whether the seat's worker is up, and all its acquirers at work. */
  get hasArrived(): boolean {
    const { cpu, address } = this.#stage;
    const isAbsent = (_: unknown, actor: number) =>
      cpu.load(actorAddress(address, this.seat, actor) + Actor.phase) === ABSENT;
    return this.isPerforming && !Array.from({ length: ACTORS }).some(isAbsent);
  }

  /** Kills the seat's worker: anywhere, or inside the lock; or makes it exit there by itself. */
  async kill(random: Random): Promise<void> {
    const { cpu, address } = this.#stage;
    const worker = this.#worker;
    if (!this.isPerforming || worker === undefined) return;
    this.#state = 'doomed';
    const words = seatAddress(address, this.seat);
    const doom = random.pick([SPARED, LINGER, LINGER, EXIT, AIMED, AIMED, AIMED]);
    const errand = random.pick(AT_WORK);
    if (doom === AIMED) this.#aim(errand, random);
    cpu.store(words + Seat.doom, doom);
    cpu.store(words + Seat.incarnation, -this.#incarnation);
    this.deaths++;
    if (doom === LINGER) await delay(1 + random.below(8));
    if (doom === EXIT) await Promise.race([once(worker, 'exit'), delay(EXIT_MS)]);
    if (doom === AIMED) await this.#meetsAim(errand, AIM_MS);
    await worker.terminate();
  }

  /** Where the worker is to die, as it goes about that. */
  #aim(errand: Errand, random: Random): number {
    const { cpu, address } = this.#stage;
    const aim = aimAt(errand, random.word());
    cpu.store(seatAddress(address, this.seat) + Seat.aim, aim);
    return aim;
  }

  /** Resolves when the worker has stopped where it was to, or that has taken too long. */
  async #meetsAim(errand: Errand, most: number): Promise<void> {
    const { cpu, address } = this.#stage;
    const word = seatAddress(address, this.seat) + Seat.aim;
    const until = performance.now() + most;
    while (cpu.load(word) !== 0 && performance.now() < until) await delay(2);
    if (cpu.load(word) === 0) this.aimed[errand]++;
  }

  /** The worker dies as it attaches. */
  async #dieAttaching(worker: Worker): Promise<void> {
    const { cpu, address } = this.#stage;
    this.#state = 'doomed';
    cpu.store(seatAddress(address, this.seat) + Seat.incarnation, -this.#incarnation);
    this.deaths++;
    await this.#meetsAim('attach', START_MS);
    await worker.terminate();
  }

  async dismiss(): Promise<void> {
    if (this.isPerforming) this.#state = 'ended';
    if (this.#stage.violations.length === 0 && this.#done !== undefined) await this.#leave(this.#done);
    await this.#worker?.terminate();
  }

  async #leave(thread: Remote<TortureThread>): Promise<void> {
    const random = this.#random;
    const aim = random?.oneIn(DETACHING_EVERY) ? this.#aim('detach', random) : 0;
    const left = thread.leave(aim).catch((error) => this.#stage.fail(`thread ${this.seat}: ${error.message}`));
    if (aim === 0) return left;
    // Where it has not so many operations to make, it leaves.
    let hasLeft = false;
    void left.then(() => {
      hasLeft = true;
    });
    await Promise.race([left, this.#meetsAim('detach', START_MS)]);
    if (!hasLeft) this.deaths++;
  }

  #start(): void {
    const { arena, cpu, address, type, lock, seats, waits, holds } = this.#stage;
    const { seat } = this;
    const incarnation = ++this.#incarnation;
    for (let actor = 0; actor < ACTORS; actor++) {
      const isUsed = actor === 0 || type.isAsync;
      cpu.store(actorAddress(address, seat, actor) + Actor.phase, isUsed ? ABSENT : DONE);
    }
    cpu.store(seatAddress(address, seat) + Seat.doom, SPARED);
    cpu.store(seatAddress(address, seat) + Seat.aim, 0);
    cpu.store(seatAddress(address, seat) + Seat.incarnation, incarnation);
    this.#state = 'performing';
    const worker = spawnFrom(this.#source, `torture/${seat}`);
    this.#worker = worker;
    arena.watch(worker);
    worker.once('error', (error) => {
      this.#stage.fail(`thread ${seat} crashed: ${(error as Error)?.stack ?? error}`);
    });
    worker.once('exit', (code) => this.#exited(code));
    const remote: Remote<TortureThread> = wrap<TortureThread>(nodeEndpoint(worker));
    const histograms = { waits: waits[seat], holds: holds[seat] };
    const random = this.#random;
    const aim = incarnation > 1 && random?.oneIn(ATTACHING_EVERY) ? this.#aim('attach', random) : 0;
    const part = { arena: arena.handle, type: type.name, lock, stage: address, seats, seat, incarnation, aim };
    remote.perform({ ...part, ...histograms, seed: this.#seed } as never).then(
      (violation) => this.#performed(remote, violation),
      (error: unknown) => this.#stage.fail(`thread ${seat}: ${String((error as Error)?.stack ?? error)}`),
    );
    if (aim !== 0) void this.#dieAttaching(worker);
  }

  #performed(remote: Remote<TortureThread>, violation: string | undefined): void {
    if (violation !== undefined) this.#stage.fail(`thread ${this.seat}: ${violation}`);
    else if (this.isPerforming) this.#done = remote;
    if (this.isPerforming) this.#state = 'ended';
    this.#end();
  }

  #exited(code: number): void {
    if (this.isPerforming) {
      this.#state = 'ended';
      this.#stage.fail(`thread ${this.seat} ended by itself, with code ${code}`);
    }
    if (this.#state === 'doomed') this.#stage.afterDeath();
    if (this.#state === 'doomed' && !this.#stage.isStopped) this.#start();
    else this.#end();
  }
}
