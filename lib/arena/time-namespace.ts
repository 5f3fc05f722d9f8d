/**
 * The data page of the shared clock, `vdso_data`, and what a time namespace makes of it: a page of the same layout whose
 * base times are offsets. It stands in this room because a thread is in a time namespace as it is in a slot; the clock
 * itself is `lib/vdso/`.
 *
 * A namespace's page is odd for ever, so a reader that knows of no namespaces looks no further than its first load: only
 * where a page is odd does anybody look at its mode (kernel lib/vdso/gettimeofday.c).
 */
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { defineKind, type Kind } from '../memory/kinds.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

/** One base time. `nsec` of the high-resolution clocks is shifted; each is a pair of words, the high one first. */
export const VdsoTimestamp = struct({ sec: 2, nsec: 2 });

/** Clock numbers are the kernel's, and below this. */
export const VDSO_BASES = 12;

export const VdsoData = struct({
  magic: 1,
  version: 1,
  /** Odd while the page is written; in a namespace's page for ever. */
  seq: 1,
  clockMode: 1,
  /** 64-bit values: the high word first. */
  cycleLast: 2,
  maxCycles: 2,
  mask: 2,
  mult: 1,
  shift: 1,
  hrtimerRes: 1,
  tzMinuteswest: 1,
  tzDsttime: 1,
  /** TICKING and WATCHED: which of its times are kept up to date. */
  upkeep: 1,
  basetime: VDSO_BASES * VdsoTimestamp.words,
});

/** 'VVAR'. */
export const PAGE_MAGIC = 0x56564152;
export const PAGE_VERSION = 1;

export const CLOCKMODE_NONE = 0;
/** The counter of `process.hrtime`, whose zero all threads share. */
export const CLOCKMODE_HRTIME = 1;
export const CLOCKMODE_TIMENS = 2;

export const CLOCK_REALTIME = 0;
export const CLOCK_MONOTONIC = 1;
export const CLOCK_MONOTONIC_RAW = 4;
export const CLOCK_REALTIME_COARSE = 5;
export const CLOCK_MONOTONIC_COARSE = 6;
export const CLOCK_BOOTTIME = 7;
export const CLOCK_TAI = 11;

const NSEC_PER_SEC = 1e9;
/** Offsets are at most this far from 0, s: some 285 years. */
const MOST_SEC = 9e9;

export interface TimeNamespaceOffsets {
  /** What the thread's CLOCK_MONOTONIC is ahead of the arena's, ms. @default 0 */
  monotonic?: number | undefined;
  /** The same for CLOCK_BOOTTIME. @default 0 */
  boottime?: number | undefined;
}

const Page = struct({ header: ObjectHeader, data: VdsoData });

const KIND = defineKind<Repairer>({
  name: 'time-namespace',
  words: Page,
  format: () => {},
  holder: () => 0,
  isBusy: () => true,
  repair: () => true,
});

/** Whether a namespace is there: nothing but its first words is trusted to be. */
export function isTimeNamespace(cpu: Cpu, address: number): boolean {
  const isPlace = Number.isInteger(address) && address > 0 && address + Page.words <= cpu.read(Header.size);
  return isPlace && cpu.read(address + ObjectHeader.kind) === KIND.id;
}

/** The data page of the namespace at `address`. */
export function pageOf(namespace: number): number {
  return namespace + Page.data;
}

/** The kind of a namespace with these offsets. Throws EINVAL for those that would make the time at `now`, ns, negative. */
export function namespaceWith({ monotonic = 0, boottime = 0 }: TimeNamespaceOffsets, now: number): Kind {
  for (const [name, ms] of Object.entries({ monotonic, boottime })) {
    if (typeof ms !== 'number' || !(Math.abs(ms) <= MOST_SEC * 1e3)) {
      throw new HoldfastError(
        'EINVAL',
        `${name} is a number of ms of at most ${MOST_SEC * 1e3}, received ${shown(ms)}`,
      );
    }
    if (now + ms * 1e6 < 0) {
      throw new HoldfastError('EINVAL', `with ${name}: ${ms} the time would be negative: it is ${now / 1e6} ms`);
    }
  }
  return {
    ...KIND,
    format(cpu: Cpu, address: number) {
      const page = pageOf(address);
      cpu.write(page + VdsoData.magic, PAGE_MAGIC);
      cpu.write(page + VdsoData.version, PAGE_VERSION);
      cpu.write(page + VdsoData.seq, 1);
      cpu.write(page + VdsoData.clockMode, CLOCKMODE_TIMENS);
      for (const clock of [CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE]) {
        writeTimestamp(cpu, page, clock, monotonic);
      }
      writeTimestamp(cpu, page, CLOCK_BOOTTIME, boottime);
    },
  } as Kind;
}

/** Where a page has the base time of a clock. */
export function basetimeAt(page: number, clock: number): number {
  return page + VdsoData.basetime + clock * VdsoTimestamp.words;
}

/** A pair of words as a whole number: `high` with its sign. */
export function pairOf(high: number, low: number): number {
  return high * 2 ** 32 + (low >>> 0);
}

function writeTimestamp(cpu: Cpu, page: number, clock: number, ms: number): void {
  const ns = Math.round(ms * 1e6);
  const sec = Math.floor(ns / NSEC_PER_SEC);
  const at = basetimeAt(page, clock);
  for (const [field, value] of [
    [VdsoTimestamp.sec, sec],
    [VdsoTimestamp.nsec, ns - sec * NSEC_PER_SEC],
  ] as const) {
    cpu.write(at + field, Math.floor(value / 2 ** 32));
    cpu.write(at + field + 1, (value % 2 ** 32) | 0);
  }
}
