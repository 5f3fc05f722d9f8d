import type { Arena } from '../arena/arena.ts';
import { RcuQsbr } from '../rcu/rcu-qsbr.ts';
import { readersOf } from '../rcu/reader.ts';
import { type Stretch, stretchOf } from '../rcu/stretch.ts';

/** The calling thread's stretches in the arena's QSBR domain, the same for all its structures. */
export function stretchIn(arena: Arena): Stretch {
  return stretchOf(readersOf(arena.thread, new RcuQsbr(arena).address));
}
