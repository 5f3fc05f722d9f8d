/**
 * Tally: a sum of up to 2^60 in two words, to which threads add at any time, and of which a thread that is killed between
 * two steps takes nothing with it: of an addition below 2^32 either all is in the sum, or nothing.
 *
 * A carry is a second step, and may never be made by the thread that owes it. So the two words overlap in four bits:
 *
 *   low     the sum modulo 2^32
 *   high    the sum divided by 2^28, but for carries that are owed
 *
 *   sum = high * 2^28 + (low mod 2^28)          if  high mod 16 = low / 2^28
 *
 * Where the four bits differ, carries are owed, by how much says the difference. Each addition looks and pays what it finds,
 * its own or a dead thread's; a reader counts what is owed. At most 15 can be owed at a time: 2^32 less 2^28, more than four
 * seconds of waiting, within the steps of one addition. An addition of 2^32 or more puts the multiples of 2^32 in `high`
 * first; a thread that is killed right there leaves that part only.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { struct } from '../../memory/struct.ts';

export const Tally = struct({ low: 1, high: 1 });

const CARRY = 2 ** 28;
const OVERLAP = 15;

/** Adds a whole number from 0 to 2^52. */
export function tallyAdd(cpu: Cpu, tally: number, amount: number): void {
  if (amount >= 2 ** 32) cpu.fetchAdd(tally + Tally.high, Math.floor(amount / 2 ** 32) * (OVERLAP + 1));
  cpu.fetchAdd(tally + Tally.low, amount | 0);
  for (;;) {
    // In this order: what `low` says is at least as new as `high`.
    const high = cpu.load(tally + Tally.high);
    const owed = owedTo(high, cpu.load(tally + Tally.low));
    if (owed === 0 || cpu.cmpxchg(tally + Tally.high, high, (high + owed) | 0) === high) return;
  }
}

/** The sum, out of date as soon as it is read. Exact up to 2^53. */
export function tallyRead(cpu: Cpu, tally: number): number {
  for (;;) {
    const high = cpu.load(tally + Tally.high);
    const low = cpu.load(tally + Tally.low);
    if (cpu.load(tally + Tally.high) !== high) continue;
    return ((high + owedTo(high, low)) >>> 0) * CARRY + (low & (CARRY - 1));
  }
}

function owedTo(high: number, low: number): number {
  return ((low >>> 28) - high) & OVERLAP;
}
