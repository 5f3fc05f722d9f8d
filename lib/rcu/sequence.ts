/**
 * Numbers of grace periods. A number counts four for each period and says in its last two bits where the current one is
 * (`rcu_seq` in kernel/rcu/rcu.h):
 *
 *   4k      IDLE       k periods are over, and none is under way
 *   4k + 1  SCANNING   period k + 1 has begun: it looks who reads
 *   4k + 2  WAITING    it waits for those that do
 *
 * At a million periods a second 32 bits wrap within minutes, so a number has 53 bits, in two words: `low`, and `high`
 * twice (Lamport, "Concurrent reading and writing of clocks"). The writer, under the domain's latch, changes `high`
 * before `low` and `highAgain` after it; a reader looks at them in the opposite order. If it sees `high` and `highAgain`
 * alike, `low` was read in between two wraps and belongs to them. If not, the number is just wrapping, once in 2^30
 * periods, and the reader takes the latch.
 */
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import type { Thread } from '../sched/thread.ts';
import { type Pace, Period, RcuWords } from './layout.ts';

export const IDLE = 0;
export const SCANNING = 1;
export const WAITING = 2;

const LOW = 2 ** 32;
/** Added to a number, then cut off to a multiple of 4: the first full period after it. */
const FULL_PERIOD = 7;

/** Where the period is that a number belongs to. */
export function stateOf(sequence: number): number {
  return sequence % 4;
}

/** The number from which on a whole period has gone by that began after `sequence` was current. `rcu_seq_snap`. */
export function endAfter(sequence: number): number {
  const end = sequence + FULL_PERIOD;
  return end - (end % 4);
}

/** The current number, for any thread. Acquire: pairs with the release in `writeSequence`. */
export function readSequence({ cpu, id }: Thread, rcu: number, { period }: Pace): number {
  const at = rcu + period;
  const high = cpu.loadAcquire(at + Period.highAgain);
  const low = cpu.loadAcquire(at + Period.low);
  if (cpu.load(at + Period.high) === high) return join(high, low);
  latch(cpu, rcu + RcuWords.latch, id);
  const sequence = ownSequence(cpu, at);
  unlatch(cpu, rcu + RcuWords.latch);
  return sequence;
}

/** The current number, for a thread that holds the domain's latch. */
export function ownSequence(cpu: Cpu, at: number): number {
  return join(cpu.load(at + Period.high), cpu.load(at + Period.low));
}

/** Under the domain's latch: the next number. Release: what happened before it is seen with it. */
export function writeSequence(cpu: Cpu, at: number, sequence: number): void {
  const high = Math.floor(sequence / LOW);
  const wraps = cpu.load(at + Period.high) !== high;
  if (wraps) cpu.store(at + Period.high, high);
  // Both pair with the acquires in `readSequence`.
  cpu.storeRelease(at + Period.low, sequence | 0);
  if (wraps) cpu.storeRelease(at + Period.highAgain, high);
}

/** For the reaper, which has the domain's latch: a dead thread may have left the number half-wrapped. */
export function repairSequence(cpu: Cpu, at: number): void {
  const again = cpu.load(at + Period.highAgain);
  if (cpu.load(at + Period.high) === again) return;
  // The low word decides: it is 0 once it has wrapped.
  if (cpu.load(at + Period.low) === 0) cpu.storeRelease(at + Period.highAgain, cpu.load(at + Period.high));
  else cpu.store(at + Period.high, again);
}

/** Under the domain's latch: asks for the period that ends with `sequence`. `rcu_start_this_gp`'s funnel. */
export function raiseNeeded(cpu: Cpu, at: number, sequence: number): void {
  if (sequence > ownSequence(cpu, at) && !isNeeded(cpu, at, sequence)) cpu.write(at + Period.needed, sequence | 0);
}

/**
 * Under the domain's latch: whether the period that ends with `sequence` was asked for. Nobody asks for more than two
 * periods ahead, and none begins unasked, so `needed` is never far from the number: the low words are enough.
 */
export function isNeeded(cpu: Cpu, at: number, sequence: number): boolean {
  return ((cpu.read(at + Period.needed) - sequence) | 0) >= 0;
}

/** How many periods were asked for that come after the one that `sequence` belongs to. A guess: read without the latch. */
export function neededAfter(cpu: Cpu, at: number, sequence: number): number {
  const current = stateOf(sequence) === IDLE ? sequence : endAfter(sequence - stateOf(sequence));
  return Math.max(((cpu.loadUnordered(at + Period.needed) - current) | 0) / 4, 0);
}

function join(high: number, low: number): number {
  return high * LOW + (low >>> 0);
}
