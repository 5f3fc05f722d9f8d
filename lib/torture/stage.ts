/**
 * The shared memory of one run: an arena of its own, the lock under test in it, and the words of `words.ts`. Made by the
 * director, which also looks at everything again when the threads have gone.
 */
import type { RecordableHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Arena } from '../arena/arena.ts';
import { kthreaddOf } from '../arena/kthreadd.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import { openFutexes } from '../futex/open.ts';
import { countPiStates } from '../futex/pi-state.ts';
import { Mutex } from '../locking/mutex.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import { Rcu } from '../rcu/rcu.ts';
import { RcuQsbr } from '../rcu/rcu-qsbr.ts';
import { TasksRcu } from '../rcu/tasks-rcu.ts';
import { maxThreads, retiredChunks, Slot, slotAddress } from '../sched/slot.ts';
import { Task } from '../sched/task.ts';
import { TIMER_KIND, TimerWords } from '../sched/timer.ts';
import { Tick } from '../vdso/updater.ts';
import { openVvar } from '../vdso/vvar.ts';
import { countStanding, isWorker } from '../workqueue/objects.ts';
import { churnName } from './actor.ts';
import { durations } from './histograms.ts';
import type { LockType, View } from './lock-type.ts';
import { formatStage, Section } from './section.ts';
import { ACTORS, Seat, Stage, sceneOf, seatAddress, stageWords } from './words.ts';

/** How long the dead may take to be reaped once nothing runs any more, ms. */
const REAPING_MS = 5000;

export class RunStage {
  readonly arena: Arena;
  readonly cpu: Cpu;
  readonly type: LockType;
  readonly lock: unknown;
  readonly address: number;
  readonly threads: number;
  readonly waits: readonly RecordableHistogram[];
  readonly holds: readonly RecordableHistogram[];
  readonly violations: string[] = [];
  notes: readonly string[] = [];
  readonly #blocks: number;
  readonly #view: View;

  constructor(type: LockType, threads: number) {
    // A seat's next worker may come before the reaper has dealt with the last one.
    const maxThreads = 2 * threads + 2 + (type.systemThreads ?? 0);
    this.arena = Arena.create({ bytes: type.bytes ?? 4 << 20, maxThreads });
    this.cpu = this.arena.cpu;
    this.type = type;
    this.threads = threads;
    // What stays with an arena is no leak.
    openFutexes(this.arena);
    for (const Flavour of [Rcu, RcuQsbr, TasksRcu]) new Flavour(this.arena);
    new Tick(this.arena, openVvar(this.arena.objects));
    this.#blocks = this.arena.use().blocks - countStanding(this.arena);
    this.address = this.arena.alloc(stageWords(this.seats));
    formatStage(this.cpu, this.address, stageWords(this.seats));
    this.lock = type.create(this.arena, sceneOf(this.address, this.seats));
    this.#view = type.open(this.arena, this.lock);
    this.waits = Array.from({ length: threads }, durations);
    this.holds = Array.from({ length: threads }, durations);
  }

  /** The last seat is the director's own, for its look at the end. */
  get seats(): number {
    return this.threads + 1;
  }

  seatWord(seat: number, word: number): number {
    return this.cpu.load(seatAddress(this.address, seat) + word);
  }

  sum(word: number): number {
    let sum = 0;
    for (let seat = 0; seat < this.threads; seat++) sum += this.seatWord(seat, word);
    return sum;
  }

  acquisitionsOf(seat: number): number {
    return this.seatWord(seat, Seat.writes) + this.seatWord(seat, Seat.reads);
  }

  /** Whether a seat's threads have had the lock, and have made as many decisions as its outcome tells of. */
  hasPerformed(seat: number): boolean {
    return this.acquisitionsOf(seat) > 0 && this.seatWord(seat, Seat.decisions) !== 0;
  }

  get isStopped(): boolean {
    return this.cpu.load(this.address + Stage.stop) !== 0;
  }

  stop(): void {
    this.cpu.store(this.address + Stage.stop, 1);
  }

  /** A worker has died: its slot says so, whether or not the reaper has finished with it. */
  afterDeath(): void {
    this.#view.afterDeath?.();
  }

  /** The lock broke a promise: the run is over. */
  fail(violation: string): void {
    this.violations.push(violation);
    this.stop();
  }

  /** All threads have ended: nothing may be held, waited for, torn or leaked. */
  async inspect(): Promise<void> {
    if (!(await this.#isReaped()))
      return this.fail(`the reaper never finished with the dead threads: ${this.describe()}`);
    const { arena, type, cpu, threads } = this;
    try {
      const view = this.#view;
      cpu.store(seatAddress(this.address, threads) + Seat.incarnation, 1);
      const isMine = view.tryLock?.('write') ?? view.lock('write', undefined);
      if (!isMine) return this.fail('all threads have ended, but the lock cannot be had');
      this.notes = view.notes?.() ?? [];
      for (const _ of new Section(cpu, this.address, this.seats, threads, view, type.isRobust).write());
      view.unlock('write');
      view.destroy();
      for (let seat = 0; seat < threads; seat++) {
        for (let actor = 0; actor < ACTORS; actor++) new Mutex(arena, churnName(seat, actor)).destroy();
      }
      arena.free(this.address);
      // What was destroyed is freed when somebody looks who may have views of it still: workers, if there are any.
      arena.objects.makeRoom();
      // Nobody is to be stopped any more, and the word that says so has been given back.
      const leaked = this.#leakedBlocks();
      if (leaked !== 0) this.violations.push(`${leaked} blocks of the heap leaked`);
      this.violations.push(...arena.fsck());
      arena.detach();
    } catch (error) {
      this.fail(`at the end: ${(error as Error).message}`);
    }
  }

  /** The lock's words and the threads' states, for whoever looks into a violation. */
  describe(): string {
    const { arena, cpu } = this;
    const slots: string[] = [];
    for (let number = 0; number < maxThreads(cpu); number++) {
      const slot = slotAddress(cpu, number);
      const life = cpu.load(slot + Slot.life);
      if (life === 0) continue;
      const task = slot + Slot.mainTask;
      slots.push(`cpu ${number} life ${life} task ${task} state ${cpu.load(task + Task.state)}`);
    }
    const objects = addressesIn(this.lock).map(
      (address) => `lock ${address}: [${arena.words.slice(address, address + 16).join(' ')}]`,
    );
    return [...objects, ...slots].join('; ');
  }

  async #isReaped(): Promise<boolean> {
    const { cpu, arena } = this;
    // kthreadd stays with the arena, and so do workers; it may have been asked for by a timer.
    const isGone = (number: number) =>
      number === arena.thread.number ||
      number + 1 === kthreaddOf(cpu) ||
      isWorker(arena, number + 1) ||
      cpu.load(slotAddress(cpu, number) + Slot.life) === 0;
    for (let waited = 0; waited < REAPING_MS; waited++) {
      if (Array.from({ length: maxThreads(cpu) }, (_, i) => i).every(isGone)) return true;
      await delay(1);
    }
    return false;
  }

  /** Workers free what was destroyed as they find that they have no views of it: all that is counted is of one moment. */
  #leakedBlocks(): number {
    const { arena, cpu } = this;
    let [destroyed, leaked] = [-1, 0];
    while (destroyed !== cpu.load(Header.destroyedCount)) {
      destroyed = cpu.load(Header.destroyedCount);
      leaked = arena.use().blocks - this.#blocks - this.#keptBlocks() - destroyed;
    }
    return leaked;
  }

  /**
   * Blocks that are kept for use again: the slots' tasks of asynchronous acquisitions, states of PI futexes, work items. And
   * timers of works that were destroyed, and that a worker may have views of: they go with the work.
   */
  #keptBlocks(): number {
    const { cpu, heap } = this.arena;
    const isDead = (timer: number) => !isPresent(cpu, cpu.load(timer + TimerWords.data));
    const timers = heap.objects().filter((object) => cpu.read(object + ObjectHeader.kind) === TIMER_KIND.id);
    let kept = countPiStates(openFutexes(this.arena)) + countStanding(this.arena) + timers.filter(isDead).length;
    for (let number = 0; number < maxThreads(cpu); number++) {
      const slot = slotAddress(cpu, number);
      // Where a thread died between two steps of retiring a chunk, that is in both chains.
      const chunks = new Set(retiredChunks(cpu, slot));
      for (let chunk = cpu.load(slot + Slot.chunks); chunk !== 0; chunk = cpu.read(chunk)) chunks.add(chunk);
      kept += chunks.size;
    }
    return kept;
  }
}

/** Where the objects are that a type's handle leads to. */
function addressesIn(handle: unknown): number[] {
  if (typeof handle === 'number') return [handle];
  const { address } = handle as Partial<ObjectHandle>;
  if (address !== undefined) return [address];
  return Object.values(handle as object).flatMap(addressesIn);
}
