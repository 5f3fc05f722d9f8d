/**
 * How a clock's page is read: kernel lib/vdso/gettimeofday.c, do_hres and do_coarse. A thread copies what a clock needs out
 * of the page, once for each update; a read is then one load of `seq`, which says that the copy still holds.
 *
 *   updater                             reader that copies
 *   seq := odd                          begin := seq, once it is even    acquire
 *   wmb                                 copy the page
 *   write the page                      rmb
 *   seq := even        release          again unless seq = begin
 *
 * The release pairs with the acquire, the wmb with the rmb. Every load is atomic: ECMAScript gives ordinary ones that race
 * no order at all, and of two ordinary loads of `seq` V8 makes one, which makes a sequence loop void.
 *
 * The counter is read before the load of `seq` that says that the copy holds, and the updater reads its own after `seq` is
 * odd. So a counter that goes with the old parameters is never behind the moment from which the new ones hold, and time
 * does not go back.
 */
import {
  basetimeAt,
  CLOCKMODE_NONE,
  CLOCKMODE_TIMENS,
  pairOf,
  VdsoData,
  VdsoTimestamp,
} from '../arena/time-namespace.ts';
import type { Cpu } from '../machine/cpu.ts';

/** Loads that a reader waits for an updater, which writes for less than 1 us. */
const SPINS = 32;
/** Times that a whole update may pass a reader by. */
const ATTEMPTS = 8;

/** Bits of `upkeep`. The coarse times are as old as a tick; the wall clock is watched for steps. */
export const TICKING = 1;
export const WATCHED = 2;

const NSEC_PER_SEC = 1e9;

const isEven = (seq: number) => (seq & 1) === 0;

/** A counter that all threads share, ns. */
export type Counter = () => number;

/** Seconds, and nanoseconds below 1e9, of the last time that was read. */
export type Timespec = Float64Array;

/** What an attempt came to. ODD: the page is being written, or is a namespace's. STALE: it has no answer. */
export const READ = 0;
export const CHANGED = 1;
export const ODD = 2;
export const STALE = 3;

/** What a thread keeps of one clock. */
export class ClockCopy {
  readonly clock: number;
  /** The page that the clock is in. */
  readonly page: number;
  /** Bits of `upkeep` without which the page has no answer. */
  readonly needs: number;
  /** The page's `seq` when this was copied. NaN: nothing is copied. (Any whole number may be a page's.) */
  seq = Number.NaN;
  /** The base time: whole seconds, and nanoseconds; shifted for a high-resolution clock. */
  sec = 0;
  nsec = 0;
  /** The counter at the base time, how far it may be from there, and shifted nanoseconds for each of its own. */
  last = 0;
  most = 0;
  mult = 0;
  /** 1 / 2^shift. */
  scale = 0;
  /** The last time that was given for the clock, ns. */
  latest = 0;

  constructor(clock: number, page: number, needs: number) {
    this.clock = clock;
    this.page = page;
    this.needs = needs;
  }
}

/** A high-resolution clock by the copy, if it still holds. Small, so that it is inlined. */
export function tryHres(cpu: Cpu, copy: ClockCopy, counter: Counter, into: Timespec): number {
  const cycles = counter();
  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;
  const delta = cycles - copy.last;
  if (delta > copy.most) return STALE;
  // The updater may have written down a later moment than that of a thread that was preempted in counter().
  const nsec = Math.floor((copy.nsec + (delta > 0 ? delta * copy.mult : 0)) * copy.scale);
  normalise(into, copy.sec, nsec);
  return READ;
}

/** A clock whose time is written down in the page, by the copy, if it still holds. */
export function tryCoarse(cpu: Cpu, copy: ClockCopy, into: Timespec): number {
  if (cpu.load(copy.page + VdsoData.seq) !== copy.seq) return CHANGED;
  into[0] = copy.sec;
  into[1] = copy.nsec;
  return READ;
}

/** One attempt to copy what a high-resolution clock needs. */
export function copyHres(cpu: Cpu, copy: ClockCopy): number {
  const { page, clock } = copy;
  const seq = cpu.loadAcquire(page + VdsoData.seq);
  if (seq & 1) return ODD;
  const base = basetimeAt(page, clock);
  const mode = cpu.load(page + VdsoData.clockMode);
  const upkeep = cpu.load(page + VdsoData.upkeep);
  const last = pairAt(cpu, page + VdsoData.cycleLast);
  const most = pairAt(cpu, page + VdsoData.maxCycles);
  const mult = cpu.load(page + VdsoData.mult);
  const shift = cpu.load(page + VdsoData.shift);
  const sec = pairAt(cpu, base + VdsoTimestamp.sec);
  const nsec = pairAt(cpu, base + VdsoTimestamp.nsec);
  cpu.rmb();
  if (cpu.load(page + VdsoData.seq) !== seq) return CHANGED;
  if (mode === CLOCKMODE_NONE || (upkeep & copy.needs) !== copy.needs) return STALE;
  copy.seq = seq;
  copy.sec = sec;
  copy.nsec = nsec;
  copy.last = last;
  copy.most = most;
  copy.mult = mult;
  copy.scale = 2 ** -shift;
  return READ;
}

/** The same for a clock whose time is written down in the page; it needs no counter, so the mode does not matter. */
export function copyCoarse(cpu: Cpu, copy: ClockCopy): number {
  const { page, clock } = copy;
  const seq = cpu.loadAcquire(page + VdsoData.seq);
  if (seq & 1) return ODD;
  const base = basetimeAt(page, clock);
  const upkeep = cpu.load(page + VdsoData.upkeep);
  const sec = pairAt(cpu, base + VdsoTimestamp.sec);
  const nsec = pairAt(cpu, base + VdsoTimestamp.nsec);
  cpu.rmb();
  if (cpu.load(page + VdsoData.seq) !== seq) return CHANGED;
  if ((upkeep & copy.needs) !== copy.needs) return STALE;
  copy.seq = seq;
  copy.sec = sec;
  copy.nsec = nsec;
  copy.scale = 1;
  return READ;
}

/**
 * Brings the copy up to date. `mapped` is the page that the thread has at the data page's place: the clock's own, or its time
 * namespace's, which is odd for ever and diverts to the clock's own (kernel do_hres_timens). False when the page has no
 * answer: it has no clock, is not kept, or is being written for too long.
 */
function refresh(cpu: Cpu, copy: ClockCopy, attempt: typeof copyHres, mapped: number): boolean {
  copy.seq = Number.NaN;
  if (!refreshFrom(cpu, copy, attempt)) return false;
  if (isNamespace(cpu, mapped)) addOffset(cpu, mapped, copy);
  return true;
}

function refreshFrom(cpu: Cpu, copy: ClockCopy, attempt: typeof copyHres): boolean {
  for (let i = 0; i < ATTEMPTS; i++) {
    const outcome = attempt(cpu, copy);
    if (outcome === READ || outcome === STALE) return outcome === READ;
    if (outcome === ODD && !settles(cpu, copy.page)) return false;
  }
  return false;
}

/** Reads a high-resolution clock whose copy holds no longer. False when the page has no answer. */
export function readHres(cpu: Cpu, copy: ClockCopy, mapped: number, counter: Counter, into: Timespec): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    if (!refresh(cpu, copy, copyHres, mapped)) return false;
    const outcome = tryHres(cpu, copy, counter, into);
    if (outcome !== CHANGED) return outcome === READ;
  }
  return false;
}

/** The same for a clock whose time is written down in the page. */
export function readCoarse(cpu: Cpu, copy: ClockCopy, mapped: number, into: Timespec): boolean {
  if (!refresh(cpu, copy, copyCoarse, mapped)) return false;
  into[0] = copy.sec;
  into[1] = copy.nsec;
  return true;
}

/** Its mode is written once, before any thread can reach it; a page that is no namespace's never has that one. */
function isNamespace(cpu: Cpu, page: number): boolean {
  return cpu.load(page + VdsoData.clockMode) === CLOCKMODE_TIMENS;
}

/** Waits a moment for the updater. */
function settles(cpu: Cpu, page: number): boolean {
  return isEven(cpu.condLoad(page + VdsoData.seq, isEven, 0, SPINS));
}

/** Adds what the namespace's page has for the clock to the copy; the page's words are written once. */
function addOffset(cpu: Cpu, namespace: number, copy: ClockCopy): void {
  const [sec, nsec] = offsetOf(cpu, namespace, copy.clock);
  const second = NSEC_PER_SEC / copy.scale;
  const sum = copy.nsec + nsec / copy.scale;
  copy.sec += sec + (sum >= second ? 1 : 0);
  copy.nsec = sum >= second ? sum - second : sum;
}

/** What a namespace's clock is ahead: seconds, and nanoseconds below 1e9. */
export function offsetOf(cpu: Cpu, namespace: number, clock: number): [number, number] {
  const at = basetimeAt(namespace, clock);
  return [pairAt(cpu, at + VdsoTimestamp.sec), pairAt(cpu, at + VdsoTimestamp.nsec)];
}

/** Writes the time, with its whole seconds in the first place. */
export function normalise(into: Timespec, sec: number, nsec: number): void {
  const carry = nsec >= NSEC_PER_SEC ? Math.floor(nsec / NSEC_PER_SEC) : 0;
  into[0] = sec + carry;
  into[1] = nsec - carry * NSEC_PER_SEC;
}

function pairAt(cpu: Cpu, at: number): number {
  return pairOf(cpu.load(at), cpu.load(at + 1));
}
