/**
 * How kthreadd comes to be: a worker of the thread that made the arena, since a worker ends with its parent. So a thread
 * that wants kthreadd, and finds none, rings that thread: on its event loop, or where it sleeps in a synchronous call.
 * `new Worker` needs no event loop, so the thread makes kthreadd and sleeps on. Where it is gone, the caller makes kthreadd itself;
 * and so does any thread that has waited for a while and finds that there is still none, because the thread that made the
 * arena may compute for a long time.
 */
import type { Worker } from 'node:worker_threads';
import { setTimeout } from '../machine/host.ts';
import { Header } from '../memory/header.ts';
import { Slot, slotAddress, threadOf } from '../sched/slot.ts';
import { Task } from '../sched/task.ts';
import { DETACHED } from '../sched/thread.ts';
import {
  isRunning,
  Kthreadd,
  makingBy,
  NO_ENTRY,
  type Premises,
  ringKthreadd,
  type SystemThreadData,
} from './kthreadd.ts';
import { report, spawnWorker, workerEntryIfThere } from './spawn.ts';

/** How long the thread that made the arena may take to make kthreadd before another thread does, ms. */
const PATIENCE_MS = 100;
/** Workers that end before they are kthreadd, one after the other, until their parent gives up. */
const MOST_ATTEMPTS = 3;

export class KthreaddParent {
  readonly #arena: Premises & { view(): object };
  #attempts = 0;

  constructor(arena: Premises & { view(): object }) {
    this.#arena = arena;
  }

  /** There is something for kthreadd, in shared memory: it is rung, or made. */
  request(): void {
    const { cpu } = this.#arena;
    // Pairs with the exchange in `Kthreadd.begin`: see the picture in kthreadd.ts.
    cpu.xchg(Header.kthreaddWanted, 1);
    const kthreadd = cpu.load(Header.kthreadd);
    if (isRunning(kthreadd)) ringKthreadd(cpu);
    if (kthreadd === 0) this.#ask();
  }

  /** After a wait, or a death: kthreadd is made here if something is asked of it and nobody makes it. */
  look(): void {
    const { cpu, thread } = this.#arena;
    const isWanted = cpu.load(Header.kthreaddWanted) === 1 && cpu.load(Header.kthreadd) === 0;
    if (isWanted && thread.self !== DETACHED) this.#make();
  }

  /** The thread that made the arena makes kthreadd; or the calling one, if that is it, or it is gone. */
  #ask(): void {
    const { cpu, thread } = this.#arena;
    const slot = slotAddress(cpu, 0);
    const life = cpu.load(slot + Slot.life);
    const isGone = life <= 0 || threadOf(life) !== cpu.load(Header.creator);
    if (isGone || thread.number === 0) {
      this.#make();
      return;
    }
    cpu.fetchAdd(Header.creatorRing, 1);
    cpu.wake(Header.creatorRing, 1);
    // It may sleep in a synchronous call, for anything: its task's word stays as it is.
    cpu.wake(slot + Slot.mainTask + Task.state, 1);
    setTimeout(() => this.look(), PATIENCE_MS).unref();
  }

  #make(): void {
    const { cpu, thread, handle } = this.#arena;
    const mine = makingBy(thread.id);
    if (cpu.cmpxchg(Header.kthreadd, 0, mine) !== 0) return;
    const entry = workerEntryIfThere('kthreadd');
    if (entry === undefined) {
      this.#beKthreadd(mine);
      return;
    }
    const workerData: SystemThreadData = { arena: handle, maker: mine };
    let worker: Worker;
    try {
      worker = spawnWorker(entry, { name: 'kthreadd', workerData });
    } catch (error) {
      // Slow paths come by here, and their waits go on: the next stall tries again.
      report(`kthreadd could not be started: ${(error as Error)?.stack ?? error}`);
      cpu.cmpxchg(Header.kthreadd, mine, 0);
      return;
    }
    worker.unref();
    this.#arena.watch(worker);
    worker.once('exit', () => this.#ended(mine));
  }

  /** The worker has ended. If it was kthreadd by then, the reaper says so; otherwise it is made again, some times. */
  #ended(mine: number): void {
    const { cpu } = this.#arena;
    if (cpu.load(Header.kthreadd) !== mine) {
      this.#attempts = 0;
      return;
    }
    if (++this.#attempts === MOST_ATTEMPTS) {
      report(`kthreadd ended ${MOST_ATTEMPTS} times before it began: this arena has no system tasks`);
      return;
    }
    if (cpu.cmpxchg(Header.kthreadd, mine, 0) === mine) this.look();
  }

  /** The application is a bundle that has left the thread's entry behind: the calling thread's event loop has to do. */
  #beKthreadd(mine: number): void {
    process.emitWarning(
      `system tasks run on this thread, and stand still while it blocks, those that need a thread fail: ${NO_ENTRY}`,
      { type: 'HoldfastWarning', code: 'HOLDFAST_NO_KTHREADD' },
    );
    const kthreadd = new Kthreadd(this.#arena.view() as Premises);
    if (kthreadd.begin(mine)) void kthreadd.serve();
  }
}
