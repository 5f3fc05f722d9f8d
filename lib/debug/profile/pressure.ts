/**
 * Pressure: what share of their time the arena's threads wait for locks in synchronous calls, over the last 10, 60 and 300 s, as
 * /proc/pressure has it for what the kernel's tasks wait for. A wait that is under way counts, too.
 *
 * The averages decay exponentially, as those of kernel/sched/psi.c, and are brought up to date when they are asked for: as good as it is to
 * ask every 2 s.
 */
import type { Cpu } from '../../machine/cpu.ts';
import { maxThreads, Slot, slotAddress } from '../../sched/slot.ts';
import { CLASS_ROWS, Profile, Recording, ROWS, Row, sinceAt, Waits } from './layout.ts';
import { isLockKind, kindNameOf } from './rows.ts';
import { tallyRead } from './tally.ts';

export interface Pressure {
  /** Shares of the time of all attached threads, from 0 to 1, on average over the last 10, 60 and 300 s. */
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  /** All that was waited since the profile began, ns. */
  readonly total: number;
}

/** s. */
const WINDOWS = [10, 60, 300] as const;

export class PressureMeter {
  readonly #averages: [number, number, number] = [0, 0, 0];
  #time: number;
  #total = 0;

  /** `start`: when nothing had been waited yet, ns. */
  constructor(start: number) {
    this.#time = start;
  }

  /** `total` ns were waited until `now`, by so many threads. */
  update(now: number, total: number, threads: number): Pressure {
    const elapsed = now - this.#time;
    if (elapsed > 0) {
      // Where a thread is in the middle of recording a wait, that counts twice or not for a moment.
      const share = Math.min(1, Math.max(0, total - this.#total) / (elapsed * Math.max(1, threads)));
      for (const [i, window] of WINDOWS.entries()) {
        const kept = Math.exp(-elapsed / 1e9 / window);
        this.#averages[i] = (this.#averages[i] as number) * kept + share * (1 - kept);
      }
      this.#time = now;
      this.#total = Math.max(this.#total, total);
    }
    const [avg10, avg60, avg300] = this.#averages;
    return { avg10, avg60, avg300, total: this.#total };
  }
}

/** How long threads have waited for locks in synchronous calls since the session began, ns, and how many threads there are. */
export function waitedFor(
  cpu: Cpu,
  profile: number,
  session: number,
): { readonly total: number; readonly threads: number } {
  let [total, threads] = [0, 0];
  // Those under way first: one that ends meanwhile counts twice until the next look, and is not lost.
  const now = sinceAt(cpu.now());
  for (let number = 0; number < maxThreads(cpu); number++) {
    const slot = slotAddress(cpu, number);
    if (cpu.load(slot + Slot.life) <= 0) continue;
    threads++;
    const since = cpu.load(slot + Recording.since);
    if (since !== 0 && cpu.load(slot + Recording.heard) === session) total += ((now - since) & 0x7fffffff) * 1e6;
  }
  for (
    let row = profile + Profile.rows;
    row < profile + Profile.rows + (ROWS + CLASS_ROWS) * Row.words;
    row += Row.words
  ) {
    const isNamed = cpu.loadAcquire(row + Row.named) !== 0;
    if (isNamed && isLockKind(kindNameOf(cpu.load(row + Row.kind))))
      total += tallyRead(cpu, row + Row.sync + Waits.total);
  }
  return { total, threads };
}
