/**
 * A pool whose only worker sleeps in an item, and a queue with a rescuer, whose first item ends that sleep: thread 0 is kthreadd,
 * whose timer fires, thread 1 the worker, thread 2 the rescuer. Nothing here has a timeout: an item for which nobody is called,
 * a rescuer that is not woken, shows as a deadlock.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { pvWait } from '../../../../lib/sched/schedule.ts';
import { finishPark, prepareToPark, unpark } from '../../../../lib/sched/task.ts';
import { expireTimer, timerFired } from '../../../../lib/sched/timer.ts';
import {
  DONE,
  Item,
  itemAt,
  LOST,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  pwqAt,
  Root,
  workerAt,
} from '../../../../lib/workqueue/layout.ts';
import { MEM_RECLAIM } from '../../../../lib/workqueue/options.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { attachRescuer, rescue as rescueNext } from '../../../../lib/workqueue/pool-care.ts';
import { calls } from '../../../../lib/workqueue/rescuer.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeQueues } from '../../../workqueue/needy.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';

const ARENA_WORDS = 12_288;
const [WORKER, RESCUER] = [1, 2] as const;
const THREADS = 3;
/** The item in which the worker sleeps; the first that needs a rescuer opens the gate. */
const [SLEEP, OPEN] = [0, 1] as const;

interface Shared extends View {
  root: number;
  pool: number;
  wq: number;
  slab: number;
  tasks: readonly number[];
  gate: number;
  stop: number;
  ran: number;
}

/** `rescued`: how many items wait for a worker. */
export function rescue(rescued: number, deaths = 1): Program {
  const items = Array.from({ length: rescued + 1 }, (_, i) => i);
  const item = ({ slab }: Shared, i: number) => itemAt(slab, i);
  const view = ({ cpu, thread }: Arena, { pool }: Shared) => new WorkerPool(cpu, pool, thread.id, () => {});
  const phase = (cpu: Cpu, shared: Shared, i: number) => cpu.loadAcquire(item(shared, i) + Item.state) & PHASE;

  const endIfOver = (cpu: Cpu, shared: Shared) => {
    if (!items.every((i) => phase(cpu, shared, i) === DONE || phase(cpu, shared, i) === LOST)) return;
    cpu.xchg(shared.stop, 1);
    for (const task of shared.tasks) unpark(cpu, task);
  };
  const openGate = (cpu: Cpu, { gate }: Shared) => {
    cpu.storeRelease(gate, 1);
    cpu.wake(gate, Number.POSITIVE_INFINITY);
  };
  const run = (cpu: Cpu, shared: Shared, address: number) => {
    const which = cpu.read(address + Item.index);
    // Plain words: whoever runs the item has it for itself.
    cpu.write(shared.ran + which, cpu.read(shared.ran + which) + 1);
    if (which === OPEN) openGate(cpu, shared);
  };

  /** The timer fires, and once more if another rescuer has come meanwhile: it goes on as long as there is need. */
  const beKthreadd = (cpu: Cpu, arena: Arena, shared: Shared) => {
    const rescuer = shared.root + Root.rescuer;
    for (let before = -1; cpu.load(rescuer) !== before; ) {
      before = cpu.load(rescuer);
      const timer = expireTimer(cpu, arena.thread.id, Number.MAX_VALUE);
      if (timer === 0) return;
      view(arena, shared).tick();
      timerFired(cpu, arena.thread.id, timer);
    }
  };

  const beWorker = (cpu: Cpu, arena: Arena, shared: Shared, task: number) => {
    const pool = view(arena, shared);
    const record = workerAt(shared.pool, 0);
    for (let finished = 0; ; ) {
      finished = pool.step(record, finished);
      endIfOver(cpu, shared);
      if (finished !== 0) {
        run(cpu, shared, finished);
        continue;
      }
      do {
        if (cpu.loadAcquire(shared.stop) === 1) return;
        pvWait(cpu, task);
      } while (pool.isIdle(record));
    }
  };

  const beRescuer = (cpu: Cpu, arena: Arena, shared: Shared, task: number) => {
    const pool = view(arena, shared);
    attachRescuer(pool, task);
    cpu.store(shared.root + Root.rescuer, task);
    for (;;) {
      prepareToPark(cpu, task);
      if (cpu.loadAcquire(shared.stop) === 1) return finishPark(cpu, task);
      const [pwq] = calls(cpu, [shared.wq]);
      if (pwq === undefined) {
        pvWait(cpu, task);
        continue;
      }
      finishPark(cpu, task);
      for (let found = rescueNext(pool, pwq, 0); found !== 0; found = rescueNext(pool, pwq, found))
        run(cpu, shared, found);
      endIfOver(cpu, shared);
    }
  };

  const program: Program<Shared> = {
    words: ARENA_WORDS + 16,
    setup(cpu) {
      const made = makeArenas(cpu, THREADS, Number.POSITIVE_INFINITY, ARENA_WORDS, deaths);
      const first = made.arenas[0] as Arena;
      const { root, pool, slab, queues, pwqs } = makeQueues(first, {}, [0, MEM_RECLAIM]);
      const [wq, others, rescuable] = [queues[1], ...pwqs] as [number, number, number];
      const tasks = made.arenas.map(({ thread, heap }) => thread.takeTask(heap));
      const [gate, stop, ran] = [made.shared, made.shared + 1, made.shared + 2];
      for (let word = 0; word < 16; word++) cpu.write(made.shared + word, 0);
      const shared = { ...made, root, pool, wq, slab, tasks, gate, stop, ran };
      const [submitter, worker] = [view(first, shared), view(made.arenas[WORKER] as Arena, shared)];
      const record = workerAt(pool, 0);
      const queue = (i: number, pwq: number) => {
        cpu.write(item(shared, i) + Item.pwq, pwq);
        cpu.store(item(shared, i) + Item.state, PENDING);
        submitter.queue(item(shared, i), item(shared, i));
      };
      worker.join(record, tasks[WORKER] as number);
      queue(SLEEP, others);
      worker.step(record, 0);
      cpu.write(ran + SLEEP, 1);
      worker.sleeping(record);
      for (const i of items.slice(OPEN)) queue(i, rescuable);
      return shared;
    },
    threads: [
      (cpu, _me, shared) => beKthreadd(cpu, shared.arenas[0] as Arena, shared),
      (cpu, _me, shared) => {
        const pool = view(shared.arenas[WORKER] as Arena, shared);
        while (cpu.loadAcquire(shared.gate) === 0) cpu.wait(shared.gate, 0, Number.POSITIVE_INFINITY);
        pool.running(workerAt(shared.pool, 0));
        const arena = shared.arenas[WORKER] as Arena;
        const next = pool.step(workerAt(shared.pool, 0), item(shared, SLEEP));
        if (next !== 0) run(cpu, shared, next);
        if (next !== 0) pool.settle(next);
        beWorker(cpu, arena, shared, shared.tasks[WORKER] as number);
      },
      (cpu, _me, shared) => beRescuer(cpu, shared.arenas[RESCUER] as Arena, shared, shared.tasks[RESCUER] as number),
    ],
    reaper(cpu, last, shared, me, inherited) {
      reapFor(shared, last, me, inherited, deaths, 2);
      const died = inherited.at(-1) ?? last;
      const arena = shared.arenas[me] as Arena;
      const task = shared.tasks[me] as number;
      // It cannot open it any more.
      if (phase(cpu, shared, OPEN) === LOST) openGate(cpu, shared);
      endIfOver(cpu, shared);
      if (died === 0) beKthreadd(cpu, arena, shared);
      if (died === WORKER) {
        view(arena, shared).join(workerAt(shared.pool, 0), task);
        beWorker(cpu, arena, shared, task);
      }
      if (died === RESCUER) beRescuer(cpu, arena, shared, task);
    },
    check(memory: FinalMemory, shared) {
      for (const i of items) {
        const state = memory.read(item(shared, i) + Item.state) & PHASE;
        const ran = memory.read(shared.ran + i);
        if (ran > 1) throw new Error(`item ${i} ran ${ran} times`);
        if (state === DONE && ran === 0) throw new Error(`item ${i} ended and never ran`);
        if (state !== DONE && (state !== LOST || memory.died.length === 0)) throw new Error(`item ${i}: ${state}`);
      }
      for (const field of [Pwq.nrActive, Pwq.nrInactive, Pwq.inactive, Pwq.inFlight]) {
        if (memory.read(pwqAt(shared.wq, 0) + field) !== 0) throw new Error(`word ${field} of the pwq is not 0`);
      }
      if (memory.read(shared.pool + Pool.running) !== 0) throw new Error('somebody counts as running');
    },
  };
  return program as unknown as Program;
}
