/**
 * The graph of orders: an edge from each class that was held to each that was wanted then. A cycle in it is a deadlock that can
 * happen, unless a reader passes at some of its locks who can't be kept waiting there: one that may share a lock although others
 * wait for it, or share it with who has it shared. So a path is followed only as far as each lock in it would block: not
 * along an order whose wanted lock is read recursively and then one whose held lock is shared.
 *
 * Source: Documentation/locking/lockdep-design.rst, "strong dependency paths".
 */
import type { Cpu } from '../../machine/cpu.ts';
import {
  CLASSES,
  hasStacks,
  isReadersOnly,
  LOOKED_SHIFT,
  orderAt,
  RECURSIVE,
  type Reading,
  waysOn,
  withStacks,
} from './layout.ts';

/** An order that a thread has met: numbers of classes, and how the two are taken. */
export interface Order {
  readonly held: number;
  readonly wanted: number;
  readonly heldReading: Reading;
  readonly wantedReading: Reading;
}

/** Whether somebody has looked at that order in that way: there is nothing to be done then. */
export function isKnown(cpu: Cpu, tables: number, { held, wanted }: Order, way: number): boolean {
  return (cpu.load(orderAt(tables, held, wanted)) & (way << LOOKED_SHIFT)) !== 0;
}

/** Notes an order. `stacks`: the numbers of the stacks of both acquisitions, asked for if it is the first in any way. */
export function note(
  cpu: Cpu,
  tables: number,
  order: Order,
  way: number,
  stacks: () => readonly [number, number],
): void {
  const word = orderAt(tables, order.held, order.wanted);
  if (!hasStacks(cpu.load(word))) {
    const [held, wanted] = stacks();
    const seen = cpu.load(word);
    // Where another thread is quicker, its stacks are as good.
    if (!hasStacks(seen)) cpu.cmpxchg(word, seen, seen | withStacks(way, held, wanted));
  }
  // Fully ordered: either `cycle` sees the order that another thread adds, or that sees this one.
  cpu.fetchOr(word, way);
}

/** Notes that somebody has looked at that order in that way. */
export function noteLooked(cpu: Cpu, tables: number, { held, wanted }: Order, way: number): void {
  cpu.fetchOr(orderAt(tables, held, wanted), way << LOOKED_SHIFT);
}

/**
 * The classes of a path from the wanted lock to the held one, both included, that makes a cycle with the order; undefined when
 * there is none. The shortest one.
 */
export function cycle(cpu: Cpu, tables: number, order: Order): number[] | undefined {
  const { held, wanted, heldReading, wantedReading } = order;
  // A state is a class, and whether the path to it has come by recursive readers only.
  const first = wanted * 2 + (wantedReading === RECURSIVE ? 1 : 0);
  const before = new Map<number, number>([[first, -1]]);
  const queue = [first];
  for (const state of queue) {
    const from = state >> 1;
    for (let to = 0; to < CLASSES; to++) {
      if (to === from) continue;
      const ways = waysOn(cpu.load(orderAt(tables, from, to)), (state & 1) === 1);
      if (ways === 0) continue;
      const readersOnly = isReadersOnly(ways);
      const next = to * 2 + (readersOnly ? 1 : 0);
      if (before.has(next)) continue;
      before.set(next, state);
      if (to === held && (heldReading === 0 || !readersOnly)) return pathTo(next, before);
      queue.push(next);
    }
  }
  return undefined;
}

function pathTo(end: number, before: ReadonlyMap<number, number>): number[] {
  const path: number[] = [];
  for (let state = end; state >= 0; state = before.get(state) ?? -1) path.unshift(state >> 1);
  return path;
}
