/**
 * A work as a lock: who wants in says so and queues the work, which lets in all that want, one after the other. It never runs on two
 * workers at once, so there is one inside. A queueing that is lost leaves its thread waiting: `queue_work` says false only where
 * the run that is pending will see what the caller has written before.
 *
 * Besides, each thread queues, delays, cancels and flushes a work of its own, which must run as often as it was queued and
 * not cancelled.
 */
import type { Arena } from '../../arena/arena.ts';
import { count } from '../../debug/reports/figures.ts';
import { maxThreads, Slot } from '../../sched/slot.ts';
import { submitterOf } from '../../workqueue/submitters.ts';
import { DelayedWork } from '../../workqueue/work-item.ts';
import { Workqueue } from '../../workqueue/workqueue.ts';
import { type LockType, SLEEPING, type View } from '../lock-type.ts';
import { Violation } from '../section.ts';
import { Counters, Desk, items } from '../work-items.ts';
import { isAtRest, LOOK } from './workqueue.ts';

/** Threads of the pool, at most. */
const WORKERS = 5;
/** After how long a delayed work is queued, ms. */
const DELAY = 0.3;

export const work = workType('work', 'Work: one that lets in whoever wants in, one after the other', false);

/** `isMany`: each thread queues a work of its own where all should queue the same. */
export function workType(name: string, summary: string, isMany: boolean): LockType {
  return {
    ...SLEEPING,
    name,
    summary,
    isRobust: false,
    isAsync: false,
    hasTry: false,
    hasTimeouts: false,
    longHold: 500,
    systemThreads: WORKERS,
    create(arena) {
      const words = Counters.words + maxThreads(arena.cpu) * Desk.words;
      const counters = arena.alloc(words);
      for (let word = 0; word < words; word++) arena.cpu.write(counters + word, 0);
      Workqueue.configure(arena, { slots: 2, maxWorkers: WORKERS });
      // Workers take long to start: the run begins when there is one, and all works are there.
      for (let number = 0; number < maxThreads(arena.cpu); number++) worksOf(arena, counters, number, isMany);
      void new Workqueue(arena, 'torture').run(items.started, counters);
      submitterOf(arena).publish();
      const started = counters + Counters.started;
      while (arena.cpu.load(started) === 0) arena.cpu.wait(started, 0, arena.cpu.now() + LOOK);
      return counters;
    },
    open: (arena, counters) => viewOf(arena, counters as number, isMany),
  };
}

function worksOf(arena: Arena, counters: number, number: number, isMany: boolean) {
  return {
    admit: new DelayedWork(arena, isMany ? `torture admit ${number}` : 'torture admit', items.admitAll, counters),
    own: new DelayedWork(arena, `torture own ${number}`, items.own, counters + Counters.words + number * Desk.words),
  };
}

function viewOf(arena: Arena, counters: number, isMany: boolean): View {
  const { cpu, thread } = arena;
  const wq = new Workqueue(arena, 'torture');
  const { admit, own } = worksOf(arena, counters, thread.number, isMany);
  const desk = counters + Counters.words + thread.number * Desk.words;
  const word = desk + Desk.turn;
  // What the thread before this one wanted, nobody wants any more.
  cpu.store(word, 0);
  cpu.store(desk + Desk.life, cpu.load(thread.slot + Slot.life));
  let calls = 0;

  const owe = (by: number, act: () => boolean) => {
    cpu.store(desk + Desk.unsure, 1);
    if (act()) cpu.store(desk + Desk.owed, cpu.load(desk + Desk.owed) + by);
    cpu.store(desk + Desk.unsure, 0);
  };
  /** All that was queued has run, and no more. */
  const settle = () => {
    own.flushDelayedWork();
    const [owed, ran] = [cpu.load(desk + Desk.owed), cpu.load(desk + Desk.own)];
    if (owed !== ran) throw new Violation(`a work ran ${ran} times, and was queued and not cancelled ${owed} times`);
  };
  // The thread before this one may have died between what it did and the account of that.
  own.flushDelayedWork();
  if (cpu.load(desk + Desk.unsure) === 1) {
    cpu.store(desk + Desk.owed, cpu.load(desk + Desk.own));
    cpu.store(desk + Desk.unsure, 0);
  }

  const toil = () => {
    const which = calls++ % 8;
    if (which < 3) owe(1, () => wq.queueWork(own));
    else if (which === 3) owe(-1, () => own.cancelWork());
    else if (which === 4) owe(1, () => wq.queueDelayedWork(own, DELAY));
    else if (which === 5) owe(1, () => !wq.modDelayedWork(own, calls % 16 < 8 ? 0 : DELAY));
    else if (which === 6) owe(-1, () => own.cancelWorkSync());
    else settle();
  };

  return {
    lock() {
      toil();
      const turn = (cpu.load(desk + Desk.lastTurn) + 1) & 0xfffffff;
      cpu.store(desk + Desk.lastTurn, turn);
      cpu.store(word, turn << 1);
      if (calls % 3 === 0) wq.queueDelayedWork(admit, DELAY);
      else if (calls % 3 === 1) wq.modDelayedWork(admit, 0);
      else wq.queueWork(admit);
      while (cpu.load(word) === turn << 1) cpu.wait(word, turn << 1, cpu.now() + LOOK);
      return true;
    },
    unlock() {
      cpu.store(word, 0);
      cpu.wake(word, 1);
    },
    ownerDied: false,
    makeConsistent: () => {},
    notes: () => [`the work ran ${count(admit.runs)} times`],
    destroy() {
      for (let number = 0; number < maxThreads(cpu); number++) {
        const works = worksOf(arena, counters, number, isMany);
        for (const each of [works.admit, works.own]) {
          each.disableWork();
          // The items of threads that have ended run still.
          while (each.workBusy.running) cpu.wait(word, cpu.load(word), cpu.now() + 1e6);
        }
      }
      while (!isAtRest(arena)) cpu.wait(word, cpu.load(word), cpu.now() + 1e6);
      for (let number = 0; number < maxThreads(cpu); number++) {
        const { admit: shared, own: mine } = worksOf(arena, counters, number, isMany);
        mine.destroy();
        if (isMany || number === maxThreads(cpu) - 1) shared.destroy();
      }
      arena.free(counters);
    },
  };
}
