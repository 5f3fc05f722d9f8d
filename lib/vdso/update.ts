/**
 * How the pages are written: kernel kernel/time/vsyscall.c, update_vsyscall. One thread at a time does it, under the
 * clock's latch.
 *
 * A writer that dies leaves the pages odd: readers fall back. The next one finds them so, writes all of them, and makes
 * them even, so no reader ever sees a half of what the dead one wrote.
 */
import {
  basetimeAt,
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCKMODE_NONE,
  pairOf,
  VdsoData,
  VdsoTimestamp,
} from '../arena/time-namespace.ts';
import type { Cpu } from '../machine/cpu.ts';

/** `CS_HRES_COARSE` and `CS_RAW`: a page for each source of cycles. */
export const HRES_COARSE = 0;
export const RAW = VdsoData.words;
export const CS_BASES = 2;

/** With it a second of nanoseconds, shifted, is a whole number that a double can hold. */
export const SHIFT = 22;
/** One nanosecond a cycle. */
export const MULT = 2 ** SHIFT;
/** How old a page may be: 73 min. Until then the product of a read is right to a thousandth of a nanosecond. */
export const MAX_CYCLES = 2 ** 42;
/** The counter is a double: whole nanoseconds of 104 days, and of 100 years to the nearest 512 ns. */
const MASK = 2 ** 53 - 1;
/** What the pages' times are counted in, ns: a counter that is read at any time. */
const HRTIMER_RES = 1;

const NSEC_PER_SEC = 1e9;

/** The times of one moment, ns, and how they go on from there: `struct timekeeper`. */
export interface Timekeeper {
  readonly clockMode: number;
  /** The counter at that moment. */
  readonly cycles: number;
  readonly mult: number;
  /** ns. */
  readonly monotonic: number;
  /** What the counter itself says, ns. */
  readonly raw: number;
  /** What REALTIME is ahead of MONOTONIC: in nanoseconds a double would hold it to the nearest 256. */
  readonly wallSec: number;
  readonly wallNsec: number;
  /** What BOOTTIME is ahead of MONOTONIC, ns, and TAI of REALTIME, s. */
  readonly boottime: number;
  readonly tai: number;
  readonly upkeep: number;
}

/** What an updater finds in a page that is whole: how far MONOTONIC is at any value of the counter. */
export interface Monotonic {
  at(cycles: number): number;
}

/**
 * Writes the pages that begin at `pages`. `timekeeper` is called once they are odd: see `read.ts`. It is handed the
 * MONOTONIC that readers have seen so far, unless a dead updater has left the pages odd, or there was none.
 */
export function updateVsyscall(
  cpu: Cpu,
  pages: number,
  timekeeper: (before: Monotonic | undefined) => Timekeeper,
): void {
  const before = monotonicOf(cpu, pages);
  for (const page of [pages, pages + RAW]) cpu.store(page + VdsoData.seq, cpu.load(page + VdsoData.seq) | 1);
  // Pairs with the rmb of readHres and readCoarse.
  cpu.wmb();
  const tk = timekeeper(before);
  cpu.store(pages + VdsoData.clockMode, tk.clockMode);
  cpu.store(pages + RAW + VdsoData.clockMode, tk.clockMode);
  storeTime(cpu, pages, CLOCK_REALTIME, tk.monotonic, SHIFT, tk.wallSec, tk.wallNsec);
  storeTime(cpu, pages, CLOCK_REALTIME_COARSE, tk.monotonic, 0, tk.wallSec, tk.wallNsec);
  storeTime(cpu, pages, CLOCK_MONOTONIC_COARSE, tk.monotonic, 0);
  cpu.store(pages + VdsoData.upkeep, tk.upkeep);
  cpu.store(pages + VdsoData.hrtimerRes, HRTIMER_RES);
  cpu.store(pages + RAW + VdsoData.hrtimerRes, HRTIMER_RES);
  if (tk.clockMode !== CLOCKMODE_NONE) {
    storeCycles(cpu, pages, tk.cycles, tk.mult);
    storeCycles(cpu, pages + RAW, tk.cycles, MULT);
    storeTime(cpu, pages, CLOCK_MONOTONIC, tk.monotonic, SHIFT);
    storeTime(cpu, pages, CLOCK_BOOTTIME, tk.monotonic + tk.boottime, SHIFT);
    storeTime(cpu, pages, CLOCK_TAI, tk.monotonic, SHIFT, tk.wallSec + tk.tai, tk.wallNsec);
    storeTime(cpu, pages + RAW, CLOCK_MONOTONIC_RAW, tk.raw, SHIFT);
  }
  for (const page of [pages, pages + RAW]) {
    storePair(cpu, page + VdsoData.mask, MASK);
    // Pairs with the acquire of readHres and readCoarse.
    cpu.storeRelease(page + VdsoData.seq, (cpu.load(page + VdsoData.seq) + 1) | 0);
  }
}

function storeCycles(cpu: Cpu, page: number, cycles: number, mult: number): void {
  storePair(cpu, page + VdsoData.cycleLast, cycles);
  storePair(cpu, page + VdsoData.maxCycles, MAX_CYCLES);
  cpu.store(page + VdsoData.mult, mult);
  cpu.store(page + VdsoData.shift, SHIFT);
}

/** The time of the clock is `ns`, and as much more: its whole seconds, and the rest, shifted. */
function storeTime(cpu: Cpu, page: number, clock: number, ns: number, shift: number, moreSec = 0, moreNsec = 0): void {
  const at = basetimeAt(page, clock);
  const sec = Math.floor(ns / NSEC_PER_SEC);
  const nsec = ns - sec * NSEC_PER_SEC + moreNsec;
  const carry = Math.floor(nsec / NSEC_PER_SEC);
  storePair(cpu, at + VdsoTimestamp.sec, sec + moreSec + carry);
  storePair(cpu, at + VdsoTimestamp.nsec, Math.floor((nsec - carry * NSEC_PER_SEC) * 2 ** shift));
}

function storePair(cpu: Cpu, at: number, value: number): void {
  cpu.store(at, Math.floor(value / 2 ** 32));
  cpu.store(at + 1, (value % 2 ** 32) | 0);
}

function monotonicOf(cpu: Cpu, page: number): Monotonic | undefined {
  const hasClock = cpu.load(page + VdsoData.clockMode) !== CLOCKMODE_NONE;
  if (!hasClock || cpu.load(page + VdsoData.seq) & 1) return undefined;
  const last = pairAt(cpu, page + VdsoData.cycleLast);
  const mult = cpu.load(page + VdsoData.mult);
  const shift = cpu.load(page + VdsoData.shift);
  const base = basetimeAt(page, CLOCK_MONOTONIC);
  const sec = pairAt(cpu, base + VdsoTimestamp.sec);
  const nsec = pairAt(cpu, base + VdsoTimestamp.nsec);
  return { at: (cycles) => sec * NSEC_PER_SEC + (nsec + Math.max(cycles - last, 0) * mult) / 2 ** shift };
}

function pairAt(cpu: Cpu, at: number): number {
  return pairOf(cpu.load(at), cpu.load(at + 1));
}
