/**
 * Whether an operating-system thread of this process still exists. A thread that sleeps in a synchronous call cannot
 * receive the `exit` event of a worker; on Linux it can look in /proc instead. Elsewhere nothing is known, and only
 * `arena.watch(worker)` on a thread whose event loop runs finds the dead.
 *
 * Slow paths ask here, so nothing here may throw: no answer means "not known to be gone". There may have been answers
 * before, because Node's permission model can be told at any time to refuse them.
 */
import { readFileSync, readlinkSync, statSync } from 'node:fs';

const TASKS = '/proc/self/task';

/** The calling thread's number, or 0 where the system does not say. */
export function osThread(): number {
  try {
    // "<process>/task/<thread>"
    return Number(readlinkSync('/proc/thread-self').split('/').at(-1)) || 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return 0;
  }
}

/** Whether that thread is known to have ended. */
export function isGone(thread: number): boolean {
  // In a sandbox that has taken /proc away nothing is there, and nothing follows from that.
  return thread !== 0 && isMissing(`${TASKS}/${thread}`) && !isMissing(TASKS);
}

function isMissing(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}

/** What the system says of a thread: its state, a letter (R runs, S sleeps, T stopped ...), and the CPU time that it has used, ms. */
export interface Usage {
  readonly state: string;
  readonly used: number;
}

/** Where the time of user and system are in `stat`, counted from the state. */
const USER_TIME = 11;
const SYSTEM_TIME = 12;
/** A tick of the times in /proc, ms: USER_HZ is 100 on every architecture that Node runs on. */
const TICK_MS = 10;

/** What the thread has computed since it began, ns; undefined where the system does not say. */
export function cpuTimeOf(thread: number): number | undefined {
  const time = Number(textOf(thread, 'schedstat')?.split(' ', 1)[0]);
  return Number.isFinite(time) ? time : undefined;
}

/** In which function of the system the thread sleeps: '0' where it runs; undefined where the system does not say. */
export function sleepsIn(thread: number): string | undefined {
  return textOf(thread, 'wchan');
}

function textOf(thread: number, file: string): string | undefined {
  try {
    return readFileSync(`${TASKS}/${thread}/${file}`, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}

/** Undefined where the system does not say. */
export function usageOf(thread: number): Usage | undefined {
  try {
    const stat = readFileSync(`${TASKS}/${thread}/stat`, 'utf8');
    // The name stands in parentheses, and may have some of its own.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const used = (Number(fields[USER_TIME]) + Number(fields[SYSTEM_TIME])) * TICK_MS;
    return Number.isFinite(used) ? { state: fields[0] ?? '?', used } : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return undefined;
  }
}
