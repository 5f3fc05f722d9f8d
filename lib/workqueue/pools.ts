/** The views that one thread has of an arena's pools, and how a pool's threads are asked for. */
import type { Arena } from '../arena/arena.ts';
import { kthreadRun } from '../arena/kthread.ts';
import { SYSTEM } from '../arena/kthreadd.ts';
import { HoldfastError } from '../errors.ts';
import { MOST_WORKERS, Pool, Root, workerAt } from './layout.ts';
import { HIGHPRI_NICE } from './objects.ts';
import { WorkerPool } from './pool.ts';
import { slotsIn } from './root.ts';
import type { Queuer } from './work-core.ts';

/** The function of kworker threads, as kthreadd knows it. */
export const KWORKER = 'kworker';

/** The rescuer's name. */
export const RESCUER_NAME = 'kworker/R';

const views = new WeakMap<Arena, Map<number, WorkerPool>>();
const queuers = new WeakMap<Arena, Queuer>();

/** The calling thread's view of the pool at `address`. */
export function poolView(arena: Arena, address: number): WorkerPool {
  let pools = views.get(arena);
  if (pools === undefined) {
    pools = new Map();
    views.set(arena, pools);
  }
  let pool = pools.get(address);
  if (pool === undefined) {
    const create = (index: number, of: number) => createWorker(arena, of, index);
    pool = new WorkerPool(arena.cpu, address, arena.thread.id, create, () => arena.requestKthreadd());
    pools.set(address, pool);
  }
  return pool;
}

/** What the calling thread queues works with. */
export function queuerOf(arena: Arena): Queuer {
  let queuer = queuers.get(arena);
  if (queuer === undefined) {
    const { cpu, thread } = arena;
    queuer = {
      cpu,
      id: thread.id,
      pool: (address) => poolView(arena, address),
      ring: () => arena.requestKthreadd(),
    };
    queuers.set(arena, queuer);
  }
  return queuer;
}

/**
 * Asks for the thread of that record: `create_worker`. One that is under way already, because kthreadd starts it again after a
 * death, is left alone. An arena that is full says so to nobody: the caller may be on its way to sleep in a lock. It is asked
 * for again (`WorkerPool.look`).
 */
export function createWorker(arena: Arena, pool: number, index: number): void {
  try {
    kthreadRun(arena, SYSTEM, KWORKER, kworkerName(arena, pool, index), { thread: true, data: workerAt(pool, index) });
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== 'ENOMEM') throw error;
  }
}

/** As the kernel names them: `kworker/0:1`, `kworker/0:1H` of slot 0 with high priority, `kworker/u2:1` of an unbound pool. */
export function kworkerName({ cpu }: Arena, pool: number, index: number): string {
  if (index === MOST_WORKERS) return RESCUER_NAME;
  const slot = cpu.read(pool + Pool.slot);
  const nice = cpu.read(pool + Pool.nice);
  if (slot >= 0) return `kworker/${slot}:${index}${nice < 0 ? 'H' : ''}`;
  const slots = slotsIn(cpu, pool + Pool.slots);
  // As the kernel does, pools that attributes have asked for go by their number.
  const root = cpu.read(pool + Pool.root);
  const isWhole = root === 0 || slots.length === cpu.read(root + Root.slots);
  const place = isWhole && (nice === 0 || nice === HIGHPRI_NICE) ? slots.length : pool;
  return `kworker/u${place}:${index}${nice < 0 ? 'H' : ''}`;
}
