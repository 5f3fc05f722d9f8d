/**
 * A seat, as the director sees it: starts its worker, kills it, and starts the next one.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import type { Worker } from 'node:worker_threads';
import { type Remote, wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { TortureThread } from './performance.ts';
import type { Random } from './random.ts';
import type { RunStage } from './stage.ts';
import { ABSENT, ACTORS, Actor, actorAddress, DONE, EXIT, LINGER, Seat, SPARED, seatAddress } from './words.ts';
import { spawnFrom } from './worker-source.ts';

/** How long a thread that is to exit by itself may take to get inside the lock before it is terminated, ms. */
const EXIT_MS = 200;

export class Performer {
  deaths = 0;
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

  constructor(stage: RunStage, seat: number, seed: number, source: string) {
    this.#stage = stage;
    this.seat = seat;
    this.#seed = seed;
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
    const doom = random.pick([SPARED, LINGER, LINGER, EXIT]);
    cpu.store(words + Seat.doom, doom);
    cpu.store(words + Seat.incarnation, -this.#incarnation);
    this.deaths++;
    if (doom === LINGER) await delay(1 + random.below(8));
    if (doom === EXIT) await Promise.race([once(worker, 'exit'), delay(EXIT_MS)]);
    await worker.terminate();
  }

  async dismiss(): Promise<void> {
    if (this.isPerforming) this.#state = 'ended';
    if (this.#stage.violations.length === 0) {
      await this.#done?.leave().catch((error) => this.#stage.fail(`thread ${this.seat}: ${error.message}`));
    }
    await this.#worker?.terminate();
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
    const part = { arena: arena.handle, type: type.name, lock, stage: address, seats, seat, incarnation };
    remote.perform({ ...part, ...histograms, seed: this.#seed } as never).then(
      (violation) => this.#performed(remote, violation),
      (error: unknown) => this.#stage.fail(`thread ${seat}: ${String((error as Error)?.stack ?? error)}`),
    );
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
