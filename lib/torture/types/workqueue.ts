/**
 * An ordered workqueue as a lock: who wants in queues an item that lets it in, and ends when it has gone out again. Two
 * that run at once are two inside. In front of each such item the thread queues one that checks the order.
 *
 * Besides, each thread has ticks in a second queue, of high priority, whose workers are killed by some of them. Each must run
 * once, none beside more than `maxActive` others, and each comes back: done, given up, or failed because its worker died.
 */
import type { Arena } from '../../arena/arena.ts';
import { ENDED, FAILED, KthreadRecord, RUNNING, records } from '../../arena/kthread-record.ts';
import { count } from '../../debug/reports/figures.ts';
import { HoldfastError } from '../../errors.ts';
import { Completion } from '../../locking/completion.ts';
import { maxThreads, Slot } from '../../sched/slot.ts';
import { FREE_RECORD, IDLE, WorkerRecord } from '../../workqueue/layout.ts';
import { workersOf } from '../../workqueue/objects.ts';
import { submitterOf } from '../../workqueue/submitters.ts';
import { Workqueue } from '../../workqueue/workqueue.ts';
import { type LockType, SLEEPING, type View } from '../lock-type.ts';
import { Violation } from '../section.ts';
import { Counters, Desk, items, NOBODY, QUEUED, TICKS, TICKS_ACTIVE } from '../work-items.ts';

/** Threads of each of the two pools, at most. */
const WORKERS = 5;
/** One tick in so many kills its worker, one in so many is given up. */
const DEADLY = 500;
const UNWANTED = 7;
/** How long a thread that waits for its turn sleeps until it looks again, ns. */
export const LOOK = 100e6;

export const workqueue = workqueueType('workqueue', 'Workqueue: an ordered queue that lets one in after the other', 1);

/** `maxActive`: of the queue that is to let in one at a time. */
export function workqueueType(name: string, summary: string, maxActive: number): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isRobust: false,
    isAsync: false,
    hasTry: false,
    hasTimeouts: false,
    longHold: 500,
    systemThreads: 2 * WORKERS,
    create(arena) {
      const words = Counters.words + maxThreads(arena.cpu) * Desk.words;
      const counters = arena.alloc(words);
      for (let word = 0; word < words; word++) arena.cpu.write(counters + word, 0);
      Workqueue.configure(arena, { slots: 2, maxWorkers: WORKERS });
      new Completion(arena, NOBODY);
      awaitWorkers(arena, counters, maxActive);
      return counters;
    },
    open: (arena, counters) => viewOf(arena, counters as number, maxActive),
  };
}

/** Whether all workers that there are to be sleep: one that starts takes memory while the heap is looked at. */
export function isAtRest({ cpu, heap }: Arena): boolean {
  const objects = heap.objects();
  const threads = records(cpu, objects).filter((record) => cpu.read(record + KthreadRecord.ownThread) === 1);
  const states = workersOf(cpu, objects).map((worker) => cpu.read(worker + WorkerRecord.state));
  return (
    threads.every((record) => [RUNNING, ENDED, FAILED].includes(cpu.load(record + KthreadRecord.state))) &&
    states.every((state) => state === IDLE || state === FREE_RECORD) &&
    states.filter((state) => state === IDLE).length ===
      threads.filter((record) => cpu.load(record + KthreadRecord.state) === RUNNING).length
  );
}

function queuesOf(arena: Arena, maxActive: number): { turns: Workqueue; ticks: Workqueue } {
  return {
    turns: new Workqueue(arena, 'torture', { maxActive }),
    ticks: new Workqueue(arena, 'torture ticks', { maxActive: TICKS_ACTIVE, highpri: true }),
  };
}

/** Workers take long to start: the run begins when there is one of each kind. */
function awaitWorkers(arena: Arena, counters: number, maxActive: number): void {
  const { turns, ticks } = queuesOf(arena, maxActive);
  for (const queue of [turns, ticks]) void queue.run(items.started, counters);
  submitterOf(arena).publish();
  const { cpu } = arena;
  const started = counters + Counters.started;
  for (let n = cpu.load(started); n < 2; n = cpu.load(started)) cpu.wait(started, n, cpu.now() + LOOK);
}

function viewOf(arena: Arena, counters: number, maxActive: number): View {
  const { cpu, thread } = arena;
  const { turns, ticks } = queuesOf(arena, maxActive);
  const submitter = submitterOf(arena);
  const desk = counters + Counters.words + thread.number * Desk.words;
  const word = desk + Desk.turn;
  const me = cpu.load(thread.slot + Slot.life);
  let violation: string | undefined;

  const next = (field: number) => {
    const number = (cpu.load(desk + field) + 1) & 0xfffffff;
    cpu.store(desk + field, number);
    return number;
  };
  const failed = (error: unknown) => {
    violation ??= error instanceof Error ? error.message : String(error);
  };

  const out = new Set<number>();
  const tick = () => {
    const at = Array.from({ length: TICKS }, (_, i) => i).find((i) => !out.has(i));
    if (at === undefined) return;
    const which = next(Desk.lastTick);
    const state = desk + Desk.ticks + at;
    cpu.store(state, (which << 2) | QUEUED);
    out.add(at);
    const control = new AbortController();
    const call = ticks.runWith(
      { signal: control.signal },
      ...([items.tick, counters, state, which, which % DEADLY === 0] as const),
    );
    // It may run still, or not: then it finds another one's word.
    if (which % UNWANTED === 0) setImmediate(() => control.abort());
    call.then(
      () => {
        if (cpu.load(state) === ((which << 2) | QUEUED)) failed(`tick ${which} has ended and never ran`);
        out.delete(at);
      },
      (error) => {
        const isDeath = error instanceof HoldfastError && error.code === 'EOWNERDEAD';
        if (!isDeath && error !== control.signal.reason) failed(error);
        out.delete(at);
      },
    );
  };

  return {
    lock() {
      if (violation !== undefined) throw new Violation(violation);
      if (out.size < TICKS) tick();
      turns.run(items.note, desk, next(Desk.lastNote)).catch(failed);
      const turn = next(Desk.lastTurn);
      cpu.store(word, turn << 1);
      turns.run(items.admit, desk, turn, me).catch(failed);
      submitter.publish();
      while (cpu.load(word) === turn << 1) cpu.wait(word, turn << 1, cpu.now() + LOOK);
      return true;
    },
    unlock() {
      cpu.store(word, 0);
      cpu.wake(word, 1);
    },
    ownerDied: false,
    makeConsistent: () => {},
    notes() {
      const of = (field: number) => count(cpu.load(counters + field));
      return [`${of(Counters.ticks)} ticks ran, ${of(Counters.deaths)} of them killed their worker`];
    },
    destroy() {
      // The items of threads that have ended run still.
      for (const queue of [turns, ticks]) {
        while (queue.counts.active + queue.counts.inactive > 0) cpu.wait(word, cpu.load(word), cpu.now() + 1e6);
      }
      while (!isAtRest(arena)) cpu.wait(word, cpu.load(word), cpu.now() + 1e6);
      new Completion(arena, NOBODY).destroy();
      arena.free(counters);
    },
  };
}
