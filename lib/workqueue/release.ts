/** When a workqueue's memory can be had again: once it was destroyed, and no item leads there. */
import type { Cpu } from '../machine/cpu.ts';
import type { Heap } from '../memory/heap.ts';
import { tryLatch, unlatch } from '../memory/latch.ts';
import {
  AddedPwq,
  CANCELLED,
  DELAYED,
  FLUSHING,
  Item,
  LISTED,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  RUNNING,
  Wq,
} from './layout.ts';
import { pwqsOf } from './pwqs.ts';
import { itemsIn } from './repair.ts';

/** Whether items are queued or run in it, or it is flushed. */
export function hasItems(cpu: Cpu, wq: number): boolean {
  const counts = [Pwq.nrActive, Pwq.inactive, Pwq.inFlight, Pwq.flushers];
  return pwqsOf(cpu, wq).some((pwq) => counts.some((field) => cpu.load(pwq + field) !== 0));
}

/** A thread that comes across an item in one of these states looks at its pwq. */
const LEADING = new Set([PENDING, LISTED, CANCELLED, RUNNING, FLUSHING, DELAYED]);

/**
 * `Kind.release`. A thread that has found the queue open may publish its item, or start its timer, after the queue was destroyed: then it
 * waits for that. `pwq_release_workfn`.
 */
export function releaseQueue(cpu: Cpu, wq: number, heap: Heap, nascent: number): boolean {
  const pwqs = new Set(pwqsOf(cpu, wq));
  const leads = (item: number) =>
    LEADING.has(cpu.loadAcquire(item + Item.state) & PHASE) && pwqs.has(cpu.load(item + Item.pwq));
  // The rescuer comes to it, and finds nothing.
  if ([...pwqs].some((pwq) => cpu.load(pwq + Pwq.mayday) !== 0)) return false;
  if (itemsIn(cpu, heap.objects()).some(leads)) return false;
  for (const pool of new Set([...pwqs].map((pwq) => cpu.read(pwq + Pwq.pool)))) {
    // The worker that has ended the last item counts it under the latch, and may be there still.
    if (!tryLatch(cpu, pool + Pool.latch, heap.owner)) return false;
    unlatch(cpu, pool + Pool.latch);
  }
  for (let added = cpu.load(wq + Wq.added); added !== 0; added = cpu.load(wq + Wq.added)) {
    // First: a thread that dies here leaves a block that nobody has, rather than one that is freed twice.
    cpu.store(wq + Wq.added, cpu.read(added + AddedPwq.next));
    cpu.store(nascent, added);
    heap.free(added, nascent);
  }
  return true;
}
