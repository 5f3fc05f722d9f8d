import { cpus } from 'node:os';

/**
 * The programs that have used the machine's processors since this was made. Waits for a lock are waits for a processor too, so on a
 * busy machine they say little about the lock.
 */
export class Usage {
  readonly #before = machine();
  readonly #mine = process.cpuUsage();

  /** The share of all processor time that other processes took, 0 to 1. */
  others(): number {
    const { busy, total } = machine();
    const { user, system } = process.cpuUsage(this.#mine);
    const spent = total - this.#before.total;
    return spent === 0 ? 0 : Math.max(0, (busy - this.#before.busy - (user + system) / 1000) / spent);
  }
}

/** All processors together, ms. */
function machine(): { busy: number; total: number } {
  let idle = 0;
  let total = 0;
  for (const { times } of cpus()) {
    idle += times.idle;
    total += times.user + times.nice + times.sys + times.irq + times.idle;
  }
  return { busy: total - idle, total };
}
