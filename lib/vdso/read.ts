/**
 * How a clock's page is read: kernel lib/vdso/gettimeofday.c, do_hres and do_coarse. A sequence loop that ends: a reader
 * that meets a writer for long, or a page that a dead one left odd, gives up, and its caller falls back.
 *
 *   updater                             reader
 *   seq := odd                          begin := seq, once it is even    acquire
 *   wmb                                 read the page, and its own counter
 *   write the page                      rmb
 *   seq := even        release          again unless seq = begin
 *
 * The release pairs with the acquire, the wmb with the rmb. The acquire is a `loadDependent`, an ordinary load where the
 * processor keeps loads in order, and an acquire elsewhere. The last load of `seq` is always atomic: of two ordinary ones
 * the compiler makes one, and the loop is void.
 *
 * The counter is read between the two loads, and the updater reads its own after the page is odd: so a counter that goes
 * with the old parameters is never behind the moment from which the new ones hold, and time does not go back.
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

/** The calling thread's counter, ns. */
export type Counter = () => number;

/** Seconds, and nanoseconds below 1e9, of the last time that was read. */
export type Timespec = Float64Array;

/** What an attempt to read a page came to. ODD: it is being written, or is a namespace's. STALE: it has no answer. */
export const READ = 0;
export const ODD = 1;
export const TORN = 2;
export const STALE = 3;

/**
 * One attempt to read a high-resolution clock: small, so that it is inlined. `needs`: bits of `upkeep` without which the
 * page has no answer.
 */
export function tryHres(
  cpu: Cpu,
  page: number,
  clock: number,
  needs: number,
  counter: Counter,
  into: Timespec,
): number {
  const seq = cpu.loadDependent(page + VdsoData.seq);
  if (seq & 1) return ODD;
  const base = basetimeAt(page, clock);
  const mode = cpu.loadUnordered(page + VdsoData.clockMode);
  const upkeep = cpu.loadUnordered(page + VdsoData.upkeep);
  const cycles = counter();
  const last = pairAt(cpu, page + VdsoData.cycleLast);
  const most = pairAt(cpu, page + VdsoData.maxCycles);
  const mult = cpu.loadUnordered(page + VdsoData.mult);
  const shift = cpu.loadUnordered(page + VdsoData.shift);
  const sec = pairAt(cpu, base + VdsoTimestamp.sec);
  const nsec = pairAt(cpu, base + VdsoTimestamp.nsec);
  cpu.rmb();
  if (cpu.load(page + VdsoData.seq) !== seq) return TORN;
  // Another thread's counter may be some ns ahead of this one's.
  const delta = cycles > last ? cycles - last : 0;
  if (mode === CLOCKMODE_NONE || delta > most || (upkeep & needs) !== needs) return STALE;
  normalise(into, sec, Math.floor((nsec + delta * mult) / (1 << shift)));
  return READ;
}

/** The same for a clock whose time is written down in the page; it needs no counter, so the mode does not matter. */
export function tryCoarse(cpu: Cpu, page: number, clock: number, needs: number, into: Timespec): number {
  const seq = cpu.loadDependent(page + VdsoData.seq);
  if (seq & 1) return ODD;
  const base = basetimeAt(page, clock);
  const upkeep = cpu.loadUnordered(page + VdsoData.upkeep);
  const sec = pairAt(cpu, base + VdsoTimestamp.sec);
  const nsec = cpu.loadUnordered(base + VdsoTimestamp.nsec + 1);
  cpu.rmb();
  if (cpu.load(page + VdsoData.seq) !== seq) return TORN;
  into[0] = sec;
  into[1] = nsec;
  return (upkeep & needs) === needs ? READ : STALE;
}

/**
 * Reads a high-resolution clock of `page`. `real`: the page that a namespace's diverts to. False when the page can't
 * answer: it has no clock, is out of date, or is being written for too long.
 */
export function readHres(
  cpu: Cpu,
  page: number,
  real: number,
  clock: number,
  needs: number,
  counter: Counter,
  into: Timespec,
): boolean {
  if (isNamespace(cpu, page)) {
    return readHres(cpu, real, real, clock, needs, counter, into) && addOffset(cpu, page, clock, into);
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const outcome = tryHres(cpu, page, clock, needs, counter, into);
    if (outcome === READ || outcome === STALE) return outcome === READ;
    if (outcome === ODD && !settles(cpu, page)) return false;
  }
  return false;
}

/** The same for a clock whose time is written down in the page. */
export function readCoarse(
  cpu: Cpu,
  page: number,
  real: number,
  clock: number,
  needs: number,
  into: Timespec,
): boolean {
  if (isNamespace(cpu, page)) {
    return readCoarse(cpu, real, real, clock, needs, into) && addOffset(cpu, page, clock, into);
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const outcome = tryCoarse(cpu, page, clock, needs, into);
    if (outcome === READ || outcome === STALE) return outcome === READ;
    if (outcome === ODD && !settles(cpu, page)) return false;
  }
  return false;
}

/** Its mode is written once, before any thread can reach it; a page that is no namespace's never has that one. */
function isNamespace(cpu: Cpu, page: number): boolean {
  return cpu.load(page + VdsoData.clockMode) === CLOCKMODE_TIMENS;
}

/** Waits a moment for the updater. */
function settles(cpu: Cpu, page: number): boolean {
  return isEven(cpu.condLoad(page + VdsoData.seq, isEven, 0, SPINS));
}

/** Adds what the namespace's page has for the clock; its words are written once. */
export function addOffset(cpu: Cpu, namespace: number, clock: number, into: Timespec): true {
  const at = basetimeAt(namespace, clock);
  const nsec = (into[1] as number) + pairAt(cpu, at + VdsoTimestamp.nsec);
  normalise(into, (into[0] as number) + pairAt(cpu, at + VdsoTimestamp.sec), nsec);
  return true;
}

/** Writes the time, with its whole seconds in the first place. */
export function normalise(into: Timespec, sec: number, nsec: number): void {
  const carry = nsec >= NSEC_PER_SEC ? Math.floor(nsec / NSEC_PER_SEC) : 0;
  into[0] = sec + carry;
  into[1] = nsec - carry * NSEC_PER_SEC;
}

function pairAt(cpu: Cpu, at: number): number {
  return pairOf(cpu.loadUnordered(at), cpu.loadUnordered(at + 1));
}
