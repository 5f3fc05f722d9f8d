/**
 * A worker pool as a program to explore: one thread queues items and waits until they have come back, the others are
 * workers. An item that is not seen, a worker that is not woken, shows as a deadlock: nothing here has a timeout.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { pvWait } from '../../../../lib/sched/schedule.ts';
import { unpark } from '../../../../lib/sched/task.ts';
import {
  DONE,
  FREE,
  Item,
  itemAt,
  LOST,
  PENDING,
  PHASE,
  Pool,
  Port,
  Pwq,
  Root,
  WorkerRecord,
  workerAt,
} from '../../../../lib/workqueue/layout.ts';
import { ARMED, armPort, chainFrom } from '../../../../lib/workqueue/lists.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { rebias } from '../../../../lib/workqueue/pool-care.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeQueues } from '../../../workqueue/needy.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';

const ARENA_WORDS = 12_288;

/**
 * run: the item ends by itself. sleep: its worker sleeps in it until an item has opened the gate. open: it does that. offline: its
 * worker takes the pool's slot away, and waits for the gate as if it computed: it says so to nobody.
 */
export type ItemAct = 'run' | 'sleep' | 'open' | 'offline';

export interface WorkqueueProgram {
  items: readonly ItemAct[];
  workers: number;
  maxActive?: number;
  /** Whether the submitter queues all items in one step. */
  together?: boolean;
  /** Whether the pool is a slot's. */
  isBound?: boolean;
}

interface Shared extends View {
  root: number;
  pool: number;
  pwq: number;
  port: number;
  slab: number;
  tasks: readonly number[];
  /** Words of the program: the gate, whether all is over, whether the submitter is dead, and how often each item ran. */
  gate: number;
  stop: number;
  isAlone: number;
  ran: number;
}

/** After each of several `deaths` a reaper comes, and is a worker in the end as well. */
export function workqueue(asked: WorkqueueProgram, deaths = 1): Program {
  const { items, workers, maxActive = 4, together = false, isBound = false } = asked;
  const threads = workers + 1;
  const item = ({ slab }: Shared, i: number) => itemAt(slab, i);
  const view = (arena: Arena, { pool }: Shared) => new WorkerPool(arena.cpu, pool, arena.thread.id, () => {});

  const isOver = (cpu: Cpu, shared: Shared) =>
    items.every((_, i) => {
      const phase = cpu.loadAcquire(item(shared, i) + Item.state) & PHASE;
      return phase === DONE || phase === LOST || (phase === FREE && cpu.load(shared.isAlone) === 1);
    });

  /** All workers look whether they are to end. */
  const endAll = (cpu: Cpu, { stop, tasks }: Shared) => {
    cpu.xchg(stop, 1);
    for (const task of tasks) unpark(cpu, task);
  };

  const openGate = (cpu: Cpu, { gate }: Shared) => {
    cpu.storeRelease(gate, 1);
    cpu.wake(gate, Number.POSITIVE_INFINITY);
  };

  const run = (cpu: Cpu, pool: WorkerPool, worker: number, shared: Shared, address: number) => {
    const which = cpu.read(address + Item.index);
    const act = items[which];
    // A worker has the item for itself: plain words.
    cpu.write(shared.ran + which, cpu.read(shared.ran + which) + 1);
    cpu.write(address + Item.values, cpu.read(address + Item.values) + 1);
    if (act === 'open') openGate(cpu, shared);
    if (act === 'offline') {
      cpu.fetchOr(shared.root + Root.offline, 1);
      rebias(pool);
    }
    if (act === 'sleep') pool.sleeping(worker);
    if (act === 'sleep' || act === 'offline') {
      while (cpu.loadAcquire(shared.gate) === 0) cpu.wait(shared.gate, 0, Number.POSITIVE_INFINITY);
    }
    if (act === 'sleep') pool.running(worker);
  };

  const work = (cpu: Cpu, arena: Arena, worker: number, task: number, shared: Shared) => {
    const pool = view(arena, shared);
    for (let finished = 0; ; ) {
      const found = pool.step(worker, finished);
      finished = found;
      if (isOver(cpu, shared)) endAll(cpu, shared);
      if (found !== 0) {
        run(cpu, pool, worker, shared, found);
        continue;
      }
      do {
        if (cpu.loadAcquire(shared.stop) === 1) return;
        pvWait(cpu, task);
      } while (pool.isIdle(worker));
    }
  };

  const submit = (cpu: Cpu, shared: Shared) => {
    const arena = shared.arenas[0] as Arena;
    const pool = view(arena, shared);
    items.forEach((_, i) => {
      const address = item(shared, i);
      cpu.write(address + Item.pwq, shared.pwq);
      cpu.write(address + Item.values, i * 10);
      cpu.storeUnordered(address + Item.state, PENDING);
      if (together && i > 0) cpu.write(address + Item.link, item(shared, i - 1));
      if (!together) pool.queue(address, address);
    });
    if (together) pool.queue(item(shared, items.length - 1), item(shared, 0));
    /** Those that have come back. */
    const back = new Set<number>();
    while (back.size < items.length) {
      const { port } = shared;
      const lost = cpu.load(port + Port.rescan) === 0 ? 0 : cpu.xchg(port + Port.rescan, 0);
      // What a dead worker had in hand, or had handed over just before: counted once, by its state.
      for (const i of lost === 0 ? [] : items.keys()) {
        if (cpu.loadAcquire(item(shared, i) + Item.state) === LOST) back.add(item(shared, i));
      }
      const chain = chainFrom(cpu, cpu.load(port + Port.completed) === 0 ? 0 : cpu.xchg(port + Port.completed, 0));
      for (const address of chain) {
        if ((cpu.loadAcquire(address + Item.state) & PHASE) !== DONE) continue;
        if (cpu.read(address + Item.values) !== cpu.read(address + Item.index) * 10 + 1) throw new Error('no result');
        back.add(address);
      }
      if (back.size < items.length && armPort(cpu, port)) cpu.wait(port + Port.armed, ARMED, Number.POSITIVE_INFINITY);
    }
  };

  const program: Program<Shared> = {
    words: ARENA_WORDS + 16,
    setup(cpu) {
      const made = makeArenas(cpu, threads, Number.POSITIVE_INFINITY, ARENA_WORDS, deaths);
      const first = made.arenas[0] as Arena;
      const queues = makeQueues(first, { slot: isBound ? 0 : -1, maxWorkers: workers, maxActive }, [0]);
      const { root, pool, slab, port } = queues;
      const pwq = queues.pwqs[0] as number;
      const tasks = made.arenas.map(({ thread, heap }) => thread.takeTask(heap));
      const [gate, stop, isAlone, ran] = [0, 1, 2, 3].map((word) => made.shared + word) as [
        number,
        number,
        number,
        number,
      ];
      for (let word = 0; word < 16; word++) cpu.write(made.shared + word, 0);
      const shared = { ...made, root, pool, pwq, port, slab, tasks, gate, stop, isAlone, ran };
      for (let me = 1; me < threads; me++) {
        view(made.arenas[me] as Arena, shared).join(workerAt(pool, me - 1), tasks[me] as number);
      }
      return shared;
    },
    threads: Array.from({ length: threads }, () => (cpu: Cpu, me: number, shared: Shared) => {
      if (me === 0) submit(cpu, shared);
      else work(cpu, shared.arenas[me] as Arena, workerAt(shared.pool, me - 1), shared.tasks[me] as number, shared);
    }),
    // In place of the dead worker, or beside those that are left, whoever died.
    reaper(cpu, last, shared, me, inherited) {
      reapFor(shared, last, me, inherited, deaths, 2);
      const died = inherited.at(-1) ?? last;
      // No item opens it any more, perhaps.
      if (items.includes('open')) openGate(cpu, shared);
      // Full: the last worker ends an item, and then looks here; this thread looks at the items below.
      if (died === 0) cpu.xchg(shared.isAlone, 1);
      const free = Array.from({ length: workers }, (_, i) => workerAt(shared.pool, i));
      const record = free[died === 0 ? workers - 1 : died - 1] as number;
      if (died === 0) {
        if (isOver(cpu, shared)) endAll(cpu, shared);
        return;
      }
      const arena = shared.arenas[me] as Arena;
      view(arena, shared).join(record, shared.tasks[me] as number);
      work(cpu, arena, record, shared.tasks[me] as number, shared);
    },
    check(memory: FinalMemory, shared) {
      items.forEach((_, i) => {
        const phase = memory.read(item(shared, i) + Item.state) & PHASE;
        const ran = memory.read(shared.ran + i);
        if (ran > 1) throw new Error(`item ${i} ran ${ran} times`);
        if (phase === DONE && ran === 0) throw new Error(`item ${i} ended and never ran`);
        const isSound = phase === DONE || (memory.died.length > 0 && (phase === LOST || phase === FREE));
        if (!isSound) throw new Error(`item ${i} is in phase ${phase}`);
      });
      for (const field of [Pwq.nrActive, Pwq.nrInactive, Pwq.inactive, Pwq.inFlight]) {
        if (memory.read(shared.pwq + field) !== 0) throw new Error(`word ${field} of the pwq is not 0`);
      }
      if (memory.read(shared.pool + Pool.running) !== memory.read(shared.pool + Pool.bias))
        throw new Error('somebody counts as running');
      for (let i = 0; i < workers; i++) memory.read(workerAt(shared.pool, i) + WorkerRecord.state);
    },
  };
  return program as unknown as Program;
}
