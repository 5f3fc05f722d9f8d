/**
 * The host's clocks and timers, as they were when this module was loaded. Test environments put fakes in their place
 * (vitest, jest, sinon, node:test) that stand still until the test advances them; a thread that sleeps in a synchronous
 * call, and the timer that keeps the process alive, need the real ones.
 */
import timers from 'node:timers';

/** Nanoseconds on the clock that all threads share. */
export const hrtime: () => bigint = process.hrtime.bigint.bind(process.hrtime);
/** Milliseconds since the epoch, whole ones, on the system's wall clock. */
export const dateNow: () => number = Date.now;

/** Node's own: a browser's test environment has timers on its global that are plain numbers. */
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate } = timers;
