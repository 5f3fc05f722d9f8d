/**
 * A worker pool with threads that submit, flush and cancel, each with a port of its own, and one or two workers. An item that is not seen,
 * or whose end nobody hears of, shows as a deadlock: nothing here has a timeout. The next thread in a dead submitter's slot adopts its
 * port, and goes on with it.
 */
import { Arena } from '../../../../lib/arena/arena.ts';
import { Place } from '../../../../lib/arena/place.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { pvWait } from '../../../../lib/sched/schedule.ts';
import { Slot, slotAddress } from '../../../../lib/sched/slot.ts';
import { finishPark, unpark } from '../../../../lib/sched/task.ts';
import { expireTimer, timerFired } from '../../../../lib/sched/timer.ts';
import {
  CANCELLED,
  DONE,
  FREE,
  Item,
  itemAt,
  LISTED,
  LOST,
  PENDING,
  PHASE,
  Pool,
  Port,
  Pwq,
  RUNNING,
  WorkerRecord,
  workerAt,
} from '../../../../lib/workqueue/layout.ts';
import { ARMED, armPort } from '../../../../lib/workqueue/lists.ts';
import { makePort, makeSlab } from '../../../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { adoptItems, findPort, takeBack } from '../../../../lib/workqueue/port.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeQueues } from '../../../workqueue/needy.ts';
import { makeArenas, reapAll, reapOnce, snapshot, type View } from './holdfast.ts';
import { inspect } from './inspection.ts';

/**
 * work: a worker. submit: queues two items; flush: one, and waits for what the queue has had so far; cancel: two, and takes the second
 * back. Each waits until all that it has queued has come back.
 */
export const POOL_ACTS = ['work', 'submit', 'flush', 'cancel'] as const;
export type PoolAct = (typeof POOL_ACTS)[number];

const ARENA_WORDS = 24_576;
const LIFE = 1;
/** Items of a submitter: two to be run, and a flusher. */
const [FIRST, SECOND, FLUSHER, ITEMS] = [0, 1, 2, 3] as const;

interface Shared extends View {
  pool: number;
  pwq: number;
  /** By thread. */
  ports: readonly number[];
  slabs: readonly number[];
  tasks: readonly number[];
  /** Words of the program: whether all is over, which submitters are through, and how often each item has run. */
  stop: number;
  through: number;
  ran: number;
}

export function submitters(acts: readonly PoolAct[], maxActive = 4, deaths = 1): Program {
  const workers = acts.filter((act) => act === 'work').length;
  const view = ({ cpu, thread }: Arena, { pool }: Shared) => new WorkerPool(cpu, pool, thread.id, () => {});
  const recordOf = ({ pool }: Shared, thread: number) =>
    workerAt(pool, acts.slice(0, thread).filter((act) => act === 'work').length);

  const endAll = (cpu: Cpu, { stop, tasks }: Shared) => {
    cpu.xchg(stop, 1);
    for (const task of tasks) unpark(cpu, task);
  };
  const leave = (cpu: Cpu, me: number, shared: Shared) => {
    // Again, where it died right behind.
    cpu.xchg(shared.through + me, 1);
    const isOver = acts.every((act, thread) => act === 'work' || cpu.load(shared.through + thread) === 1);
    if (isOver) endAll(cpu, shared);
  };

  const work = (cpu: Cpu, arena: Arena, record: number, task: number, shared: Shared) => {
    const pool = view(arena, shared);
    for (let finished = 0; ; ) {
      finished = pool.step(record, finished);
      if (finished !== 0) {
        const which = cpu.read(finished + Item.index);
        // The worker has the item for itself: plain words.
        const ran = shared.ran + cpu.read(finished + Item.values);
        cpu.write(ran, cpu.read(ran) + 1);
        cpu.write(finished + Item.values + 1, which + 1);
        continue;
      }
      do {
        const isOver = cpu.loadAcquire(shared.stop) === 1;
        if (isOver && pool.isIdle(record)) {
          pool.part(record);
          return finishPark(cpu, task);
        }
        if (!isOver) pvWait(cpu, task);
      } while (pool.isIdle(record));
    }
  };

  const use = (cpu: Cpu, arena: Arena, act: PoolAct, me: number, port: number, slab: number, shared: Shared) => {
    const pool = view(arena, shared);
    const mine = { first: itemAt(slab, FIRST), second: itemAt(slab, SECOND), flusher: itemAt(slab, FLUSHER) };
    let left = 0;
    const submit = (item: number, which: number) => {
      cpu.write(item + Item.pwq, shared.pwq);
      cpu.write(item + Item.values, me * 2 + which);
      cpu.write(item + Item.values + 1, 0);
      cpu.storeReleaseLight(item + Item.state, PENDING);
      pool.queue(item, item);
      left++;
    };
    submit(mine.first, FIRST);
    if (act !== 'flush') submit(mine.second, SECOND);
    if (act === 'cancel') abandon(cpu, mine.second);
    if (act === 'flush') {
      cpu.write(mine.flusher + Item.encoding, 0);
      cpu.write(mine.flusher + Item.pwq, shared.pwq);
      cpu.write(mine.flusher + Item.values + 1, 0);
      pool.flush(shared.pwq, mine.flusher);
      left++;
    }
    while (left > 0) {
      const back = takeBack(cpu, port);
      for (const item of back) {
        const phase = cpu.loadAcquire(item + Item.state) & PHASE;
        if (phase !== DONE && phase !== LOST) throw new Error(`an item comes back in phase ${phase}`);
        // What is lost is over for those that flush as well.
        const isFlushed = item === mine.flusher && (cpu.loadAcquire(mine.first + Item.state) & PHASE) === RUNNING;
        if (isFlushed) throw new Error('a flush is over, and what was queued before it runs');
        recycle(cpu, item);
        left--;
      }
      if (back.length > 0) cpu.write(port + Port.taking, 0);
      if (left > 0 && armPort(cpu, port)) cpu.wait(port + Port.armed, ARMED, Number.POSITIVE_INFINITY);
    }
    leave(cpu, me, shared);
  };

  /** The next thread in a dead submitter's slot: what was its goes on to be used. */
  const succeed = (cpu: Cpu, died: number, shared: Shared) => {
    const slot = slotAddress(cpu, died);
    cpu.store(slot + Slot.life, LIFE + died);
    const arena = new Arena(new Place(cpu, died, { spins: 1 }));
    // 0: it died in the middle of its heir's coming.
    const port = findPort(arena) || (shared.ports[died] as number);
    const free: number[] = [];
    adoptItems(cpu, port, (item) => {
      recycle(cpu, item);
      free.push(item);
    });
    if (new Set(free).size !== free.length) throw new Error('an item is had twice');
    leave(cpu, died, shared);
    cpu.store(slot + Slot.life, 0);
  };

  const program: Program<Shared> = {
    words: ARENA_WORDS + 16,
    setup(cpu) {
      const made = makeArenas(cpu, acts.length, 1, ARENA_WORDS, deaths);
      const first = made.arenas[0] as Arena;
      const queues = makeQueues(first, { maxWorkers: workers, maxActive }, [0]);
      const submitting = made.arenas.slice(0, acts.length);
      const ports = submitting.map((arena, i) => (acts[i] === 'work' ? 0 : makePort(arena)));
      const slabs = submitting.map((arena, i) => {
        if (acts[i] === 'work') return 0;
        const slab = makeSlab(arena, ports[i] as number, 0, 0);
        cpu.storeRelease((ports[i] as number) + Port.slabs, slab);
        return slab;
      });
      const tasks = made.arenas.map(({ thread, heap }) => thread.takeTask(heap));
      for (let word = 0; word < 16; word++) cpu.write(made.shared + word, 0);
      const [stop, through, ran] = [made.shared, made.shared + 1, made.shared + 8];
      const shared = {
        ...made,
        pool: queues.pool,
        pwq: queues.pwqs[0] as number,
        ports,
        slabs,
        tasks,
        stop,
        through,
        ran,
      };
      acts.forEach((act, i) => {
        if (act === 'work') view(made.arenas[i] as Arena, shared).join(recordOf(shared, i), tasks[i] as number);
      });
      return shared;
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, shared: Shared) => {
      const arena = shared.arenas[me] as Arena;
      if (act === 'work') work(cpu, arena, recordOf(shared, me), shared.tasks[me] as number, shared);
      else use(cpu, arena, act, me, shared.ports[me] as number, shared.slabs[me] as number, shared);
    }),
    reaper(cpu, died, shared, me, inherited) {
      const dead = [died, ...inherited];
      reapAll(shared, dead, me, 2);
      const arena = shared.arenas[me] as Arena;
      beKthreadd(cpu, arena, view(arena, shared));
      const first = dead.at(-1) as number;
      if (acts[first] !== 'work') return succeed(cpu, first, shared);
      const task = shared.tasks[me] as number;
      view(arena, shared).join(recordOf(shared, first), task);
      work(cpu, arena, recordOf(shared, first), task, shared);
    },
    stalled: (_cpu, died, shared, me) => reapOnce(shared, died, me),
    check(memory: FinalMemory, shared) {
      if (memory.died.length > 0) inspect(memory);
      acts.forEach((act, thread) => {
        if (act === 'work') return;
        const hasDied = memory.died.includes(thread);
        for (let i = 0; i < ITEMS; i++) {
          const phase = memory.read(itemAt(shared.slabs[thread] as number, i) + Item.state) & PHASE;
          if (phase !== FREE && !(hasDied && phase === DONE))
            throw new Error(`item ${i} of thread ${thread}: ${phase}`);
        }
        for (const i of [FIRST, SECOND]) {
          const ran = memory.read(shared.ran + thread * 2 + i);
          const due = i === SECOND && act !== 'submit' ? 0 : 1;
          const isSound = ran <= 1 && (ran >= due || memory.died.length > 0);
          if (!isSound) throw new Error(`item ${i} of thread ${thread} has run ${ran} times`);
        }
      });
      for (const field of [Pwq.nrActive, Pwq.nrInactive, Pwq.inactive, Pwq.inFlight, Pwq.flushers]) {
        if (memory.read(shared.pwq + field) !== 0) throw new Error(`word ${field} of the pwq is not 0`);
      }
      for (const field of [Pool.first, Pool.incoming, Pool.taking]) {
        if (memory.read(shared.pool + field) !== 0) throw new Error(`word ${field} of the pool is not 0`);
      }
      if (memory.read(shared.pool + Pool.running) !== memory.read(shared.pool + Pool.bias)) {
        throw new Error('somebody counts as running');
      }
      const arena = new Arena(new Place(snapshot(memory, ARENA_WORDS), acts.length + deaths - 1, { spins: 1 }));
      const problems = [...arena.fsck(), ...arena.waits().map((each) => JSON.stringify(each))];
      if (problems.length > 0) throw new Error(`in the end ${problems.join('; ')}`);
    },
  };
  return program as unknown as Program;
}

/** As `Submitter.abandon`. */
function abandon(cpu: Cpu, item: number): void {
  cpu.xchg(item + Item.aborted, 1);
  let state = cpu.loadAcquire(item + Item.state);
  while (state === PENDING || state === LISTED) {
    const found = cpu.cmpxchg(item + Item.state, state, CANCELLED);
    if (found === state) break;
    state = found;
  }
  if ((state & PHASE) === RUNNING) unpark(cpu, cpu.read(cpu.read(item + Item.worker) + WorkerRecord.task));
}

/** As `Submitter` has it. */
function recycle(cpu: Cpu, item: number): void {
  if (cpu.read(item + Item.aborted) !== 0) cpu.store(item + Item.aborted, 0);
  cpu.write(item + Item.seq, 0);
  cpu.write(item + Item.worker, 0);
  cpu.storeUnordered(item + Item.state, FREE);
}

/** The pool's timer has expired, if a reaper has started it. */
function beKthreadd(cpu: Cpu, { thread }: Arena, pool: WorkerPool): void {
  const timer = expireTimer(cpu, thread.id, Number.MAX_VALUE);
  if (timer === 0) return;
  pool.tick();
  timerFired(cpu, thread.id, timer);
}
