/**
 * Freezable queues are stopped and go on, all of an arena at once: kernel/workqueue.c, freeze_workqueues_begin,
 * freeze_workqueues_busy, thaw_workqueues. For what must not change while a snapshot is taken or files are replaced.
 */
import type { Arena } from '../arena/arena.ts';
import type { Cpu } from '../machine/cpu.ts';
import { kindIdOf } from '../memory/objects.ts';
import { Pool, Pwq, Root, Wq } from './layout.ts';
import { openRoot, WQ_KIND } from './objects.ts';
import { FREEZABLE } from './options.ts';
import type { WorkerPool } from './pool.ts';
import { adjust, rebias } from './pool-care.ts';
import { poolView } from './pools.ts';
import { pwqsOf } from './pwqs.ts';
import { openQueues, readQueues } from './queues.ts';
import { biasOf } from './root.ts';

/**
 * From now on no item begins of any queue that is `freezable`; items can be queued, and wait. What has begun, and what a worker was about to
 * begin, goes on: `freezeWorkqueuesBusy` says whether there is such. False when they were frozen before. They stay so when this thread
 * dies, until some thread thaws them.
 */
export function freezeWorkqueues(arena: Arena): boolean {
  return setFrozen(arena, true);
}

/** Whether items of freezable queues run, are awaited, or are next. */
export function freezeWorkqueuesBusy(arena: Arena): boolean {
  arena.thread.current();
  const { cpu } = arena;
  return readQueues(arena, (queues) =>
    freezables(cpu, queues).some((wq) => pwqsOf(cpu, wq).some((pwq) => cpu.load(pwq + Pwq.nrActive) !== 0)),
  );
}

/** They go on, in the order in which items were queued. False when they were not frozen. */
export function thawWorkqueues(arena: Arena): boolean {
  return setFrozen(arena, false);
}

/** What was changed for all queues or pools while this one was made, it may not have heard of. */
export function catchUp(arena: Arena, wq: number): void {
  const { cpu } = arena;
  const isFreezable = (cpu.read(wq + Wq.flags) & FREEZABLE) !== 0;
  for (const pwq of pwqsOf(cpu, wq)) {
    const pool = cpu.read(pwq + Pwq.pool);
    if (cpu.load(pool + Pool.bias) !== biasOf(cpu, pool)) rebias(poolView(arena, pool));
    if (isFreezable) adjust(poolView(arena, pool), pwq);
  }
}

function setFrozen(arena: Arena, isFrozen: boolean): boolean {
  arena.thread.current();
  const root = openRoot(arena).address;
  // Behind the word: see `freezeQueues`.
  return freezeQueues({ cpu: arena.cpu, pool: (address) => poolView(arena, address) }, root, isFrozen, () =>
    openQueues(arena),
  );
}

/**
 * Says in `root` whether freezable queues are frozen, and tells those among `objects`. Also where it was so before: the thread that changed
 * it may have died on the way.
 */
export function freezeQueues(
  { cpu, pool }: { cpu: Cpu; pool: (address: number) => WorkerPool },
  root: number,
  isFrozen: boolean,
  objects: () => readonly number[],
): boolean {
  const frozen = isFrozen ? 1 : 0;
  // Full: a queue that is made meanwhile is among the objects, or its maker sees this (`catchUp`).
  const hasChanged = cpu.xchg(root + Root.frozen, frozen) !== frozen;
  for (const wq of freezables(cpu, objects())) {
    for (const pwq of pwqsOf(cpu, wq)) adjust(pool(cpu.read(pwq + Pwq.pool)), pwq);
  }
  return hasChanged;
}

function freezables(cpu: Cpu, objects: readonly number[]): number[] {
  const queues = objects.filter((object) => kindIdOf(cpu, object) === WQ_KIND.id);
  return queues.filter((wq) => (cpu.read(wq + Wq.flags) & FREEZABLE) !== 0);
}
