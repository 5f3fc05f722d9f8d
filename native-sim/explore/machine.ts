/**
 * Threads as the explored machine runs them, to the end of their function, of their event loop or of their life: how they sleep,
 * what their clock shows, and what a death leaves. How each goes on is up to the search that extends this class.
 *
 * There is one clock: a sleep that times out moves it to the deadline, for its thread and for every thread that sees
 * what that one did afterwards.
 */
import type { WaitOutcome } from '../../lib/machine/cpu.ts';
import { Op } from '../replay/operations.ts';
import { UNWIND } from '../replay/replay.ts';
import { Access } from '../replay/replayed-cpu.ts';
import { Accesses } from './accesses.ts';
import { EventLoop, type LoopMachine, type LoopWait, type Sleep } from './event-loop.ts';
import { ACQUIRE, AWAIT, HIDDEN, READ, RELEASE, RMW, WRITE } from './events.ts';
import type { Executor } from './explored-cpu.ts';
import { FutexQueues, MAX_THREADS } from './futex.ts';
import { Stop } from './graph.ts';
import { ExploreError } from './program.ts';
import { latest } from './replay.ts';

/** What an execution came to: all have ended, somebody waits for what only another one brings, or it is none. */
export type Outcome = 'execution' | 'blocked' | 'dropped';

export abstract class Machine extends Accesses implements Executor, LoopMachine {
  readonly futexes = new FutexQueues();
  /** By thread: whether it has an event loop. */
  hasLoop: readonly boolean[] = [];
  /** That of the running thread. */
  #loop: EventLoop | null = null;
  #lastWaits: readonly LoopWait[] = [];
  /** The location of the queue, and the name, under which the running thread sleeps; -1 when it does not. */
  #asleepOn = -1;
  #sleeper = -1;
  /** What a thread does that has slept for long and finds that another one is dead; true when nothing is left to be done. */
  stalled: ((thread: number, died: number) => boolean) | null = null;
  /** How many deaths the running thread has dealt with so. */
  #handled = 0;

  protected runToItsEnd(body: () => unknown): void {
    this.#asleepOn = -1;
    this.#handled = 0;
    if (this.hasLoop[this.t] !== true) {
      if (body() instanceof Promise) {
        throw new ExploreError(`thread ${this.t} returned a promise: a thread with an event loop is an async function`);
      }
      return;
    }
    const loop = new EventLoop();
    this.#loop = loop;
    try {
      loop.run(this, body() as Promise<void>);
    } finally {
      this.#loop = null;
      this.#lastWaits = [...loop.known];
      // What a task of the loop has thrown, others of the thread may have caught.
      if (this.stopped) loop.abandon(UNWIND);
    }
    if (this.tooLong !== undefined) throw this.tooLong;
    if (this.stopped) throw UNWIND;
  }

  wait(address: number, expected: number, deadline: number): WaitOutcome {
    const word = this.locationOf(Op.wait, address);
    const queue = this.memory.location(this.memory.futexOf(address));
    for (;;) {
      const sleeper = this.#enqueue(word, queue, expected);
      if (sleeper < 0) return 'not-equal';

      this.#asleepOn = queue;
      this.#sleeper = sleeper;
      const victim = deadline === Number.POSITIVE_INFINITY ? this.#nextVictim() : -1;
      const outcome = this.#sleep(queue, sleeper, deadline, victim);
      this.#asleepOn = -1;
      if (victim < 0 || outcome === 'ok') return outcome;
      this.awaitDeath(victim);
      if (this.stalled!(this.t, victim)) this.#handled++;
    }
  }

  #sleep(queue: number, sleeper: number, deadline: number, victim: number): WaitOutcome {
    if (victim >= 0) {
      this.pickWait([{ deadline: 0, isTimed: true, victim, queue, sleeper }]);
      return this.#sleepOrTimeOut(queue, sleeper, 0);
    }
    if (deadline === Number.POSITIVE_INFINITY) return this.#sleepUntilWoken(queue, sleeper);
    return this.#sleepOrTimeOut(queue, sleeper, deadline);
  }

  /** The thread whose death the running one will notice next when it sleeps for long; -1 if there is none. */
  #nextVictim(): number {
    const { victims, t } = this;
    if (this.stalled === null || !this.mayStall()) return -1;
    while (victims[this.#handled] === t) this.#handled++;
    return victims[this.#handled] ?? -1;
  }

  /** Whether this search lets those that sleep look around by themselves. */
  protected mayStall(): boolean {
    return false;
  }

  /** Compares and lines up in one step. Returns the name of the sleeper; -1: the word holds something else. */
  #enqueue(word: number, queue: number, expected: number): number {
    let e = this.begin(Op.wait, queue);
    if (e < 0) {
      const flags = READ | RMW | ACQUIRE | HIDDEN;
      e = this.addRead(Op.wait, flags, queue, () => flags);
    }
    const state = this.g.value[e]!;
    const sleeper = this.g.index[e]! * MAX_THREADS + this.t;
    const isNew = this.atFrontier();
    const compared = isNew ? this.addRead(Op.wait, READ, word, () => READ) : this.recorded(Op.wait, word);
    const isEqual = this.g.value[compared] === (expected | 0);
    if (isEqual) this.#queueHalf(Op.wait, queue, this.futexes.append(state, sleeper));
    if (isNew) this.checkAccess(compared);
    return isEqual ? sleeper : -1;
  }

  /** Of a thread that has an event loop; others have nothing else to do, and sleep. */
  waitAsync(address: number, expected: number, deadline: number): WaitOutcome | Promise<WaitOutcome> {
    const loop = this.#loop;
    if (loop === null) return this.wait(address, expected, deadline);
    if (this.read(Op.load, address, Access.marked) !== (expected | 0)) return 'not-equal';
    return deadline <= this.now() ? 'timed-out' : loop.begin(address, expected, deadline);
  }

  get isStopped(): boolean {
    return this.stopped;
  }

  lineUp(wait: LoopWait): boolean {
    wait.queue = this.memory.location(this.memory.futexOf(wait.address));
    wait.sleeper = this.#enqueue(this.memory.location(wait.address), wait.queue, wait.expected);
    return wait.sleeper >= 0;
  }

  pickWait(waits: readonly Sleep[]): number {
    if (this.stopped) this.halt();
    const isNew = this.atFrontier();
    // Where a turn is on record it was taken: then the thread dies behind it, before the operation that it is to die before.
    if (isNew || this.g.op[this.g.threads[this.t]![this.cursor]!] !== Op.turn) this.dieIfDue();
    if (isNew && this.frozen) this.halt();
    const chosen = isNew ? this.decideWait(waits) : 0;
    if (chosen < 0) this.stopAs(Stop.atTurn);
    return waits.length === 1 ? 0 : this.choose(Op.turn, waits.length, chosen);
  }

  finishWait({ queue, sleeper, deadline }: LoopWait): WaitOutcome {
    if (deadline === Number.POSITIVE_INFINITY) return this.#sleepUntilWoken(queue, sleeper);
    return this.#sleepOrTimeOut(queue, sleeper, deadline);
  }

  failIdle(): never {
    return this.fail('deadlock', `thread ${this.t} has nothing to wait for, and does not end`, this.g.lastOf(this.t));
  }

  /** Which of the waits of this thread's event loop ends now; -1 if none can. */
  protected abstract decideWait(waits: readonly Sleep[]): number;

  /** Whether somebody has woken it. */
  protected isWoken({ queue, sleeper }: Sleep): boolean {
    const last = latest(this.g, queue);
    return last >= 0 && !this.futexes.isAsleep(this.g.value[last]!, sleeper);
  }

  /** What the event loop of a thread waits for that has stopped. */
  protected waitsOf(thread: number): readonly LoopWait[] {
    if (this.hasLoop[thread] !== true) return [];
    const stop = this.g.stop[thread]!;
    this.#lastWaits = [];
    this.frozen = true;
    this.run(thread);
    this.frozen = false;
    this.g.stop[thread] = stop;
    return this.#lastWaits;
  }

  #sleepUntilWoken(queue: number, sleeper: number): WaitOutcome {
    const until = (state: number) => this.futexes.wasRemovedBy(state, sleeper);
    this.awaitValue(Op.wait, queue, READ | AWAIT | ACQUIRE | HIDDEN, until, sleeper);
    return 'ok';
  }

  /** Either it finds that it was woken, or it takes itself off the queue. */
  #sleepOrTimeOut(queue: number, sleeper: number, deadline: number): WaitOutcome {
    let e = this.begin(Op.wait, queue);
    if (e < 0) e = this.addRead(Op.wait, READ | RMW | ACQUIRE | HIDDEN, queue, () => READ | RMW | ACQUIRE | HIDDEN);
    if (!this.#leaveQueue(Op.wait, queue, sleeper, e, deadline)) return 'ok';
    return 'timed-out';
  }

  /** Takes the sleeper off the queue, at `deadline` or later, unless somebody has. */
  #leaveQueue(op: number, queue: number, sleeper: number, e: number, deadline = 0): boolean {
    const { g } = this;
    const state = g.value[e]!;
    if (!this.futexes.isAsleep(state, sleeper)) return false;
    // What follows inherits this time.
    g.time[e] = Math.max(g.time[e]!, deadline);
    this.#queueHalf(op, queue, this.futexes.leave(state, sleeper));
    return true;
  }

  #queueHalf(op: number, queue: number, state: number): void {
    if (this.atFrontier()) this.addWrite(op, WRITE | RMW | HIDDEN, queue, state);
    else this.checkSame(this.recorded(op, queue), state);
  }

  wake(address: number, count: number): number {
    this.locationOf(Op.wake, address);
    const queue = this.memory.location(this.memory.futexOf(address));
    let e = this.begin(Op.wake, queue);
    if (e < 0) {
      const flags = READ | RMW | ACQUIRE | HIDDEN;
      e = this.addRead(Op.wake, flags, queue, () => flags);
    }
    const state = this.g.value[e]!;
    this.#queueHalf(Op.wake, queue, this.futexes.wake(state, count));
    return Math.min(count, this.futexes.sleepers(state).length) + (this.#loop?.end(address) ?? 0);
  }

  /** A look at the clock is an event where it may have gone on: how far is a choice, and none is the canonical one. */
  now(): number {
    if (this.stopped) this.halt();
    const { clock } = this;
    if (clock.length === 0) return this.time;
    if (!this.feedAgain(Op.now)) {
      const isNew = this.atFrontier();
      this.choose(Op.now, clock.length + 1, isNew ? this.decide(clock.length + 1) : 0);
      if (isNew) this.moveClock(this.g.lastOf(this.t));
    }
    return this.time;
  }

  /** Every other thread may run here anyway. */
  ndelay(): void {}

  /** The death of the running thread: it leaves the queue that it sleeps on, and its death certificate is written. */
  protected die(): never {
    if (this.#asleepOn >= 0) this.#vacate(this.#asleepOn, this.#sleeper);
    const loop = this.#loop;
    if (loop !== null) for (const { queue, sleeper } of [...loop.known, ...loop.ghosts]) this.#vacate(queue, sleeper);
    const certificate = this.memory.location(this.memory.deathOf(this.t));
    if (this.atFrontier()) this.addWrite(Op.death, WRITE | RELEASE | HIDDEN, certificate, 1);
    else this.recorded(Op.death, certificate);
    return this.stopAs(Stop.dead);
  }

  /** The dead thread does not stand in a queue. */
  #vacate(queue: number, sleeper: number): void {
    const flags = READ | RMW | ACQUIRE | HIDDEN;
    const isNew = this.atFrontier();
    const e = isNew ? this.addRead(Op.death, flags, queue, () => flags) : this.recorded(Op.death, queue);
    this.#leaveQueue(Op.death, queue, sleeper, e);
  }

  /** A reaper's first step: it runs once `thread` is dead. */
  awaitDeath(thread: number): void {
    const certificate = this.memory.location(this.memory.deathOf(thread));
    this.awaitValue(Op.reap, certificate, READ | AWAIT | ACQUIRE | HIDDEN, isSet, 0);
  }
}

const isSet = (value: number) => value !== 0;
