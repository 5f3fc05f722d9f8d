/**
 * A thread's view of the shared clock: which page it reads, which symbols its image has, and what it falls back to.
 */
import { inspect } from 'node:util';
import type { Arena } from '../arena/arena.ts';
import {
  CLOCK_BOOTTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME,
  CLOCK_REALTIME_COARSE,
  CLOCK_TAI,
  CLOCKMODE_NONE,
  VDSO_BASES,
  VdsoData,
} from '../arena/time-namespace.ts';
import { HoldfastError, shown } from '../errors.ts';
import { counter } from '../machine/counter.ts';
import type { Cpu } from '../machine/cpu.ts';
import { dateNow } from '../machine/host.ts';
import { AT_SYSINFO_EHDR, Image, moveImage, parseAuxv, SYMBOLS, type SymbolName, vdsoSymbol } from './image.ts';
import {
  addOffset,
  normalise,
  READ,
  readCoarse,
  readHres,
  TICKING,
  type Timespec,
  tryCoarse,
  tryHres,
  WATCHED,
} from './read.ts';
import { bootOffset, hasUptime, taiOffset } from './sources.ts';
import { RAW } from './update.ts';
import { Tick, Updater } from './updater.ts';
import { COARSE, HZ, openVvar, VVAR_DATA_PAGE_OFFSET, VVAR_TIMENS_PAGE_OFFSET, Vvar, vdsoFault, WALL } from './vvar.ts';

export interface VdsoOptions {
  /**
   * What TAI is ahead of UTC, whole seconds, for the whole arena; the first Vdso of the arena says it. Default: what the
   * system's list of leap seconds says, or 0.
   */
  taiOffset?: number | undefined;
}

/** A time since the epoch. */
export interface WallTime {
  /** Whole seconds. */
  sec: number;
  /** Nanoseconds, below 1e9. */
  nsec: number;
}

const bit = (...clocks: number[]) => clocks.reduce((mask, clock) => mask | (1 << clock), 0);

const VDSO_COARSE = bit(CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE);
const VDSO_RAW = bit(CLOCK_MONOTONIC_RAW);
const VDSO_HRES = bit(CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI);
/** Clocks that the system can step, or that go on while the machine sleeps: somebody has to look. */
const STEPPED = bit(CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI);
/** Times since the epoch, beyond the whole numbers of a double. */
const WALLS = bit(CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI);
const NSEC_PER_SEC = 1e9;
const TICK_NS = NSEC_PER_SEC / HZ;
const MOST_TAI = 1e6;

/**
 * The shared clock: times that all threads of the arena agree on, read from pages in shared memory. What the kernel's vdso
 * is to processes.
 *
 * A read of a COARSE clock is a few loads, and as old as a tick, 4 ms; the first ones, while the tick starts, read the fine
 * clock. A read of any other clock costs what `performance.now()` does. MONOTONIC never goes back, in no thread, whatever
 * the wall clock does, and is the same in all threads to less than 1 us; its zero is that of `process.hrtime`.
 * MONOTONIC_RAW counts on where MONOTONIC is slewed: the system has slewed both. BOOTTIME is MONOTONIC where the system
 * does not say how long it slept (other systems than Linux).
 *
 * Whatever keeps a page from being read (an updater that died, an image of another version) leaves the fallback, the
 * host's own clocks: right times, later.
 *
 * Source: kernel lib/vdso/gettimeofday.c, kernel/time/vsyscall.c.
 */
export class Vdso {
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #vvar: number;
  readonly #demand: number;
  readonly #symbols: ReadonlySet<SymbolName>;
  readonly #time: Timespec = new Float64Array(2);
  /** The last times of the clocks that do not go back, ns; of MONOTONIC_COARSE that of the last fallback. */
  readonly #last = new Float64Array(VDSO_BASES);
  #lastCoarse = 0;
  /** The page that reads begin with, once it is mapped; 0 before. The page of the time namespace, if there is one. */
  #page = 0;
  #namespace = 0;
  #isMapped = false;
  #tick: Tick | undefined;
  #tai: number | undefined;

  /** Opens the arena's clock, and makes it if it is the first. Throws EINVAL for what is no arena, or bad options; ENOMEM. */
  constructor(arena: Arena, { taiOffset: tai }: VdsoOptions = {}) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `the shared clock lives in an Arena, received ${shown(arena)}`);
    }
    arena.thread.current();
    if (tai !== undefined && !(Number.isInteger(tai) && Math.abs(tai) <= MOST_TAI)) {
      throw new HoldfastError('EINVAL', `taiOffset is a whole number of seconds, received ${shown(tai)}`);
    }
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.#vvar = openVvar(arena.objects);
    this.#demand = this.#vvar + Vvar.demand;
    if (tai !== undefined) arena.cpu.cmpxchg(this.#vvar + Vvar.tai, 0, tai + 1);
    this.#symbols = setupVdso(arena.cpu, this.#vvar);
  }

  /**
   * The time of a clock: ns of MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE and BOOTTIME (whole ones for 104 days of uptime,
   * then to the nearest 2), seconds and nanoseconds of REALTIME, REALTIME_COARSE and TAI. Throws EINVAL for another clock.
   */
  clockGettime(clock: typeof CLOCK_REALTIME | typeof CLOCK_REALTIME_COARSE | typeof CLOCK_TAI): WallTime;
  clockGettime(clock: number): number;
  clockGettime(clock: number): number | WallTime {
    return clock === CLOCK_MONOTONIC_COARSE ? this.#coarse() : this.#any(clock);
  }

  /** Writes the time's seconds and nanoseconds into `into`, and makes no garbage. Throws EINVAL for another clock. */
  clockGettimeInto(clock: number, into: Float64Array): Float64Array {
    this.#read(clock, into);
    return into;
  }

  /** The time in ns, exactly. Throws EINVAL for another clock. */
  clockGettimeBigint(clock: number): bigint {
    this.#read(clock, this.#time);
    return BigInt(this.#time[0] as number) * 1_000_000_000n + BigInt(this.#time[1] as number);
  }

  /**
   * The resolution of a clock, ns: 1, or that of the tick; that of the fallback where there is nothing better. Throws EINVAL
   * for another clock.
   */
  clockGetres(clock: number): number {
    const mask = maskOf(clock);
    if (mask & VDSO_COARSE) return TICK_NS;
    if (clock === CLOCK_BOOTTIME && !hasUptime()) return TICK_NS;
    this.#map();
    const data = this.#vvar + Vvar.data;
    const isFine = this.#has('__vdso_clock_getres') && this.#cpu.load(data + VdsoData.clockMode) !== CLOCKMODE_NONE;
    if (isFine) return this.#cpu.load(data + VdsoData.hrtimerRes);
    return mask & WALLS ? 1e6 : 1;
  }

  /** REALTIME in microseconds, and the time zone: minutes west of Greenwich. */
  gettimeofday(): { sec: number; usec: number; minuteswest: number; dsttime: number } {
    if (this.#has('__vdso_gettimeofday')) this.#read(CLOCK_REALTIME, this.#time);
    else this.#fallBack(CLOCK_REALTIME, this.#time);
    const data = this.#vvar + Vvar.data;
    return {
      sec: this.#time[0] as number,
      usec: Math.floor((this.#time[1] as number) / 1e3),
      minuteswest: this.#cpu.load(data + VdsoData.tzMinuteswest),
      dsttime: this.#cpu.load(data + VdsoData.tzDsttime),
    };
  }

  /** REALTIME_COARSE in whole seconds. */
  time(): number {
    if (!this.#has('__vdso_time')) return Math.floor(dateNow() / 1e3);
    this.#read(CLOCK_REALTIME_COARSE, this.#time);
    return this.#time[0] as number;
  }

  /** The CPU number of the calling thread in the arena. */
  getcpu(): number {
    return this.#arena.thread.number;
  }

  /**
   * Moves the image to `address`, memory of at least `Vdso.imageWords` words that `arena.alloc` gave, and says so in the
   * auxiliary vector. Views that are made later find it there. Throws EINVAL.
   */
  mremap(address: number): void {
    this.#arena.thread.current();
    if (!this.#arena.heap.isBlock(address) || !this.#arena.heap.covers(address, Image.words)) {
      throw new HoldfastError('EINVAL', `no memory for the image starts at ${shown(address)}`);
    }
    const auxv = this.#vvar + Vvar.auxv;
    moveImage(this.#cpu, auxv, parseAuxv(this.#cpu, auxv).get(AT_SYSINFO_EHDR) as number, address);
  }

  static readonly imageWords = Image.words;

  /** The auxiliary vector's values, by the numbers of include/uapi/linux/auxvec.h. */
  get auxv(): ReadonlyMap<number, number> {
    return parseAuxv(this.#cpu, this.#vvar + Vvar.auxv);
  }

  [inspect.custom](): string {
    return `Vdso(${!this.#isMapped ? 'not mapped' : this.#namespace === 0 ? 'mapped' : 'in a time namespace'})`;
  }

  /**
   * `__cvdso_clock_gettime_common`, and the fallback. A page that is not mapped yet, and a namespace's, is read by the slow
   * path: the one has no number, the other is odd.
   */
  #read(clock: number, into: Timespec): void {
    const page = this.#page;
    if (page !== 0 && clock === CLOCK_MONOTONIC) {
      if (tryHres(this.#cpu, page, clock, 0, counter, into) !== READ) this.#readSlow(clock, into);
      this.#keepForward(clock, into);
    } else if (page !== 0 && clock === CLOCK_MONOTONIC_COARSE) {
      this.#want(COARSE);
      if (tryCoarse(this.#cpu, page, clock, TICKING, into) !== READ) this.#readSlow(clock, into);
      else if ((into[0] as number) * NSEC_PER_SEC + (into[1] as number) < this.#lastCoarse) this.#holdCoarse(into);
    } else {
      this.#readSlow(clock, into);
      if (clock === CLOCK_MONOTONIC || clock === CLOCK_MONOTONIC_RAW) this.#keepForward(clock, into);
    }
  }

  #any(clock: number): number | WallTime {
    const time = this.#time;
    this.#read(clock, time);
    const sec = time[0] as number;
    const nsec = time[1] as number;
    return (1 << clock) & WALLS ? { sec, nsec } : sec * NSEC_PER_SEC + nsec;
  }

  /** What most calls are for, in as little code as it takes. */
  #coarse(): number {
    const time = this.#time;
    const cpu = this.#cpu;
    if (this.#page !== 0 && cpu.loadUnordered(this.#demand) & COARSE) {
      const outcome = tryCoarse(cpu, this.#page, CLOCK_MONOTONIC_COARSE, TICKING, time);
      const ns = (time[0] as number) * NSEC_PER_SEC + (time[1] as number);
      if (outcome === READ && ns >= this.#lastCoarse) return ns;
    }
    this.#read(CLOCK_MONOTONIC_COARSE, time);
    return (time[0] as number) * NSEC_PER_SEC + (time[1] as number);
  }

  #readSlow(clock: number, into: Timespec): void {
    const mask = maskOf(clock);
    this.#map();
    const data = this.#vvar + Vvar.data;
    let isRead = this.#has('__vdso_clock_gettime');
    if (isRead && mask & VDSO_COARSE) {
      this.#want(COARSE);
      isRead = readCoarse(this.#cpu, this.#page, data, clock, TICKING, into);
    } else if (isRead) {
      const needs = mask & STEPPED ? WATCHED : 0;
      if (needs !== 0) this.#want(WALL);
      const source = mask & VDSO_RAW ? RAW : 0;
      const page = this.#namespace === 0 ? data + source : this.#namespace;
      isRead = readHres(this.#cpu, page, data + source, clock, needs, counter, into);
    }
    if (isRead) return;
    this.#startTick();
    this.#fallBack(clock, into);
  }

  /** A page that is read again after a fallback may be some ns behind: time goes back in no thread. */
  #keepForward(clock: number, into: Timespec): void {
    const ns = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);
    const last = this.#last[clock] as number;
    if (ns >= last) this.#last[clock] = ns;
    else normalise(into, 0, last);
  }

  /** The tick was read after what a fallback has given: that holds until the next tick. */
  #holdCoarse(into: Timespec): void {
    normalise(into, 0, this.#lastCoarse);
  }

  /** Tells the updater what is read: it goes on for that. */
  #want(demand: number): void {
    if (!(this.#cpu.loadUnordered(this.#demand) & demand)) this.#cpu.fetchOr(this.#demand, demand);
  }

  /** `clock_gettime_fallback`: the host's clocks, and for MONOTONIC_COARSE what the fine clock says. */
  #fallBack(clock: number, into: Timespec): void {
    if ((1 << clock) & WALLS) {
      this.#readWall(clock, into);
    } else if (clock === CLOCK_MONOTONIC_COARSE) {
      this.#read(CLOCK_MONOTONIC, into);
      this.#lastCoarse = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);
    } else {
      const ahead = clock === CLOCK_BOOTTIME ? bootOffset() : 0;
      normalise(into, 0, Math.floor(counter() + ahead));
      if (this.#namespace !== 0) addOffset(this.#cpu, this.#namespace, clock, into);
    }
  }

  /** The page's REALTIME, unless Date.now() says that the wall clock has been set since; then that. */
  #readWall(clock: number, into: Timespec): void {
    const data = this.#vvar + Vvar.data;
    const isRead = readHres(this.#cpu, data, 0, CLOCK_REALTIME, 0, counter, into);
    const now = dateNow();
    const ms = isRead ? (into[0] as number) * 1e3 + Math.floor((into[1] as number) / 1e6) : 0;
    // A millisecond may have passed between the two.
    if (ms !== now && ms !== now - 1) {
      into[0] = Math.floor(now / 1e3);
      into[1] = (now % 1e3) * 1e6;
    }
    if (clock === CLOCK_TAI) into[0] = (into[0] as number) + this.#taiOffset();
  }

  #taiOffset(): number {
    const told = this.#cpu.load(this.#vvar + Vvar.tai);
    if (told !== 0) return told - 1;
    this.#tai ??= taiOffset();
    return this.#tai;
  }

  /** The first read: the pages are mapped, and written if nobody has done that yet. */
  #map(): void {
    if (this.#isMapped) return;
    const arena = this.#arena;
    arena.thread.current();
    const namespace = arena.mapTimeNamespace();
    const page = vdsoFault(this.#cpu, this.#vvar, VVAR_DATA_PAGE_OFFSET, namespace);
    const data = namespace === 0 ? page : vdsoFault(this.#cpu, this.#vvar, VVAR_TIMENS_PAGE_OFFSET, namespace);
    this.#namespace = namespace;
    this.#isMapped = true;
    // Without the symbol all reads are slow ones.
    if (this.#has('__vdso_clock_gettime')) this.#page = page;
    if (this.#cpu.load(data + VdsoData.clockMode) === CLOCKMODE_NONE) new Updater(arena, this.#vvar).update(0);
  }

  #startTick(): void {
    if (this.#arena.thread.self < 0) return;
    this.#tick ??= new Tick(this.#arena, this.#vvar);
    this.#tick.start();
  }

  #has(symbol: SymbolName): boolean {
    return this.#symbols.has(symbol);
  }
}

/** `setup_vdso`, `setup_vdso_pointers`: what the image that the auxiliary vector leads to has of what this module can call. */
export function setupVdso(cpu: Cpu, vvar: number): ReadonlySet<SymbolName> {
  const image = parseAuxv(cpu, vvar + Vvar.auxv).get(AT_SYSINFO_EHDR);
  if (image === undefined) return new Set();
  return new Set(SYMBOLS.filter((name, i) => vdsoSymbol(cpu, image, name) === i + 1));
}

function maskOf(clock: number): number {
  const mask = (clock | 0) === clock && clock >= 0 && clock < VDSO_BASES ? 1 << clock : 0;
  if (mask & (VDSO_HRES | VDSO_COARSE | VDSO_RAW)) return mask;
  throw new HoldfastError('EINVAL', `no clock has the number ${shown(clock)}: use the CLOCK_ constants`);
}
