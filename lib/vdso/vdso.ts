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
  ClockCopy,
  normalise,
  offsetOf,
  READ,
  readCoarse,
  readHres,
  TICKING,
  type Timespec,
  tryCoarse,
  tryHres,
  WATCHED,
} from './read.ts';
import { bootOffset, hasUptime } from './sources.ts';
import { HRES_COARSE, RAW } from './update.ts';
import { Tick, taiOf, Updater } from './updater.ts';
import {
  COARSE,
  HZ,
  openVvar,
  tickOf,
  VVAR_DATA_PAGE_OFFSET,
  VVAR_TIMENS_PAGE_OFFSET,
  Vvar,
  vdsoFault,
  WALL,
} from './vvar.ts';

export interface VdsoOptions {
  /**
   * What TAI is ahead of UTC, whole seconds, for the whole arena, where the system does not say: neither its kernel (which
   * says so to root only) nor a list of leap seconds. The first Vdso of the arena says it. @default 0
   */
  taiOffset?: number | undefined;
  /**
   * Ticks of the coarse clocks in a second, for the whole arena: a whole number from 10 to 1000, the kernel's `CONFIG_HZ`.
   * The first Vdso of the arena says it; `clockGetres` of a coarse clock says what holds. @default 250
   */
  hz?: number | undefined;
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
/** Clocks that the system can step, or that go on while the machine sleeps: somebody has to look. */
const STEPPED = bit(CLOCK_REALTIME, CLOCK_BOOTTIME, CLOCK_TAI);
/** Clocks that do not go back, in no thread. */
const FORWARD = bit(CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME);
/** Times since the epoch, beyond the whole numbers of a double. */
const WALLS = bit(CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI);
const CLOCKS = [
  CLOCK_REALTIME,
  CLOCK_MONOTONIC,
  CLOCK_MONOTONIC_RAW,
  CLOCK_REALTIME_COARSE,
  CLOCK_MONOTONIC_COARSE,
  CLOCK_BOOTTIME,
  CLOCK_TAI,
];
const NSEC_PER_SEC = 1e9;
const MOST_TAI = 1e6;
/** Below, an update a tick would come too late for the wall clock; above, a timer of the arena, which counts in ms. */
const LEAST_HZ = 10;
const MOST_HZ = 1000;

const notCloneable = () => "a Vdso is a view of one thread: send the arena's .handle, and make another one there";

/**
 * The shared clock: times that all threads of the arena agree on, read from pages in shared memory. What the kernel's vdso
 * is to processes.
 *
 * A read of a COARSE clock is one atomic load, and as old as a tick: 4 ms, unless `hz` says otherwise. The first ones, while
 * the tick starts, read the fine clock. A read of any other clock costs an atomic load and the host's own clock. MONOTONIC
 * never goes back, in no thread, whatever the wall clock does, and is the same in all threads; its zero is that of
 * `process.hrtime`. MONOTONIC_RAW counts on where MONOTONIC is slewed: the system has slewed both. BOOTTIME is MONOTONIC
 * where the system does not say how long it slept (other systems than Linux).
 *
 * Whatever keeps a page from being read (an updater that died, an image of another version) leaves the fallback, the
 * host's own clocks: right times, later.
 *
 * Source: kernel lib/vdso/gettimeofday.c, kernel/time/vsyscall.c.
 */
export class Vdso {
  /** Not cloneable: `postMessage` of a view is an error, with this function's text in it. */
  protected readonly cloning: () => string = notCloneable;
  readonly #arena: Arena;
  readonly #cpu: Cpu;
  readonly #vvar: number;
  readonly #symbols: ReadonlySet<SymbolName>;
  readonly #tickNs: number;
  readonly #time: Timespec = new Float64Array(2);
  /** By clock. */
  readonly #copies: readonly (ClockCopy | undefined)[];
  readonly #coarse: ClockCopy;
  /**
   * What the copy of MONOTONIC_COARSE says, ns. It begins as no number, so that V8 keeps the number as an object: one that is
   * returned beside objects would be made into one at each call, 5 ns.
   */
  #coarseNs: number | undefined;
  /** The page's REALTIME, whoever watches it. */
  readonly #wall: ClockCopy;
  /** The thread's page at the data page's place, and that of its time namespace; 0: none. */
  #page = 0;
  #namespace = 0;
  #tick: Tick | undefined;
  #tai: number | undefined;

  /** Opens the arena's clock, and makes it if it is the first. Throws EINVAL for what is no arena, or bad options; ENOMEM. */
  constructor(arena: Arena, { taiOffset: tai, hz = HZ }: VdsoOptions = {}) {
    if (typeof arena?.thread?.current !== 'function') {
      throw new HoldfastError('EINVAL', `the shared clock lives in an Arena, received ${shown(arena)}`);
    }
    arena.thread.current();
    if (tai !== undefined && !(Number.isInteger(tai) && Math.abs(tai) <= MOST_TAI)) {
      throw new HoldfastError('EINVAL', `taiOffset is a whole number of seconds, received ${shown(tai)}`);
    }
    if (!(Number.isInteger(hz) && hz >= LEAST_HZ && hz <= MOST_HZ)) {
      throw new HoldfastError('EINVAL', `hz is a whole number from ${LEAST_HZ} to ${MOST_HZ}, received ${shown(hz)}`);
    }
    this.#arena = arena;
    this.#cpu = arena.cpu;
    this.#vvar = openVvar(arena.objects, hz);
    this.#tickNs = tickOf(arena.cpu, this.#vvar);
    if (tai !== undefined) arena.cpu.cmpxchg(this.#vvar + Vvar.tai, 0, tai + 1);
    this.#symbols = setupVdso(arena.cpu, this.#vvar);
    const data = this.#vvar + Vvar.data;
    const copies: (ClockCopy | undefined)[] = Array.from({ length: VDSO_BASES }, () => undefined);
    for (const clock of CLOCKS) copies[clock] = copyOf(clock, data);
    this.#copies = copies;
    this.#coarse = copies[CLOCK_MONOTONIC_COARSE] as ClockCopy;
    this.#wall = new ClockCopy(CLOCK_REALTIME, data, 0);
  }

  /**
   * The time of a clock: ns of MONOTONIC, MONOTONIC_RAW, MONOTONIC_COARSE and BOOTTIME (whole ones for 104 days of uptime,
   * then to the nearest 2), seconds and nanoseconds of REALTIME, REALTIME_COARSE and TAI. Throws EINVAL for another clock.
   */
  clockGettime(clock: typeof CLOCK_REALTIME | typeof CLOCK_REALTIME_COARSE | typeof CLOCK_TAI): WallTime;
  clockGettime(clock: number): number;
  clockGettime(clock: number): number | WallTime {
    // What most calls are for, in as little code as it takes.
    const coarse = this.#coarse;
    if (clock === CLOCK_MONOTONIC_COARSE && this.#cpu.load(coarse.page + VdsoData.seq) === coarse.seq) {
      return this.#coarseNs as number;
    }
    return this.#any(clock);
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
    this.#copyOf(clock);
    const mask = 1 << clock;
    if (mask & VDSO_COARSE) return this.#tickNs;
    if (clock === CLOCK_BOOTTIME && !hasUptime()) return this.#tickNs;
    this.#map();
    const data = this.#vvar + Vvar.data;
    const isFine = this.#has('__vdso_clock_getres') && this.#cpu.load(data + VdsoData.clockMode) !== CLOCKMODE_NONE;
    if (isFine) return this.#cpu.load(data + VdsoData.hrtimerRes);
    return mask & WALLS ? 1e6 : 1;
  }

  /** REALTIME in microseconds, and the time zone: minutes west of Greenwich. */
  gettimeofday(): { sec: number; usec: number; minuteswest: number; dsttime: number } {
    if (this.#has('__vdso_gettimeofday')) this.#read(CLOCK_REALTIME, this.#time);
    else this.#fallBack(this.#wall, this.#time);
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

  toJSON(): string {
    return inspect(this);
  }

  toString(): string {
    return inspect(this);
  }

  [inspect.custom](): string {
    return `Vdso(${this.#page === 0 ? 'not mapped' : this.#namespace === 0 ? 'mapped' : 'in a time namespace'})`;
  }

  #any(clock: number): number | WallTime {
    const time = this.#time;
    this.#read(clock, time);
    const sec = time[0] as number;
    const nsec = time[1] as number;
    return (1 << clock) & WALLS ? { sec, nsec } : sec * NSEC_PER_SEC + nsec;
  }

  /** `__cvdso_clock_gettime_common`: by the copy, while that holds. */
  #read(clock: number, into: Timespec): void {
    const copy = this.#copyOf(clock);
    if ((1 << clock) & VDSO_COARSE) {
      if (tryCoarse(this.#cpu, copy, into) !== READ) this.#readRough(copy, into);
    } else {
      if (tryHres(this.#cpu, copy, counter, into) !== READ) this.#readFine(copy, into);
      if ((1 << clock) & FORWARD) keepForward(copy, into);
    }
  }

  /** Throws EINVAL for a number that is no clock's, and for what is no number. */
  #copyOf(clock: number): ClockCopy {
    const copy = this.#copies[clock];
    if (copy !== undefined && copy.clock === clock) return copy;
    throw new HoldfastError('EINVAL', `no clock has the number ${shown(clock)}: use the CLOCK_ constants`);
  }

  #readFine(copy: ClockCopy, into: Timespec): void {
    this.#map();
    const isRead = this.#has('__vdso_clock_gettime') && readHres(this.#cpu, copy, this.#page, counter, into);
    if (copy.needs !== 0) this.#want(WALL);
    if (!isRead) this.#fallBack(copy, into);
  }

  #readRough(copy: ClockCopy, into: Timespec): void {
    this.#map();
    const isRead = this.#has('__vdso_clock_gettime') && readCoarse(this.#cpu, copy, this.#page, into);
    this.#want(COARSE);
    if (!isRead) this.#fallBack(copy, into);
    else if (copy === this.#coarse) this.#hold(copy, into);
  }

  /** A tick may have been before what a fallback has given: that holds until the next tick. */
  #hold(copy: ClockCopy, into: Timespec): void {
    if ((into[0] as number) * NSEC_PER_SEC + (into[1] as number) < copy.latest) {
      normalise(into, 0, copy.latest);
      copy.sec = into[0] as number;
      copy.nsec = into[1] as number;
    }
    this.#coarseNs = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);
  }

  /**
   * Tells the updater what is read: it goes on for that. Said once for each copy, and after it was made: the tick that hears
   * it makes that copy out of date.
   */
  #want(demand: number): void {
    const address = this.#vvar + Vvar.demand;
    if (!(this.#cpu.load(address) & demand)) this.#cpu.fetchOr(address, demand);
  }

  /** `clock_gettime_fallback`: the host's clocks, and for MONOTONIC_COARSE what the fine clock says. */
  #fallBack(copy: ClockCopy, into: Timespec): void {
    const { clock } = copy;
    this.#startTick();
    if ((1 << clock) & WALLS) {
      this.#readWall(clock, into);
    } else if (clock === CLOCK_MONOTONIC_COARSE) {
      this.#read(CLOCK_MONOTONIC, into);
      copy.latest = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);
    } else {
      const ahead = clock === CLOCK_BOOTTIME ? bootOffset() : 0;
      normalise(into, 0, Math.floor(counter() + ahead));
      if (this.#namespace === 0) return;
      const [sec, nsec] = offsetOf(this.#cpu, this.#namespace, clock);
      normalise(into, (into[0] as number) + sec, (into[1] as number) + nsec);
    }
  }

  /** The page's REALTIME, unless Date.now() says that the wall clock has been set since; then that. */
  #readWall(clock: number, into: Timespec): void {
    const isRead = readHres(this.#cpu, this.#wall, this.#wall.page, counter, into);
    const now = dateNow();
    const ms = isRead ? (into[0] as number) * 1e3 + Math.floor((into[1] as number) / 1e6) : 0;
    // A millisecond may have passed between the two.
    if (ms !== now && ms !== now - 1) {
      into[0] = Math.floor(now / 1e3);
      into[1] = (now % 1e3) * 1e6;
    }
    if (clock === CLOCK_TAI) into[0] = (into[0] as number) + (this.#tai ??= taiOf(this.#cpu, this.#vvar));
  }

  /** The first read: the pages are mapped, and written if nobody has done that yet. */
  #map(): void {
    if (this.#page !== 0) return;
    const arena = this.#arena;
    arena.thread.current();
    const namespace = arena.mapTimeNamespace();
    const page = vdsoFault(this.#cpu, this.#vvar, VVAR_DATA_PAGE_OFFSET, namespace);
    const data = namespace === 0 ? page : vdsoFault(this.#cpu, this.#vvar, VVAR_TIMENS_PAGE_OFFSET, namespace);
    this.#namespace = namespace;
    this.#page = page;
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

function copyOf(clock: number, data: number): ClockCopy {
  const mask = 1 << clock;
  const needs = mask & VDSO_COARSE ? TICKING : mask & STEPPED ? WATCHED : 0;
  return new ClockCopy(clock, data + (mask & VDSO_RAW ? RAW : HRES_COARSE), needs);
}

/** A page that is read again after a fallback may be some ns behind: time goes back in no thread. */
function keepForward(copy: ClockCopy, into: Timespec): void {
  const ns = (into[0] as number) * NSEC_PER_SEC + (into[1] as number);
  if (ns >= copy.latest) copy.latest = ns;
  else normalise(into, 0, copy.latest);
}
