import { latchOwner, tryLatch } from '../memory/latch.ts';
import type { Repairer } from '../sched/reaper.ts';

const isFree = (value: number) => value === 0;

/**
 * `Repairer.latch` that does not wait for longer than a moment: false when a thread has the latch that is not known to
 * be dead, and does not let go of it. That thread may have died since the reaper began, and nobody else would find out.
 */
export function takeLatch(repairer: Repairer, address: number, rebuild: () => void): boolean {
  const { cpu, owner, isDead } = repairer;
  const holder = latchOwner(cpu, address);
  if (holder !== 0 && isDead(holder)) {
    repairer.latch(address, rebuild);
    return true;
  }
  if (!tryLatch(cpu, address, owner)) {
    if (!repairer.settle(address, isFree, 0) || !tryLatch(cpu, address, owner)) return false;
  }
  // A dead thread may have let go of it, and not woken the next.
  cpu.wake(address, Number.POSITIVE_INFINITY);
  return true;
}
