/**
 * Works as a program to explore: threads that queue, cancel and flush them, and a worker for each slot. A queueing that is lost, or a
 * waiter that is not told, shows as a deadlock: nothing here has a timeout. Two runs at once are a data race.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { block } from '../../../../lib/sched/drive.ts';
import { pvWait } from '../../../../lib/sched/schedule.ts';
import { unpark } from '../../../../lib/sched/task.ts';
import { FREE, Item, PHASE, Pool, Pwq, pwqAt, twinAt, workerAt } from '../../../../lib/workqueue/layout.ts';
import { openPool, openWq } from '../../../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { queueWork } from '../../../../lib/workqueue/pool-works.ts';
import { workOf } from '../../../../lib/workqueue/twins.ts';
import { work as declare } from '../../../../lib/workqueue/work.ts';
import { cancelWork, waitForWork } from '../../../../lib/workqueue/work-core.ts';
import { Work } from '../../../../lib/workqueue/work-item.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';

const ARENA_WORDS = 8192;

const { nothing } = declare(import.meta.url, { nothing: () => {} });

/** What a thread does with the one work: queues it in that slot; cancels it, with or without waiting; flushes it. */
export type WorkAct = 'queue 0' | 'queue 1' | 'cancel' | 'cancel sync' | 'flush';

interface Shared extends View {
  pools: readonly number[];
  pwqs: readonly number[];
  work: Work;
  tasks: readonly number[];
  /** Words of the program: whether all is over, which users have left, and how often the work has run. */
  stop: number;
  left: number;
  ran: number;
  /** Of each user: how often it has queued the work, and cancelled it. */
  queued: number;
  cancelled: number;
}

/** A worker for each slot, in front of `users`: each a list of acts. */
export function workProgram(users: readonly (readonly WorkAct[])[], slots = 1, deaths = 1): Program {
  const threads = slots + users.length;
  const poolOf = ({ cpu, thread }: Arena, pool: number) => new WorkerPool(cpu, pool, thread.id, () => {});
  const queuer = (arena: Arena) => ({
    cpu: arena.cpu,
    id: arena.thread.id,
    pool: (address: number) => poolOf(arena, address),
    ring: () => {},
  });

  const endAll = (cpu: Cpu, { stop, tasks }: Shared) => {
    cpu.xchg(stop, 1);
    for (const task of tasks) unpark(cpu, task);
  };
  const isIdle = (cpu: Cpu, { work: { address } }: Shared) =>
    [0, 1].every((twin) => (cpu.loadAcquire(twinAt(address, twin) + Item.state) & PHASE) === FREE);

  const serve = (cpu: Cpu, arena: Arena, slot: number, task: number, shared: Shared) => {
    const pool = poolOf(arena, shared.pools[slot] as number);
    const worker = workerAt(shared.pools[slot] as number, 0);
    for (let finished = 0; ; ) {
      finished = pool.step(worker, finished);
      if (finished !== 0) {
        // It never runs on two workers at once: plain words.
        if (workOf(cpu, finished) !== shared.work.address) throw new Error('a work of nobody');
        cpu.write(shared.ran, cpu.read(shared.ran) + 1);
        continue;
      }
      do {
        // A worker that was woken for a work which was cancelled since counts as running until it has looked.
        if (cpu.loadAcquire(shared.stop) === 1 && isIdle(cpu, shared) && pool.isIdle(worker)) {
          // The other may have gone back to sleep when it was not idle yet.
          endAll(cpu, shared);
          return;
        }
        pvWait(cpu, task);
      } while (pool.isIdle(worker));
    }
  };

  const use = (cpu: Cpu, me: number, shared: Shared) => {
    const arena = shared.arenas[me] as Arena;
    const work = new Work(arena, shared.work.handle);
    const user = me - slots;
    for (const act of users[user] as readonly WorkAct[]) {
      if (act === 'flush') {
        work.flushWork();
      } else if (act === 'cancel' || act === 'cancel sync') {
        const wasPending = act === 'cancel' ? cancelWork(queuer(arena), work.address) : cancelSync(arena, work);
        if (wasPending) cpu.write(shared.cancelled + user, cpu.read(shared.cancelled + user) + 1);
      } else {
        const slot = act === 'queue 0' ? 0 : 1;
        const pwq = shared.pwqs[slot] as number;
        const outcome = queueWork(poolOf(arena, shared.pools[slot] as number), work.address, pwq, false);
        if (outcome === 'queued') cpu.write(shared.queued + user, cpu.read(shared.queued + user) + 1);
      }
    }
    leave(cpu, shared, user);
  };
  const leave = (cpu: Cpu, shared: Shared, user: number) => {
    // Again, where it died right behind.
    cpu.xchg(shared.left + user, 1);
    if (users.every((_, other) => cpu.load(shared.left + other) === 1)) endAll(cpu, shared);
  };
  const cancelSync = (arena: Arena, work: Work) => {
    let wasPending = false;
    // As `cancelWorkSync`, which keeps views of pools that it has made.
    block(arena.thread, undefined, (waiter) =>
      waitForWork(waiter, work.address, () => {
        wasPending = cancelWork(queuer(arena), work.address);
      }),
    );
    // Nobody else may have queued it again in this program.
    if (users.length === 1 && !isIdle(arena.cpu, { work } as Shared)) throw new Error('it runs behind its cancelling');
    return wasPending;
  };

  const program: Program<Shared> = {
    words: ARENA_WORDS + 16,
    setup(cpu) {
      const made = makeArenas(cpu, threads, Number.POSITIVE_INFINITY, ARENA_WORDS, deaths);
      const first = made.arenas[0] as Arena;
      const root = { address: 0, slots, maxWorkers: 1, maxAwaited: 8 };
      const pools = Array.from({ length: slots }, (_, slot) => openPool(first, root, slot, false));
      const wq = openWq(first, 'wq', 0, 4, pools);
      const pwqs = pools.map((_, i) => pwqAt(wq, i));
      const work = new Work(first, undefined, nothing);
      const tasks = made.arenas.map(({ thread, heap }) => thread.takeTask(heap));
      for (let word = 0; word < 16; word++) cpu.write(made.shared + word, 0);
      const [stop, left, ran, queued, cancelled] = [0, 4, 1, 8, 12].map((word) => made.shared + word) as [
        number,
        number,
        number,
        number,
        number,
      ];
      for (let slot = 0; slot < slots; slot++) {
        const pool = pools[slot] as number;
        poolOf(made.arenas[slot] as Arena, pool).join(workerAt(pool, 0), tasks[slot] as number);
      }
      return { ...made, pools, pwqs, work, tasks, stop, left, ran, queued, cancelled };
    },
    threads: Array.from({ length: threads }, () => (cpu: Cpu, me: number, shared: Shared) => {
      if (me < slots) serve(cpu, shared.arenas[me] as Arena, me, shared.tasks[me] as number, shared);
      else use(cpu, me, shared);
    }),
    // In place of the dead worker, or beside those that are left.
    reaper(cpu, last, shared, me, inherited) {
      reapFor(shared, last, me, inherited, deaths, 2);
      const died = inherited.at(-1) ?? last;
      if (died >= slots) {
        leave(cpu, shared, died - slots);
        return;
      }
      const arena = shared.arenas[me] as Arena;
      const task = shared.tasks[me] as number;
      poolOf(arena, shared.pools[died] as number).join(workerAt(shared.pools[died] as number, 0), task);
      serve(cpu, arena, died, task, shared);
    },
    check(memory: FinalMemory, shared) {
      const sum = (word: number) => users.reduce((all, _, user) => all + memory.read(word + user), 0);
      const ran = memory.read(shared.ran);
      const due = sum(shared.queued) - sum(shared.cancelled);
      // The dead may have done one thing more than they have counted, and the dead worker's run is lost.
      const isSound = memory.died.length === 0 ? ran === due : Math.abs(ran - due) <= deaths;
      if (!isSound) throw new Error(`it ran ${ran} times, and was queued and not cancelled ${due} times`);
      for (const pwq of shared.pwqs) {
        for (const field of [Pwq.nrActive, Pwq.nrInactive, Pwq.inactive, Pwq.inFlight]) {
          if (memory.read(pwq + field) !== 0) throw new Error(`word ${field} of the pwq is not 0`);
        }
      }
      for (const pool of shared.pools) {
        for (const field of [Pool.running, Pool.first, Pool.deferred]) {
          if (memory.read(pool + field) !== 0) throw new Error(`word ${field} of the pool is not 0`);
        }
      }
    },
  };
  return program as unknown as Program;
}
