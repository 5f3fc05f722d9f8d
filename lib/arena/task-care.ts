/**
 * A thread's part in giving the memory of tasks back to the heap: it looks now and then which chunks of its own are not needed
 * any more, rings the other threads for a round (`sched/rounds.ts`), and tells theirs when it is rung.
 *
 * It tells where it has no address of another thread's task: in a turn of its own on the event loop; where its synchronous code
 * sleeps voluntarily, when that begins and when it is rung there; and where it is rung on a word that it rests on
 * (`Thread.restOn`). Illegal to tell within a latch's or a spinner's sleep, or in what runs inside a sleep: those are in the middle of
 * a call.
 */
import { setTimeout } from '../machine/host.ts';
import type { RealCpu } from '../machine/real.ts';
import type { Heap } from '../memory/heap.ts';
import { ringForRound, tellRound } from '../sched/rounds.ts';
import { Slot } from '../sched/slot.ts';
import { Task } from '../sched/task.ts';
import { DETACHED, type Thread } from '../sched/thread.ts';

/** How long tasks have to be free before they go back to the heap, ms; then twice as long after each look in vain, up to the longest. */
const LOOK_MS = 50;
const LONGEST_LOOK_MS = 6400;

export class TaskCare {
  readonly #cpu: RealCpu;
  readonly #thread: Thread;
  readonly #heap: Heap;
  readonly #state: number;
  readonly #bell: number;
  #isAsleep = false;
  #timer: NodeJS.Timeout | undefined;
  #interval = LOOK_MS;

  constructor(cpu: RealCpu, thread: Thread, heap: Heap) {
    this.#cpu = cpu;
    this.#thread = thread;
    this.#heap = heap;
    this.#state = thread.slot + Slot.mainTask + Task.state;
    this.#bell = thread.slot + Slot.bell;
  }

  /** The thread has attached. */
  start(): void {
    const { hooks, ends, tasks } = this.#thread;
    hooks.add({
      sleeping: () => {
        tellRound(this.#cpu, this.#thread.slot);
        this.#isAsleep = true;
      },
      running: () => {
        this.#isAsleep = false;
      },
    });
    // So that nothing keeps the arena's memory.
    ends.add(() => this.#cpu.wake(this.#bell, Number.POSITIVE_INFINITY));
    tasks.onGrown = () => this.#plan();
    if (tasks.isLarge) this.#plan();
    this.#turn();
  }

  /** A sleep of the thread on that word has ended, and the word is as it was. */
  rung(address: number): void {
    const isAtRest = address === this.#thread.restsAt || (this.#isAsleep && address === this.#state);
    if (isAtRest) tellRound(this.#cpu, this.#thread.slot);
  }

  readonly #turn = (): void => {
    while (this.#thread.self !== DETACHED) {
      // Before the round is read: a ring after that finds another word here, and ends the wait.
      const bell = this.#cpu.load(this.#bell);
      tellRound(this.#cpu, this.#thread.slot);
      const ring = this.#cpu.waitAsync(this.#bell, bell, Number.POSITIVE_INFINITY);
      if (typeof ring === 'string') continue;
      void ring.then(this.#turn);
      return;
    }
  };

  #plan(interval = LOOK_MS): void {
    this.#interval = interval;
    this.#timer ??= setTimeout(this.#look, interval).unref();
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const { self, tasks, id } = this.#thread;
    if (self === DETACHED) return;
    const { size } = tasks;
    const round = tasks.tidy(this.#heap);
    if (round !== 0) ringForRound(this.#cpu, round, id, this.#ring);
    if (tasks.size !== size) this.#plan();
    else if (round !== 0 || tasks.isLarge) this.#plan(Math.min(2 * this.#interval, LONGEST_LOOK_MS));
  };

  readonly #ring = (slot: number): void => {
    const cpu = this.#cpu;
    cpu.fetchAdd(slot + Slot.bell, 1);
    cpu.wake(slot + Slot.bell, Number.POSITIVE_INFINITY);
    // One that sleeps in a synchronous call.
    cpu.wake(slot + Slot.mainTask + Task.state, 1);
    // A worker of a workqueue that has nothing to do.
    const restsAt = cpu.load(slot + Slot.restsAt);
    if (restsAt !== 0) cpu.wake(restsAt, 1);
  };
}
