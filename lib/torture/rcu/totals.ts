/** What an RCU torture has counted so far, and how rcutorture says it. */
import type { Cpu } from '../../machine/cpu.ts';
import { BUCKETS, Seat, Stage, seatAddress } from './stage.ts';

export interface RcuTotals {
  /** Publications. */
  readonly version: number;
  /** Elements taken, none to be had, and given back. */
  readonly taken: number;
  readonly missing: number;
  readonly given: number;
  /** Elements that a reader found free. */
  readonly torn: number;
  /** Barrier tests that came to an end, and those in which a callback had not run. */
  readonly barriers: number;
  readonly failed: number;
  readonly floods: number;
  /** Reads by the periods that their element had outlived its removal by. */
  readonly pipe: readonly number[];
  /** Reads by the periods that went by meanwhile. */
  readonly batch: readonly number[];
  /** Elements by the buckets that they went through. */
  readonly circulation: readonly number[];
}

export function totalsOf(cpu: Cpu, stage: number, seats: number): RcuTotals {
  const sum = (word: number) => {
    let total = 0;
    for (let seat = 0; seat < seats; seat++) total += cpu.load(seatAddress(stage, seat) + word);
    return total;
  };
  const histogram = (word: number) => Array.from({ length: BUCKETS }, (_, i) => sum(word + i));
  return {
    version: cpu.load(stage + Stage.version),
    taken: sum(Seat.taken),
    missing: sum(Seat.missing),
    given: sum(Seat.given),
    torn: sum(Seat.torn),
    // The last of them is under way.
    barriers: Math.max(cpu.load(stage + Stage.barriers) - 1, 0),
    failed: sum(Seat.failed),
    floods: sum(Seat.floods),
    pipe: histogram(Seat.pipe),
    batch: histogram(Seat.batch),
    circulation: histogram(Seat.circulation),
  };
}

/** Reads in the buckets in which none may be. */
function early(histogram: readonly number[]): number {
  return histogram.slice(2).reduce((sum, reads) => sum + reads, 0);
}

/** What is wrong with them. */
export function violationsIn({ pipe, batch, torn, failed }: RcuTotals): string[] {
  const violations: string[] = [];
  if (early(pipe) > 0) violations.push(`${early(pipe)} reads of an element that a grace period had ended for`);
  if (torn > 0) violations.push(`${torn} reads of an element that was free`);
  if (early(batch) > 0) violations.push(`${early(batch)} reads during which two grace periods went by`);
  if (failed > 0) violations.push(`${failed} barriers that ended before callbacks had run`);
  return violations;
}

/** The lines of rcu_torture_stats_print. `deaths` and `joins`: threads that were killed, and that left and joined. */
export function statLines(
  type: string,
  totals: RcuTotals,
  { deaths, joins }: { deaths: number; joins: number },
): string[] {
  const { version, taken, missing, given, torn, barriers, failed, floods, pipe, batch, circulation } = totals;
  const mark = violationsIn(totals).length > 0 ? '!!! ' : '';
  return [
    `${mark}ver: ${version} rta: ${taken} rtaf: ${missing} rtf: ${given} rtmbe: ${torn} rtbf: ${failed} barrier: ${Math.max(barriers - failed, 0)}/${barriers}:${failed} fwd: ${floods} onoff: ${joins} kills: ${deaths}`,
    `${mark}Reader Pipe:  ${pipe.join(' ')}`,
    `${mark}Reader Batch:  ${batch.join(' ')}`,
    `Free-Block Circulation:  ${circulation.join(' ')}`,
  ].map((line) => `${type}-torture: ${line}`);
}
