import type { Arena } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import { afterStretch } from '../sched/event-loop.ts';
import type { SleepHook } from '../sched/hooks.ts';
import { defineDomain, RcuDomain } from './domain.ts';
import { INSIDE } from './grace-period.ts';
import { GEOMETRY } from './layout.ts';
import { enter, type Readers, SYNC } from './reader.ts';

const KIND = defineDomain('rcu-tasks', true, GEOMETRY, true);

/**
 * RCU without readers' calls: whatever a thread does between two points at which it sleeps voluntarily, or its stack is empty,
 * is one reader. So what threads use without saying so, such as the words behind a table of functions that is exchanged
 * while they run, may be freed after a grace period. An arena has one.
 *
 * Threads take part from when they open it. `synchronize` waits until each has slept in a call of the library (a lock, a
 * completion: anything that other threads end), or has come back to its event loop, or has called `quiescent()`. What asynchronous
 * code keeps across an `await` is not protected; `kfree`, `call` and `pollState` are no quiescent states of the caller.
 *
 * Cost: threads pay with each sleep, an exchange and a store. A period rings every thread that is not asleep in a call of
 * the library, those that are idle in their event loops included: some 50 us. A thread that computes without end holds up every
 * period, and its stall warning says so.
 *
 * Fairness and death: as with `Rcu`.
 *
 * Source: kernel/rcu/tasks.h. Its readers of the trace flavour, which say where they begin and may sleep, are those of `Srcu`;
 * what its rude flavour does, a context switch forced on every CPU, is what the ring does here.
 */
export class TasksRcu extends RcuDomain {
  readonly #attendance: Attendance;

  constructor(arena: Arena) {
    super(KIND, arena, 'holdfast.rcu-tasks');
    this.#attendance = attendanceOf(this.readers);
  }

  /**
   * For a thread that does not return to its event loop: nothing that it has found before is used any more. A period that waits
   * for the thread need not. `cond_resched_tasks_rcu_qs`. Throws EINVAL after `arena.detach()`.
   */
  quiescent(): void {
    this.current();
    this.#attendance.presence.quiescent();
  }

  protected override get hasReaders(): boolean {
    return false;
  }

  protected override get shown(): string {
    return 'TasksRcu()';
  }
}

/** The thread's part in shared memory: one that runs is INSIDE its SYNC lane, one that sleeps voluntarily is not. */
export class Presence implements SleepHook {
  readonly #readers: Readers;

  constructor(readers: Readers) {
    this.#readers = readers;
    this.running();
  }

  sleeping(): void {
    this.#readers.exit(SYNC);
  }

  running(): void {
    enter(this.#readers.cpu, this.#readers.sync);
  }

  /** Nothing that the thread has found before is in use. Nothing to do where no period waits for it. */
  quiescent(): void {
    if (this.#readers.cpu.loadUnordered(this.#readers.sync) === INSIDE) return;
    this.sleeping();
    this.running();
  }
}

/** The thread's part on its event loop: each turn after a ring is a quiescent state. */
class Attendance {
  readonly presence: Presence;
  readonly #cpu: Cpu;
  readonly #lane: number;
  #hasLeft = false;

  constructor(readers: Readers) {
    this.presence = new Presence(readers);
    this.#cpu = readers.cpu;
    this.#lane = readers.sync;
    const { hooks, ends } = readers.thread;
    hooks.add(this.presence);
    ends.add(() => this.#leave());
    afterStretch(this.#turn);
  }

  /** The stack is empty: nothing is in use. The next turn comes when a period waits for this thread. */
  readonly #turn = () => {
    if (this.#hasLeft) return;
    this.presence.quiescent();
    const ring = this.#cpu.waitAsync(this.#lane, INSIDE, Number.POSITIVE_INFINITY);
    if (typeof ring === 'string') afterStretch(this.#turn);
    else void ring.then(this.#turn);
  };

  /** The wait ends, so that nothing keeps the arena's memory. */
  #leave(): void {
    this.#hasLeft = true;
    this.#cpu.wake(this.#lane, Number.POSITIVE_INFINITY);
  }
}

const known = new WeakMap<Readers, Attendance>();

/** The same for all views of the domain on the calling thread. */
function attendanceOf(readers: Readers): Attendance {
  let attendance = known.get(readers);
  if (attendance === undefined) known.set(readers, (attendance = new Attendance(readers)));
  return attendance;
}
