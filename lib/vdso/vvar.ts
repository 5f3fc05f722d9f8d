/**
 * The shared clock's object in the arena, `[vdso]`: its data pages, the image, the auxiliary vector, and what its updater
 * and its readers tell each other.
 */

import { CLOCKMODE_NONE, PAGE_MAGIC, PAGE_VERSION, VdsoData } from '../arena/time-namespace.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import { unlatch } from '../memory/latch.ts';
import type { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import {
  AT_CLKTCK,
  AT_HWCAP,
  AT_PAGESZ,
  AT_PLATFORM,
  AT_RANDOM,
  AUXV_WORDS,
  formatAuxv,
  formatImage,
  HWCAP_HRTIME,
  HWCAP_PAUSE,
  HWCAP_WAIT_ASYNC,
  Image,
  parseAuxv,
} from './image.ts';
import { CS_BASES, RAW } from './update.ts';

/** Ticks of the coarse clocks in a second, unless the arena's first view says otherwise: CONFIG_HZ of most distributions. */
export const HZ = 250;

export const Vvar = struct({
  header: ObjectHeader,
  /** Guards the pages against a second updater. */
  latch: 1,
  /** The CPU number plus one of the thread that keeps the pages up to date, or 0. Written under the latch. */
  updater: 1,
  /** What has been read since the last tick: COARSE, WALL. */
  demand: 1,
  /** What the program has said that TAI is ahead of UTC, s, plus one; 0 when it has not. */
  tai: 1,
  data: CS_BASES * VdsoData.words,
  auxv: AUXV_WORDS,
  image: Image,
});

/** Bits of `demand`. */
export const COARSE = 1;
export const WALL = 2;

/** Offsets of the pages, as a fault names them. */
export const VVAR_DATA_PAGE_OFFSET = 0;
export const VVAR_TIMENS_PAGE_OFFSET = 1;

const KIND = defineKind<Repairer>({
  name: 'vdso',
  words: Vvar,
  format: (cpu, vvar) => format(cpu, vvar, HZ),
  holder: () => 0,
  // Threads keep the places of its pages for good.
  isBusy: () => true,
  repair,
});

/** The arena's clock, made if there is none: with `hz` ticks a second, which it keeps. */
export function openVvar(objects: Objects, hz = HZ): number {
  return objects.open({ ...KIND, format: (cpu, vvar) => format(cpu, vvar, hz) }, '[vdso]');
}

function format(cpu: Cpu, vvar: number, hz: number): void {
  for (const page of [vvar + Vvar.data, vvar + Vvar.data + RAW]) {
    cpu.write(page + VdsoData.magic, PAGE_MAGIC);
    cpu.write(page + VdsoData.version, PAGE_VERSION);
    cpu.write(page + VdsoData.clockMode, CLOCKMODE_NONE);
    cpu.write(page + VdsoData.tzMinuteswest, new Date().getTimezoneOffset());
  }
  formatImage(cpu, vvar + Vvar.image);
  formatAuxv(cpu, vvar + Vvar.auxv, vvar + Vvar.image, {
    [AT_PAGESZ]: VdsoData.words * 4,
    [AT_CLKTCK]: hz,
    [AT_HWCAP]: features(),
    [AT_PLATFORM]: vvar + Vvar.image,
    [AT_RANDOM]: vvar + ObjectHeader.words,
  });
}

/** From one tick of the coarse clocks to the next, ns. */
export function tickOf(cpu: Cpu, vvar: number): number {
  return 1e9 / (parseAuxv(cpu, vvar + Vvar.auxv).get(AT_CLKTCK) ?? HZ);
}

/**
 * `vvar_fault`: the page that a thread finds at the offset, when `namespace` is the page of its time namespace, or 0. Throws
 * EFAULT where no page is (the kernel sends SIGBUS), EINVAL for one of another layout.
 */
export function vdsoFault(cpu: Cpu, vvar: number, offset: number, namespace: number): number {
  const data = vvar + Vvar.data;
  const isThere = offset === VVAR_DATA_PAGE_OFFSET || (offset === VVAR_TIMENS_PAGE_OFFSET && namespace !== 0);
  if (!isThere) throw new HoldfastError('EFAULT', `the shared clock has no page at offset ${shown(offset)}`);
  const page = offset === VVAR_DATA_PAGE_OFFSET && namespace !== 0 ? namespace : data;
  if (cpu.read(page + VdsoData.magic) !== PAGE_MAGIC || cpu.read(page + VdsoData.version) !== PAGE_VERSION) {
    throw new HoldfastError('EINVAL', `the page at ${page} is none of the shared clock's of version ${PAGE_VERSION}`);
  }
  return page;
}

/**
 * A dead updater's pages are odd from here on, if they were not: readers fall back, where the coarse times would stand
 * still. The next update makes them whole and even.
 */
function repair(repairer: Repairer, vvar: number): boolean {
  const { cpu, isDead } = repairer;
  if (!repairer.latch(vvar + Vvar.latch, () => {})) return false;
  const updater = cpu.load(vvar + Vvar.updater);
  if (updater !== 0 && isDead(updater)) {
    for (const page of [vvar + Vvar.data, vvar + Vvar.data + RAW]) cpu.fetchOr(page + VdsoData.seq, 1);
    cpu.store(vvar + Vvar.updater, 0);
  }
  unlatch(cpu, vvar + Vvar.latch);
  return true;
}

function features(): number {
  const pause = 'pause' in Atomics ? HWCAP_PAUSE : 0;
  return HWCAP_WAIT_ASYNC | HWCAP_HRTIME | pause;
}
