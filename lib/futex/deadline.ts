/** Options that say until when to wait. */
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import type { AsyncWaitOptions, WaitOptions } from '../sched/drive.ts';

/** The clock that an absolute deadline is on; CLOCK_MONOTONIC is what `Futex.now()` reads. */
export type FutexClock = 'monotonic' | 'realtime';

/** Options of the futex operations that take an absolute time. */
export interface DeadlineOptions {
  /** Give up, with ETIMEDOUT, at this time, ms on `clock`. Default: wait for ever. */
  deadline?: number | undefined;
  /**
   * 'monotonic', the default: milliseconds as `Futex.now()` gives them. 'realtime': as `Date.now()` does. A realtime
   * deadline is converted when the call begins; setting the system's clock later does not move it.
   */
  clock?: FutexClock | undefined;
}

export interface AsyncDeadlineOptions extends DeadlineOptions {
  /** Give up when this signal aborts, rejecting with its reason. */
  signal?: AbortSignal | undefined;
}

const DEADLINE_OPTIONS = ['deadline', 'clock', 'signal'];

/** The same wait with a timeout instead. Throws EINVAL for what is no time or no clock. */
export function relative(
  cpu: Cpu,
  options: AsyncDeadlineOptions | undefined,
  defaultClock: FutexClock = 'monotonic',
): AsyncWaitOptions & WaitOptions {
  if (options === undefined) return {};
  if (typeof options !== 'object' || options === null || 'timeout' in options) {
    throw new HoldfastError(
      'EINVAL',
      `expected options like { deadline: futex.now() + 50 }, received ${shown(options)}`,
    );
  }
  checkOptionNames(options, DEADLINE_OPTIONS);
  const { deadline, clock = defaultClock, signal } = options;
  if (clock !== 'monotonic' && clock !== 'realtime') {
    throw new HoldfastError('EINVAL', `clock is 'monotonic' or 'realtime', received ${shown(clock)}`);
  }
  if (deadline === undefined) return { signal };
  if (typeof deadline !== 'number' || !(deadline >= 0 && deadline < Number.POSITIVE_INFINITY)) {
    throw new HoldfastError(
      'EINVAL',
      `a deadline is a finite number of milliseconds, at least 0; received ${shown(deadline)}`,
    );
  }
  const now = clock === 'realtime' ? Date.now() : cpu.now() / 1e6;
  return { timeout: Math.max(deadline - now, 0), signal };
}
