import { type Arena, AtomicBigInt } from '../../lib/index.ts';

const TIMES = 1000;

/** Adds what no 32 bits hold, one time after the other in two halves. */
export function count(arena: Arena, name: string): number {
  const number = new AtomicBigInt(arena, name);
  for (let i = 0; i < TIMES; i++) {
    number.fetchAdd(2n ** 30n);
    for (let seen = number.read(); !number.tryCmpxchg(seen, seen + 2n ** 30n); seen = number.read());
  }
  return TIMES;
}
