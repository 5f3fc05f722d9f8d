/** What is done to a pool from outside its workers: by kthreadd, the rescuer, and threads that change what `Root` says. */
import { BUSY, CPU_BOUND, Item, Pool, Pwq, RESCUING, rescuerAt, WorkerRecord } from './layout.ts';
import type { WorkerPool } from './pool.ts';
import { biasOf, effectiveMaxActive } from './root.ts';
import { microseconds } from './times.ts';
import type { Running } from './watch.ts';
import { count, isRunIn, setState } from './workers.ts';

/** As many items of `pwq` may run as its queue and `Root` say by now: `wq_adjust_max_active`. */
export function adjust(pool: WorkerPool, pwq: number): void {
  pool.locked((items) => {
    pool.cpu.store(pwq + Pwq.maxActive, effectiveMaxActive(pool.cpu, pwq));
    items.activate(pwq);
  });
}

/** As many workers run as `Root` has slots for by now: `unbind_workers`, `rebind_workers`. */
export function rebias(pool: WorkerPool): void {
  const { cpu, address } = pool;
  pool.locked(() => {
    const bias = biasOf(cpu, address);
    const running = cpu.load(address + Pool.running) - cpu.read(address + Pool.bias) + bias;
    cpu.store(address + Pool.bias, bias);
    // Full: pairs with the push in `queue`, whose thread sees that a slot is free, or this its item.
    cpu.xchg(address + Pool.running, running);
  });
}

/** That worker computes still, for long: its slot is another's from now on. False when it does not. */
export function hogs(pool: WorkerPool, { worker, item, began }: Running): boolean {
  const { cpu, address } = pool;
  return pool.locked(() => {
    const isSame = cpu.read(worker + WorkerRecord.current) === item && cpu.read(worker + WorkerRecord.began) === began;
    const isHog = isSame && cpu.read(worker + WorkerRecord.state) === BUSY && isRunIn(cpu, item, worker);
    if (isHog) {
      count(cpu, cpu.load(item + Item.pwq) + Pwq.hogs, 1);
      setState(cpu, address, worker, CPU_BOUND);
      // Pairs with the push in `queue`.
      cpu.mb();
    }
    return isHog;
  });
}

/** The rescuer has come to the pool: it sleeps on that task. `worker_attach_to_pool`. */
export function attachRescuer(pool: WorkerPool, task: number): void {
  const { cpu, address, id } = pool;
  const record = rescuerAt(address);
  pool.locked(() => {
    cpu.write(record + WorkerRecord.thread, id);
    cpu.write(record + WorkerRecord.task, task);
    setState(cpu, address, record, RESCUING);
  });
}

/**
 * The next item of `pwq` for the rescuer: RUNNING, or 0 when none is left or workers see to them. `finished`: the one that it
 * has run, or 0. `assign_rescuer_work`.
 */
export function rescue(pool: WorkerPool, pwq: number, finished: number): number {
  const { cpu, address } = pool;
  const us = microseconds(cpu.now());
  return pool.locked((items) => {
    if (finished !== 0) items.finish(finished, us);
    items.drain();
    const item = pool.isNeedy() ? items.pickOf(pwq, rescuerAt(address), us) : 0;
    if (item === 0) cpu.store(pwq + Pwq.mayday, 0);
    else count(cpu, pwq + Pwq.rescued, 1);
    return item;
  });
}
