/** Pages of the shared clock for tests: one of its own in an arena's memory, and reads of it. */
import { VdsoData } from '../../lib/arena/time-namespace.ts';
import type { Cpu } from '../../lib/machine/cpu.ts';
import { ClockCopy, readCoarse, readHres, TICKING } from '../../lib/vdso/read.ts';
import { MULT, type Timekeeper, updateVsyscall } from '../../lib/vdso/update.ts';
import { stepper } from '../support/stepper.ts';

/** A read of a page by a thread that has copied nothing yet. */
export function fine(cpu: Cpu, page: number, clock: number, counter: () => number, into: Float64Array) {
  return readHres(cpu, new ClockCopy(clock, page, 0), page, counter, into);
}

/** The same of a clock whose time is written down. */
export function rough(cpu: Cpu, page: number, clock: number, into: Float64Array) {
  return readCoarse(cpu, new ClockCopy(clock, page, TICKING), page, into);
}

/** An update that says nothing special. */
export const USUAL: Timekeeper = {
  clockMode: 1,
  cycles: 0,
  mult: MULT,
  monotonic: 0,
  raw: 0,
  wallSec: 0,
  wallNsec: 0,
  boottime: 0,
  tai: 0,
  upkeep: TICKING,
};

/** A page of its own in an arena's memory, written once. */
export function page(times: Partial<Timekeeper>) {
  const { arenas, real } = stepper(1);
  const pages = arenas[0]!.alloc(2 * VdsoData.words);
  for (let word = 0; word < 2 * VdsoData.words; word++) real.store(pages + word, 0);
  const cycles = times.cycles ?? 0;
  updateVsyscall(real, pages, () => ({ ...USUAL, cycles, monotonic: cycles, raw: cycles, ...times }));
  return { arena: arenas[0]!, cpu: real, pages };
}
