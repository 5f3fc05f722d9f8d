/**
 * What the system knows and no counter says: the wall clock, how long the machine has slept, and the leap seconds. Each
 * is a difference between two clocks, so it is measured once in a while, not at each read.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { counter } from '../machine/counter.ts';
import { dateNow } from '../machine/host.ts';

/** What REALTIME is ahead of the counter. `error`: the width of the window in which it was seen, ns. */
export interface Wall {
  readonly sec: number;
  readonly nsec: number;
  readonly error: number;
}

const NSEC_PER_SEC = 1e9;
const NSEC_PER_MSEC = 1e6;
/** Ticks of Date.now() that are looked at until one is seen in a window as narrow as this, ns. */
const WALL_TICKS = 3;
const NARROW = 5000;
/** Where a busy machine has preempted the thread in all of those, it looks at up to so many, until one is not off by more than a tick. */
const MOST_WALL_TICKS = 100;
/** Between the epochs of NTP, in which leap-seconds.list counts, and of Unix, s. */
const NTP_EPOCH = 2_208_988_800;
const LEAP_SECONDS = ['/usr/share/zoneinfo/leap-seconds.list', '/usr/share/zoneinfo/right/leap-seconds.list'];
/** The clocks of the kernel's timers, `enum hrtimer_base_type`, as /proc/timer_list numbers them. */
const REALTIME_BASE = '1';
const BOOTTIME_BASE = '2';
const TAI_BASE = '3';
/** Of /proc/timer_list, the part that the first processor's clocks are in: bytes. It lists all timers of all processors. */
const TIMER_LIST_PART = 1 << 16;
/** Of /proc/uptime, ns. */
const UPTIME_STEP = 10e6;

/**
 * Watches Date.now() go on by a millisecond: at that moment it is exact, while `performance.timeOrigin + now()` is
 * milliseconds off. Takes 1 ms, some more when the thread is preempted.
 */
export function catchWall(cycles = counter, date = dateNow): Wall {
  let best: Wall = { sec: 0, nsec: 0, error: Number.POSITIVE_INFINITY };
  const isGood = (tick: number) => best.error <= (tick < WALL_TICKS ? NARROW : NSEC_PER_MSEC);
  for (let tick = 0; tick < MOST_WALL_TICKS && !isGood(tick); tick++) {
    const first = date();
    let before = cycles();
    let ms = date();
    while (ms === first) {
      before = cycles();
      ms = date();
    }
    const after = cycles();
    if (after - before < best.error) best = wallAt(ms, (before + after) / 2, after - before);
  }
  return best;
}

/** Whether `wall` is what Date.now() says: after a step of the wall clock it is not, nor after slewing for long. */
export function isWallRight(wall: Wall): boolean {
  const before = counter();
  const ms = dateNow();
  const after = counter();
  const slack = wall.error + NARROW;
  return msAt(wall, before - slack) <= ms && ms <= msAt(wall, after + slack);
}

/** What BOOTTIME is ahead of MONOTONIC, ns: 0 unless the machine has slept, or where the system does not say. */
export function bootOffset(): number {
  const ahead = uptimeAhead();
  // It has not slept, or for less than can be told.
  return Math.abs(ahead) <= 2 * UPTIME_STEP ? 0 : ahead;
}

/**
 * `bootOffset`, exactly, where the kernel says it, to root. Else by the moments at which /proc/uptime goes on: of `ticks` of
 * them, the one in the narrowest window, some us. That takes 10 ms for each; nothing is looked at unless the machine has
 * slept.
 */
export function catchBootOffset(ticks: number): number {
  const rough = bootOffset();
  if (rough === 0) return 0;
  const exact = clockOffsetsIn(timerList()).boottime;
  if (exact !== undefined) return exact;
  let best = { ahead: rough, error: Number.POSITIVE_INFINITY };
  for (let tick = 0; tick < ticks; tick++) {
    const first = uptime();
    let before = counter();
    let now = uptime();
    while (now === first) {
      before = counter();
      now = uptime();
    }
    const after = counter();
    if (after - before < best.error) best = { ahead: now - (before + after) / 2, error: after - before };
  }
  return best.ahead;
}

/** Whether the system says how long it has been up, with the time that it slept. */
export function hasUptime(): boolean {
  return !Number.isNaN(uptime());
}

function uptimeAhead(): number {
  const now = counter();
  const ahead = uptime() - now;
  return Number.isNaN(ahead) ? 0 : ahead;
}

/** ns, in steps of 10 ms; NaN where the system does not say. */
function uptime(): number {
  try {
    return Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * NSEC_PER_SEC;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return Number.NaN;
  }
}

/** What the kernel's clocks are ahead, whole ns; undefined where it does not say. */
export interface ClockOffsets {
  /** BOOTTIME of MONOTONIC. */
  readonly boottime: number | undefined;
  /** TAI of REALTIME. */
  readonly tai: number | undefined;
}

/** The offsets in a /proc/timer_list (kernel kernel/time/timer_list.c, print_base), by the first processor's clocks. */
export function clockOffsetsIn(list: string): ClockOffsets {
  const offsets = new Map<string | undefined, bigint>();
  for (const [, index, offset] of list.matchAll(
    /\.index: +(\d+)\n(?: +\.[^:\n]+:[^\n]*\n)*? +\.offset: +(\d+) nsecs/g,
  )) {
    if (!offsets.has(index)) offsets.set(index, BigInt(offset as string));
  }
  const ahead = (of: string, than: bigint | undefined) => {
    const offset = offsets.get(of);
    return offset === undefined || than === undefined ? undefined : Number(offset - than);
  };
  return { boottime: ahead(BOOTTIME_BASE, 0n), tai: ahead(TAI_BASE, offsets.get(REALTIME_BASE)) };
}

/** The beginning of /proc/timer_list; '' for whom the system does not show it to. */
function timerList(): string {
  try {
    const file = openSync('/proc/timer_list', 'r');
    try {
      const part = Buffer.alloc(TIMER_LIST_PART);
      let length = 0;
      for (let read = -1; read !== 0 && length < part.length; length += read) {
        read = readSync(file, part, length, part.length - length, null);
      }
      return part.toString('latin1', 0, length);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    return '';
  }
}

/**
 * What TAI is ahead of UTC, s, or undefined where the system does not say: what its kernel has been told (a kernel that
 * nobody has told says 0), else its list of leap seconds.
 */
export function taiOffset(now = dateNow() / 1e3, list = timerList()): number | undefined {
  const told = clockOffsetsIn(list).tai;
  if (told !== undefined && told !== 0) return Math.round(told / NSEC_PER_SEC);
  for (const file of LEAP_SECONDS) {
    try {
      return taiOffsetIn(readFileSync(file, 'latin1'), now);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
  return undefined;
}

/** The entry of a leap-seconds.list that holds at `now`, s since 1970: lines of a time, in s since 1900, and an offset. */
export function taiOffsetIn(list: string, now: number): number {
  let offset = 0;
  for (const line of list.split('\n')) {
    const [, since, seconds] = /^(\d+)\s+(\d+)/.exec(line) ?? [];
    if (since !== undefined && Number(since) - NTP_EPOCH <= now) offset = Number(seconds);
  }
  return offset;
}

function wallAt(ms: number, cycles: number, error: number): Wall {
  const cyclesSec = Math.floor(cycles / NSEC_PER_SEC);
  const sec = Math.floor(ms / 1e3) - cyclesSec;
  const nsec = (ms % 1e3) * NSEC_PER_MSEC - (cycles - cyclesSec * NSEC_PER_SEC);
  return nsec < 0 ? { sec: sec - 1, nsec: nsec + NSEC_PER_SEC, error } : { sec, nsec, error };
}

/** What Date.now() is to say when the counter is `cycles`. */
function msAt({ sec, nsec }: Wall, cycles: number): number {
  const cyclesSec = Math.floor(cycles / NSEC_PER_SEC);
  return (sec + cyclesSec) * 1e3 + Math.floor((nsec + (cycles - cyclesSec * NSEC_PER_SEC)) / NSEC_PER_MSEC);
}
