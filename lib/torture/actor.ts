/**
 * One acquirer: decides, acquires, goes through the section, releases, and again. The synchronous one blocks its
 * thread; the asynchronous ones share the thread's event loop with it, so while one of them has the lock, or is about to,
 * the synchronous one may be told EDEADLK.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { HoldfastError } from '../errors.ts';
import { Mutex } from '../locking/mutex.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { RealCpu } from '../machine/real.ts';
import type { AsyncWaitOptions } from '../sched/drive.ts';
import { armFor, errandOf } from './aim.ts';
import type { Decider, Decision } from './decisions.ts';
import type { Mode } from './lock-type.ts';
import type { Performance } from './performance.ts';
import { Violation } from './section.ts';
import {
  Actor,
  AIMED,
  actorAddress,
  DONE,
  EXIT,
  HOLDING,
  IDLE,
  Seat,
  SPARED,
  Stage,
  seatAddress,
  WAITING,
} from './words.ts';

const BORROWED_WORDS = 100;

type Refusal = 'busy' | 'timeouts' | 'aborts' | 'deadlocks';

export class Acquirer {
  readonly #performance: Performance;
  readonly #decider: Decider;
  readonly #number: number;
  readonly #words: number;
  readonly #seat: number;
  #isArmed = false;

  /** Acquirer `number` of its thread; 0 is the synchronous one. */
  constructor(performance: Performance, decider: Decider, number: number) {
    this.#performance = performance;
    this.#decider = decider;
    this.#number = number;
    this.#words = actorAddress(performance.stage, performance.seat, number);
    this.#seat = seatAddress(performance.stage, performance.seat);
  }

  /** Until the director says stop. Throws Violation. */
  async run(): Promise<void> {
    const { cpu, stage } = this.#performance;
    this.#phase(IDLE);
    while (cpu.load(stage + Stage.stop) === 0) {
      const decision = this.#decider.next();
      if (this.#number === 0 && cpu.load(this.#seat + Seat.doom) === AIMED) this.#meetAim();
      if (this.#number === 0 && this.#decider.fingerprint !== 0) this.#fingerprint();
      if (decision.churns) this.#churn();
      this.#spin(decision.pause);
      if (this.#number === 0) {
        const isRefused = !this.#acquire(decision);
        if (isRefused || decision.rests) await turn();
      } else {
        await this.#acquireAsync(decision);
        await turn();
      }
      cpu.store(this.#words + Actor.turn, (cpu.load(this.#words + Actor.turn) + 1) | 0);
      this.#performance.publishCounters();
    }
    this.#phase(DONE);
  }

  /** False when the lock can only be had after an asynchronous acquirer of this thread has had a turn. */
  #acquire(decision: Decision): boolean {
    const { view, cpu, thread, section } = this.#performance;
    const { mode, tries, timeout } = decision;
    const wasTaken = view.isTaken ?? section.isTaken;
    const contended = thread.counters.contended;
    const asked = cpu.now();
    this.#phase(WAITING);
    try {
      const isMine = tries ? view.tryLock?.(mode) : view.lock(mode, timeout);
      if (!isMine) return this.#gaveUp('busy');
    } catch (error) {
      const refusal = this.#refusal(error, decision, undefined);
      this.#gaveUp(refusal);
      return refusal !== 'deadlocks';
    }
    const since = this.#acquired(asked, wasTaken || thread.counters.contended !== contended);
    for (const step of this.#section(mode)) {
      this.#meetDoom(step, decision);
      if (step === 'torn') this.#spin(decision.hold);
    }
    view.unlock(mode);
    this.#released(since);
    return true;
  }

  async #acquireAsync(decision: Decision): Promise<void> {
    const { view, cpu, thread, section } = this.#performance;
    const { mode, timeout, abort } = decision;
    const options: AsyncWaitOptions = { timeout };
    let reason: Error | undefined;
    let timer: NodeJS.Timeout | undefined;
    const controller = new AbortController();
    if (abort !== undefined) {
      reason = new Error('aborted at random');
      options.signal = controller.signal;
      if (abort > 0) timer = setTimeout(() => controller.abort(reason), abort);
    }
    const wasTaken = view.isTaken ?? section.isTaken;
    const contended = thread.counters.contended;
    const asked = cpu.now();
    this.#phase(WAITING);
    this.#performance.asyncUnderWay++;
    try {
      const acquisition = view.lockAsync?.(mode, options);
      if (abort === 0) controller.abort(reason);
      const release = await acquisition;
      const since = this.#acquired(asked, wasTaken || thread.counters.contended !== contended);
      for (const step of this.#section(mode)) {
        this.#meetDoom(step, decision);
        if (step !== 'torn') continue;
        if (decision.awaits) await turn();
        this.#spin(decision.hold);
      }
      release?.();
      this.#released(since);
    } catch (error) {
      this.#gaveUp(this.#refusal(error, decision, reason));
    } finally {
      this.#performance.asyncUnderWay--;
      clearTimeout(timer);
    }
  }

  #section(mode: Mode) {
    const { section } = this.#performance;
    return mode === 'write' ? section.write() : section.read();
  }

  /** Which of the expected refusals `error` is. Throws it when it is none. */
  #refusal(error: unknown, { timeout }: Decision, reason: Error | undefined): Refusal {
    if (reason !== undefined && error === reason) return 'aborts';
    if (error instanceof HoldfastError) {
      if (error.code === 'ETIMEDOUT' && timeout !== undefined) return 'timeouts';
      if (error.code === 'EDEADLK' && this.#number === 0 && this.#performance.asyncUnderWay > 0) return 'deadlocks';
      throw new Violation(`unexpected ${error.message}`);
    }
    throw error;
  }

  #acquired(asked: number, isContended: boolean): number {
    const { cpu, waits } = this.#performance;
    this.#phase(HOLDING);
    const since = cpu.now();
    waits.record(Math.max(1, Math.round(since - asked)));
    if (isContended) this.#count(Seat.contended);
    return since;
  }

  #released(since: number): void {
    const { cpu, holds } = this.#performance;
    this.#phase(IDLE);
    holds.record(Math.max(1, Math.round(cpu.now() - since)));
  }

  #gaveUp(why: Refusal): true {
    this.#phase(IDLE);
    this.#count(Seat[why]);
    return true;
  }

  /** If the director wants this thread to die inside, and this is where. */
  #meetDoom(step: string, { dyingStep }: Decision): void {
    const { cpu } = this.#performance;
    const doom = cpu.load(this.#seat + Seat.doom);
    if (doom === SPARED || doom === AIMED || step !== dyingStep) return;
    if (doom === EXIT) process.exit();
    for (;;) cpu.relax();
  }

  /** Makes and destroys a named object: heap and names are in use while threads die. */
  #churn(): void {
    const { arena, seat } = this.#performance;
    new Mutex(arena, churnName(seat, this.#number)).destroy();
    this.#borrow();
  }

  /** Takes memory and gives it back. It is the library's in between, which frees it where this thread dies, and not the program's. */
  #borrow(): void {
    const { heap, thread } = this.#performance.arena;
    heap.free(heap.alloc(BORROWED_WORDS, thread.nascent), thread.nascent);
  }

  /** The director wants this thread to die before an operation of its own: goes about its errand until it is there. */
  #meetAim(): void {
    const { cpu, stage, seat } = this.#performance;
    const aim = cpu.load(this.#seat + Seat.aim);
    if (this.#isArmed || aim === 0) return;
    this.#isArmed = true;
    armSeat(cpu, stage, seat, aim);
    // Of a lock, in what it does from here on.
    for (const errand = errandOf(aim); errand !== 'lock'; ) {
      if (errand === 'names') this.#churn();
      else if (errand === 'heap') this.#borrow();
      // As a thread does that sleeps for long. The director terminates another one meanwhile.
      else (cpu as RealCpu).onStall?.(true);
    }
  }

  #spin(duration: number): void {
    if (duration === 0) return;
    const { cpu } = this.#performance;
    const until = cpu.now() + duration;
    while (cpu.now() < until) cpu.relax();
  }

  #fingerprint(): void {
    const { cpu } = this.#performance;
    const address = this.#seat + Seat.decisions;
    if (cpu.load(address) === 0) cpu.store(address, this.#decider.fingerprint);
  }

  #phase(phase: number): void {
    this.#performance.cpu.store(this.#words + Actor.phase, phase);
  }

  #count(word: number): void {
    const { cpu } = this.#performance;
    cpu.store(this.#seat + word, cpu.load(this.#seat + word) + 1);
  }
}

/** The worker of the seat dies before the operation that `aim` says, and tells its director. */
export function armSeat(cpu: Cpu, stage: number, seat: number, aim: number): void {
  armFor(aim, () => {
    cpu.store(seatAddress(stage, seat) + Seat.aim, 0);
    // By itself: the director may wait for a latch that this thread holds. Without the handlers of its exit, which would repair.
    (process as unknown as { reallyExit(code: number): void }).reallyExit(1);
    for (;;);
  });
}

/** The object that an acquirer makes and destroys now and then. */
export function churnName(seat: number, actor: number): string {
  return `churn ${seat}.${actor}`;
}
