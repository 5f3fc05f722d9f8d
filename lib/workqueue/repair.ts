/**
 * A pool after deaths: everything that its latch guards is made again from the items' and the workers' own words, also
 * where the dead held no latch. What a dead worker ran, or had not handed over yet, is LOST: its submitter finds it there.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { Heap } from '../memory/heap.ts';
import { kindById } from '../memory/kinds.ts';
import { unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { startTimerInRepair } from '../sched/timer.ts';
import {
  BUSY,
  CANCELLED,
  DONE,
  FLUSHING,
  FREE,
  FREE_RECORD,
  ID_SHIFT,
  IDLE,
  IN_FLIGHT,
  Item,
  itemAt,
  LISTED,
  LOST,
  MOST_WORKERS,
  PENDING,
  PHASE,
  Pool,
  Port,
  Pwq,
  RUNNING,
  rescuerAt,
  SLAB_ITEMS,
  twinAt,
  WorkerRecord,
  WorkWords,
  workerAt,
} from './layout.ts';
import { append, chainFrom, enqueue } from './lists.ts';
import { pwqsOf } from './pwqs.ts';
import { biasOf, effectiveMaxActive } from './root.ts';
import { isTwin, siblingOf, workOf } from './twins.ts';
import { DIED } from './values.ts';

/** `Kind.repair` of a pool. */
export function repairPool(repairer: Repairer, pool: number): boolean {
  const { cpu, owner, isDead, latch } = repairer;
  if (!latch(pool + Pool.latch, () => {})) return false;
  // What is FREE now is neither the pool's nor a dead thread's.
  const objects = new Heap(cpu, owner).objects();
  const all = itemsIn(cpu, objects);
  const queued = ofKind(cpu, objects, 'workqueue').flatMap((wq) => pwqsOf(cpu, wq));
  const pwqs = queued.filter((pwq) => cpu.read(pwq + Pwq.pool) === pool);
  listTaken(cpu, pool);
  let isSettled = true;
  const items = all.filter((item) => isHeld(cpu, item, pool));
  for (const item of items) {
    const state = cpu.load(item + Item.state);
    if ((state & PHASE) !== RUNNING || !isDead(state >> ID_SHIFT)) continue;
    // Before `lose`: from then on it is its submitter's, who may queue it elsewhere.
    const pwq = cpu.read(item + Item.pwq);
    cpu.write(item + Item.encoding, DIED);
    if (lose(cpu, item, state)) count(cpu, pwq + Pwq.ended);
    if (isTwin(cpu, item) && isListedElsewhere(cpu, siblingOf(cpu, item), pool)) isSettled = false;
  }
  loseUnheld(repairer, pool, all);
  makeLists(cpu, pool, items, pwqs);
  countWorkers(cpu, pool, isDead);
  if (!lookLater(repairer, pool)) isSettled = false;
  unlatch(cpu, pool + Pool.latch);
  // All of them: a reaper may have died here.
  const lost = all.filter((item) => !isTwin(cpu, item) && cpu.load(item + Item.state) === LOST);
  for (const port of new Set(lost.map((item) => cpu.read(item + Item.port)))) {
    cpu.xchg(port + Port.rescan, 1);
    cpu.xchg(port + Port.armed, 0);
    // Whatever `armed` was: the dead thread may have been about to, in `ringPort`.
    cpu.wake(port + Port.armed, 1);
  }
  return isSettled;
}

/**
 * The thread that was to wake a worker for what waits, or to ask for one, may be dead, and no other come by: kthreadd looks at the
 * pool, at once.
 */
function lookLater(repairer: Repairer, pool: number): boolean {
  const { cpu, owner } = repairer;
  const hasWork = cpu.read(pool + Pool.first) !== 0 || cpu.load(pool + Pool.incoming) !== 0;
  const timer = cpu.load(pool + Pool.timer);
  if (!hasWork || timer === 0) return true;
  cpu.store(Header.kthreaddWanted, 1);
  return startTimerInRepair(repairer, timer, cpu.now(), () => new Heap(cpu, owner).objects());
}

/**
 * The item, which was in that state, is to be found by its submitter. It may have received it, and queued it again, meanwhile. A
 * work is idle; those that wait for it hear of that with the death. False when it is at something else by now.
 */
function lose(cpu: Cpu, item: number, state: number): boolean {
  if (!isTwin(cpu, item)) return cpu.cmpxchg(item + Item.state, state, LOST) === state;
  if (cpu.cmpxchg(item + Item.state, state, FREE) !== state) return false;
  cpu.fetchAddRelaxed(workOf(cpu, item) + WorkWords.runs, 1);
  cpu.fetchAddRelaxed(workOf(cpu, item) + WorkWords.failures, 1);
  return true;
}

/** Whether it may have been DEFERRED there for what a dead thread ran here, behind the repair of that pool: that has to come again. */
function isListedElsewhere(cpu: Cpu, twin: number, pool: number): boolean {
  return cpu.loadAcquire(twin + Item.state) === LISTED && cpu.load(twin + Item.home) !== pool;
}

/** Whether the pool has listed the item, and it has not ended. So it stays, but for a submitter that gives it up. */
function isHeld(cpu: Cpu, item: number, pool: number): boolean {
  // Acquire: pairs with the steps to LISTED and FLUSHING, which come behind `home`.
  const state = cpu.loadAcquire(item + Item.state);
  const phase = state & PHASE;
  const isIn = phase === LISTED || phase === RUNNING || phase === FLUSHING;
  return (isIn || (phase === CANCELLED && !isUnlisted(cpu, item, state))) && cpu.load(item + Item.home) === pool;
}

/** The items among the objects that are not FREE: those of submitters, and those of works. */
export function itemsIn(cpu: Cpu, objects: readonly number[]): number[] {
  const all = [
    ...ofKind(cpu, objects, 'work items').flatMap(itemsOf),
    ...ofKind(cpu, objects, 'work').flatMap(twinsOf),
  ];
  return all.filter((item) => cpu.load(item + Item.state) !== FREE);
}

function ofKind(cpu: Cpu, objects: readonly number[], kind: string): number[] {
  return objects.filter((object) => kindById(cpu.read(object + ObjectHeader.kind))?.name === kind);
}

function itemsOf(slab: number): number[] {
  return Array.from({ length: SLAB_ITEMS }, (_, i) => itemAt(slab, i));
}

function twinsOf(work: number): number[] {
  return [twinAt(work, 0), twinAt(work, 1)];
}

/** What a worker has ended and not handed over, perhaps; and what a submitter had filled and had not published. */
function loseUnheld({ cpu, isDead }: Repairer, pool: number, all: readonly number[]): void {
  // Acquire: pairs with the exchange in `push`, behind the links.
  const published = new Set(chainFrom(cpu, cpu.loadAcquire(pool + Pool.incoming)));
  for (const item of all) {
    if (isTwin(cpu, item)) continue;
    const state = cpu.loadAcquire(item + Item.state);
    if ((state & PHASE) === DONE && isDead(state >> ID_SHIFT)) lose(cpu, item, state);
    if (state !== PENDING && !isUnlisted(cpu, item, state)) continue;
    // Behind the state: the next owner of a port begins with items that are FREE.
    const submitter = cpu.load(cpu.read(item + Item.port) + Port.owner);
    const isOrphan = submitter < 0 || isDead(submitter);
    if (!isOrphan || published.has(item)) continue;
    if (cpu.read(cpu.read(item + Item.pwq) + Pwq.pool) === pool) lose(cpu, item, state);
  }
}

/** A thread that died in `drain` may have taken items that no list leads to yet. */
function listTaken(cpu: Cpu, pool: number): void {
  const taking = cpu.read(pool + Pool.taking);
  if (taking === 0) return;
  if (!chainFrom(cpu, cpu.loadAcquire(pool + Pool.incoming)).includes(taking)) {
    for (const item of chainFrom(cpu, taking).reverse()) {
      cpu.storeUnordered(item + Item.home, pool);
      const state = cpu.cmpxchg(item + Item.state, PENDING, LISTED);
      if (isUnlisted(cpu, item, state)) lose(cpu, item, state);
      // Those that the dead thread listed have their number; the others come behind them.
      if (state !== PENDING && (state !== LISTED || cpu.read(item + Item.seq) !== 0)) continue;
      const seq = (cpu.read(pool + Pool.seq) + 1) | 0 || 1;
      cpu.write(pool + Pool.seq, seq);
      cpu.write(item + Item.colour, cpu.read(cpu.read(item + Item.pwq) + Pwq.colour));
      cpu.write(item + Item.seq, seq);
    }
  }
  cpu.write(pool + Pool.taking, 0);
}

/** Worklist, inactive items and flushers, with all counts, from the items that are in the pool. */
function makeLists(cpu: Cpu, pool: number, items: readonly number[], pwqs: readonly number[]): void {
  cpu.write(pool + Pool.first, 0);
  cpu.write(pool + Pool.last, 0);
  // Those that are DEFERRED are on the worklist again: a worker that comes to one sees whether it may run.
  cpu.write(pool + Pool.deferred, 0);
  cpu.write(pool + Pool.deferredLast, 0);
  for (const pwq of pwqs) {
    for (const field of ['nrActive', 'inactive', 'inactiveLast', 'nrInactive', 'inFlight'] as const) {
      cpu.write(pwq + Pwq[field], 0);
    }
    cpu.write(pwq + Pwq.flushers, 0);
    cpu.write(pwq + Pwq.flushersLast, 0);
    cpu.store(pwq + Pwq.maxActive, effectiveMaxActive(cpu, pwq));
  }
  const now = cpu.read(pool + Pool.seq);
  const phase = (item: number) => cpu.load(item + Item.state) & PHASE;
  const isListed = (item: number) =>
    phase(item) === LISTED || (phase(item) === CANCELLED && cpu.read(item + Item.seq) !== 0);
  const age = (item: number) => (now - cpu.read(item + Item.seq)) | 0;
  const inOrder = items.filter((item) => isListed(item) || phase(item) === FLUSHING).sort((a, b) => age(b) - age(a));
  const running = items.filter((item) => phase(item) === RUNNING);
  for (const item of running) count(cpu, cpu.read(item + Item.pwq) + Pwq.nrActive);
  for (const item of inOrder) {
    const pwq = cpu.read(item + Item.pwq);
    if (phase(item) !== FLUSHING) {
      enqueue(cpu, pool, pwq, item);
      continue;
    }
    cpu.write(item + IN_FLIGHT, 0);
    // The thread that flushed may have died before it began the next colour.
    if (cpu.read(item + Item.colour) === cpu.read(pwq + Pwq.colour)) count(cpu, pwq + Pwq.colour);
    append(cpu, pwq + Pwq.flushers, pwq + Pwq.flushersLast, item);
  }
  for (const item of [...running, ...inOrder.filter(isListed)]) countInFlight(cpu, item);
  for (const pwq of pwqs) {
    let flusher = cpu.read(pwq + Pwq.flushers);
    for (; flusher !== 0 && cpu.read(flusher + IN_FLIGHT) === 0; flusher = cpu.read(flusher + Item.next)) {
      lose(cpu, flusher, FLUSHING);
    }
    cpu.write(pwq + Pwq.flushers, flusher);
    cpu.write(flusher === 0 ? pwq + Pwq.flushersLast : flusher + Item.prev, 0);
  }
}

/** Given up by its submitter before a worker had listed it. */
function isUnlisted(cpu: Cpu, item: number, state: number): boolean {
  return state === CANCELLED && cpu.read(item + Item.seq) === 0;
}

function countInFlight(cpu: Cpu, item: number): void {
  const pwq = cpu.read(item + Item.pwq);
  const colour = cpu.read(item + Item.colour);
  let flusher = colour === cpu.read(pwq + Pwq.colour) ? 0 : cpu.read(pwq + Pwq.flushers);
  while (flusher !== 0 && cpu.read(flusher + Item.colour) !== colour) flusher = cpu.read(flusher + Item.next);
  count(cpu, flusher === 0 ? pwq + Pwq.inFlight : flusher + IN_FLIGHT);
}

function countWorkers(cpu: Cpu, pool: number, isDead: (id: number) => boolean): void {
  const states: number[] = [];
  cpu.write(pool + Pool.idle, 0);
  for (let i = 0; i < MOST_WORKERS; i++) {
    const worker = workerAt(pool, i);
    const thread = cpu.read(worker + WorkerRecord.thread);
    if (thread !== 0 && isDead(thread)) {
      // kthreadd starts its thread again, which joins.
      cpu.write(worker + WorkerRecord.state, FREE_RECORD);
      cpu.write(worker + WorkerRecord.thread, 0);
    }
    const state = cpu.read(worker + WorkerRecord.state);
    states.push(state);
    if (state !== IDLE) continue;
    cpu.write(worker + WorkerRecord.nextIdle, cpu.read(pool + Pool.idle));
    cpu.write(pool + Pool.idle, worker);
  }
  const rescuer = rescuerAt(pool);
  const thread = cpu.read(rescuer + WorkerRecord.thread);
  if (thread !== 0 && isDead(thread)) {
    cpu.write(rescuer + WorkerRecord.state, FREE_RECORD);
    cpu.write(rescuer + WorkerRecord.thread, 0);
  }
  cpu.write(pool + Pool.nrIdle, states.filter((state) => state === IDLE).length);
  cpu.write(pool + Pool.nrWorkers, states.filter((state) => state !== FREE_RECORD).length);
  const bias = biasOf(cpu, pool);
  cpu.store(pool + Pool.bias, bias);
  // Full: pairs with the push in `queue`, whose thread sees that a slot is free, or `lookLater` its item.
  cpu.xchg(pool + Pool.running, states.filter((state) => state === BUSY).length + bias);
}

function count(cpu: Cpu, word: number): void {
  cpu.write(word, (cpu.read(word) + 1) | 0);
}
