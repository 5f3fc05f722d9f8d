/** What does not hold in a worker pool: its lists, and what it counts, against the words of the items and of the workers. */
import type { Cpu } from '../machine/cpu.ts';
import { underLatch } from '../sched/under-latch.ts';
import {
  BUSY,
  CANCELLED,
  FREE_RECORD,
  IDLE,
  Item,
  LISTED,
  MOST_WORKERS,
  PHASE,
  Pool,
  WorkerRecord,
  workerAt,
} from './layout.ts';

/** `Kind.inspect` of a pool. It comes to an end whatever the links are. */
export function inspectPool(cpu: Cpu, pool: number, owner: number): readonly string[] {
  return underLatch(cpu, pool + Pool.latch, owner, () => [
    ...itemFaults(cpu, pool, 'the worklist', pool + Pool.first, pool + Pool.last),
    ...itemFaults(cpu, pool, 'the list of those that are deferred', pool + Pool.deferred, pool + Pool.deferredLast),
    ...workerFaults(cpu, pool),
  ]);
}

function itemFaults(cpu: Cpu, pool: number, name: string, first: number, last: number): string[] {
  const seen = new Set<number>();
  let before = 0;
  for (let item = cpu.read(first); item !== 0; before = item, item = cpu.read(item + Item.next)) {
    if (seen.has(item)) return [`has ${item} in ${name} twice`];
    seen.add(item);
    const phase = cpu.read(item + Item.state) & PHASE;
    const isListed = phase === LISTED || phase === CANCELLED;
    if (!isListed || cpu.read(item + Item.home) !== pool) return [`has ${item} in ${name}, which is no item of its`];
    if (cpu.read(item + Item.prev) !== before) return [`has ${name} that leads on to ${item}, and not back`];
  }
  return before === 0 || cpu.read(last) === before ? [] : [`has ${cpu.read(last)} for the end of ${name}`];
}

function workerFaults(cpu: Cpu, pool: number): string[] {
  const workers = Array.from({ length: MOST_WORKERS }, (_, i) => workerAt(pool, i));
  const stateOf = (worker: number) => cpu.read(worker + WorkerRecord.state);
  const idle = new Set(workers.filter((worker) => stateOf(worker) === IDLE));
  const faults: string[] = [];
  const check = (what: string, word: number, count: number) => {
    if (cpu.load(word) !== count) faults.push(`counts ${cpu.load(word)} workers ${what}, and has ${count}`);
  };
  check('that are idle', pool + Pool.nrIdle, idle.size);
  check('in all', pool + Pool.nrWorkers, workers.filter((worker) => stateOf(worker) !== FREE_RECORD).length);
  const busy = workers.filter((worker) => stateOf(worker) === BUSY).length;
  check('that run', pool + Pool.running, busy + cpu.load(pool + Pool.bias));
  for (let worker = cpu.read(pool + Pool.idle); worker !== 0; worker = cpu.read(worker + WorkerRecord.nextIdle)) {
    if (idle.delete(worker)) continue;
    faults.push(`leads to ${worker} as an idle worker, which is none, or to it twice`);
    break;
  }
  for (const worker of idle) faults.push(`does not lead to the idle worker ${worker}`);
  return faults;
}
