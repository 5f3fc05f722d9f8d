/**
 * The host's clocks and timers, as they were when this module was loaded. Test environments put fakes in their place
 * (vitest, jest, sinon, node:test) that stand still until the test advances them; a thread that sleeps in a synchronous
 * call, and the timer that keeps the process alive, need the real ones.
 */

/** Milliseconds since this thread's own zero. */
export const now: () => number = performance.now.bind(performance);
/** Nanoseconds on the clock that all threads share. */
export const hrtime: () => bigint = process.hrtime.bigint.bind(process.hrtime);

export const { setTimeout, clearTimeout, setInterval, clearInterval } = globalThis;
