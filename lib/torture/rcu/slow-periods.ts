/**
 * Makes steps of grace periods slow on one thread, so that others join, leave, read and die between two of them: the kernel's
 * `gp_preinit_delay`, `gp_init_delay` and `gp_cleanup_delay`. The library has no code for it: the thread's machine waits at the
 * stores by which periods go on.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { domainAt, leafAt, PACES, Period } from '../../rcu/layout.ts';
import { IDLE, SCANNING } from '../../rcu/sequence.ts';
import type { Random } from '../random.ts';

/** How long one step in a few waits, ms; 0 for never. */
export interface PeriodDelays {
  /** When a period has begun, before it looks who reads. */
  readonly preinit: number;
  /** When it has looked at one leaf of the tree. */
  readonly init: number;
  /** When nobody is waited for any more, before the period is over. */
  readonly cleanup: number;
}

/** One step in so many waits. */
const EVERY = 20;
const STATE = 3;

export function slowPeriods(
  cpu: Cpu,
  rcu: number,
  delays: PeriodDelays,
  random: Random,
  nap: (ms: number) => void,
): void {
  const domain = domainAt(cpu, rcu);
  const numbers = new Set(PACES.map(({ period }) => rcu + period + Period.low));
  const masks = new Set<number>();
  for (let index = 0; index < domain.leaves; index++) {
    for (const { mask } of PACES) masks.add(leafAt(domain, index) + mask);
  }
  const pause = (ms: number) => {
    if (ms > 0 && random.oneIn(EVERY)) nap(ms);
  };
  const storeRelease = cpu.storeRelease.bind(cpu);
  cpu.storeRelease = (address, value) => {
    const state = numbers.has(address) ? value & STATE : undefined;
    if (state === IDLE) pause(delays.cleanup);
    storeRelease(address, value);
    if (state === SCANNING) pause(delays.preinit);
    else if (masks.has(address)) pause(delays.init);
  };
}
