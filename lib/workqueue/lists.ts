/**
 * The lists that items are in. Two are pushed to by anybody, without a latch, and taken whole (kernel llist.h): a pool's
 * `incoming` and a port's `completed`, linked by `Item.link`. The others are the pool's, under its latch, linked by `Item.next`.
 */
import type { Cpu } from '../machine/cpu.ts';
import { INACTIVE, Item, Pool, Port, Pwq } from './layout.ts';

/** `Port.armed`. */
export const ARMED = 1;

/** Pushes the chain `newest` -> ... -> `oldest`, linked by `Item.link`, in one step: `llist_add_batch`. */
export function push(cpu: Cpu, head: number, newest: number, oldest: number): void {
  for (;;) {
    const before = cpu.load(head);
    cpu.write(oldest + Item.link, before);
    // Full: pairs with the barrier in `step` and `sleeping`, and with the exchange in `armPort`.
    if (cpu.cmpxchg(head, before, newest) === before) return;
  }
}

/** Hands an item that has ended to its submitter. */
export function complete(cpu: Cpu, item: number): void {
  const port = cpu.read(item + Item.port);
  push(cpu, port + Port.completed, item, item);
  ringPort(cpu, port);
}

/** The submitter looks at its port again, if it waits. */
function ringPort(cpu: Cpu, port: number): void {
  if (cpu.load(port + Port.armed) !== ARMED || cpu.xchg(port + Port.armed, 0) !== ARMED) return;
  cpu.wake(port + Port.armed, 1);
}

/** The submitter is about to wait for `armed` to change: false when something has come, and it is not to. */
export function armPort(cpu: Cpu, port: number): boolean {
  // Full: pairs with the push to `completed`, and with the exchange of `rescan` in `repairPool`.
  cpu.xchg(port + Port.armed, ARMED);
  const hasCome = cpu.load(port + Port.completed) !== 0 || cpu.load(port + Port.rescan) !== 0;
  if (hasCome) cpu.store(port + Port.armed, 0);
  return !hasCome;
}

/**
 * Takes the list with that head whole; returns its items, the newest first. Before the exchange `taking` says which they are:
 * for whoever comes after a thread that dies with them in hand, since their links stay as they are until it is through.
 */
export function take(cpu: Cpu, head: number, taking: number): number[] {
  for (let newest = cpu.load(head); newest !== 0; ) {
    cpu.write(taking, newest);
    const found = cpu.cmpxchg(head, newest, 0);
    if (found === newest) return chainFrom(cpu, newest);
    newest = found;
  }
  return [];
}

/** What has come back to the port, the newest first. The submitter receives the oldest first, and clears `Port.taking` behind all. */
export function takeCompleted(cpu: Cpu, port: number): number[] {
  return take(cpu, port + Port.completed, port + Port.taking);
}

/**
 * For the next owner of a port: the items, the newest first, that the thread before it had taken from `completed`, and had not
 * received yet, or not all, when it died. Those that it had received are FREE, and their links as they were.
 */
export function takenCompleted(cpu: Cpu, port: number): number[] {
  const taking = cpu.read(port + Port.taking);
  if (taking === 0) return [];
  // It may have died before the exchange. Acquire: pairs with the exchange in `push`, behind the links.
  if (chainFrom(cpu, cpu.loadAcquire(port + Port.completed)).includes(taking)) return [];
  return chainFrom(cpu, taking);
}

/** The items of a chain that was pushed, the newest first. */
export function chainFrom(cpu: Cpu, newest: number): number[] {
  const chain: number[] = [];
  for (let item = newest; item !== 0; item = cpu.read(item + Item.link)) chain.push(item);
  return chain;
}

/**
 * A LISTED item goes to the worklist, or waits behind `maxActive`. Where others wait, as many as may are active: under the latch,
 * what lets one more begin also activates the first that waits (`PoolItems.activate`). So nothing overtakes those here.
 */
export function enqueue(cpu: Cpu, pool: number, pwq: number, item: number): void {
  const active = cpu.read(pwq + Pwq.nrActive);
  const mayRun = active < cpu.load(pwq + Pwq.maxActive);
  cpu.write(item + Item.worker, mayRun ? 0 : INACTIVE);
  if (mayRun) {
    cpu.write(pwq + Pwq.nrActive, active + 1);
    append(cpu, pool + Pool.first, pool + Pool.last, item);
  } else {
    cpu.write(pwq + Pwq.nrInactive, cpu.read(pwq + Pwq.nrInactive) + 1);
    append(cpu, pwq + Pwq.inactive, pwq + Pwq.inactiveLast, item);
  }
}

/** Puts `item` at the end of the list with those two words. */
export function append(cpu: Cpu, first: number, last: number, item: number): void {
  const before = cpu.read(first) === 0 ? 0 : cpu.read(last);
  cpu.write(item + Item.next, 0);
  cpu.write(item + Item.prev, before);
  cpu.write(before === 0 ? first : before + Item.next, item);
  cpu.write(last, item);
}

/** Puts `item` at the beginning of the list with those two words. */
export function prepend(cpu: Cpu, first: number, last: number, item: number): void {
  const behind = cpu.read(first);
  cpu.write(item + Item.next, behind);
  cpu.write(item + Item.prev, 0);
  cpu.write(behind === 0 ? last : behind + Item.prev, item);
  cpu.write(first, item);
}

/** Takes `item` out of the list with those two words. */
export function remove(cpu: Cpu, first: number, last: number, item: number): void {
  const [next, prev] = [cpu.read(item + Item.next), cpu.read(item + Item.prev)];
  cpu.write(prev === 0 ? first : prev + Item.next, next);
  cpu.write(next === 0 ? last : next + Item.prev, prev);
}
