/**
 * The timekeeper: kernel kernel/time/timekeeping.c, timekeeping_advance. A timer of the arena calls it on kthreadd: at each
 * tick while somebody reads coarse clocks, ten times a second while somebody reads those that the system may step, and not
 * at all when nobody has read any for a while. The last update says that the pages are not kept, and a reader that finds
 * that starts the timer again.
 */
import type { Arena } from '../arena/arena.ts';
import { CLOCKMODE_HRTIME } from '../arena/time-namespace.ts';
import { Timer } from '../arena/timer.ts';
import { counter } from '../machine/counter.ts';
import type { Cpu } from '../machine/cpu.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { defineTimerAction, startTimer } from '../sched/timer.ts';
import { TICKING, WATCHED } from './read.ts';
import { catchBootOffset, catchWall, isWallRight, taiOffset, type Wall } from './sources.ts';
import { type Monotonic, MULT, type Timekeeper, updateVsyscall } from './update.ts';
import { COARSE, tickOf, Vvar, WALL } from './vvar.ts';

const TICK = 'vdso: tick';
/** Between two looks at the wall clock while no coarse clock is read, ns. */
const WATCH_NS = 100e6;
/** How long after the last read the tick, and the watch, go on, ns. */
const TICK_LINGER = 1e9;
const WATCH_LINGER = 10e9;
/** How far MONOTONIC may be from the counter, ns: the threads' counters differ by less. */
const DEADBAND = 1000;
/** The part of a difference that is slewed away in a second, and the most that is: 500 ppm, as in the kernel's NTP. */
const SLEW_NS = 1e9;
const MOST_SLEW = 500e-6;
/** Ticks of /proc/uptime that are looked at when the machine has slept: 200 ms. */
const UPTIME_TICKS = 20;
/** Between two looks at how long the machine has slept, ns. */
const BOOT_INTERVAL = 1e9;

/** Keeps the pages of one arena. */
export class Updater {
  readonly #arena: Arena;
  readonly #vvar: number;
  readonly #tai: number;
  readonly #tickNs: number;
  #wall: Wall = catchWall();
  #boottime = 0;
  #bootLookedAt = Number.NEGATIVE_INFINITY;
  #coarseReadAt = Number.NEGATIVE_INFINITY;
  #wallReadAt = Number.NEGATIVE_INFINITY;

  constructor(arena: Arena, vvar: number) {
    this.#arena = arena;
    this.#vvar = vvar;
    this.#tai = taiOf(arena.cpu, vvar);
    this.#tickNs = tickOf(arena.cpu, vvar);
  }

  /** Brings the pages up to date. Returns after how many ns that is to be done again, or Infinity. */
  tick(): number {
    const { cpu } = this.#arena;
    const demand = cpu.xchg(this.#vvar + Vvar.demand, 0);
    const now = counter();
    if (demand & COARSE) this.#coarseReadAt = now;
    if (demand & WALL) this.#wallReadAt = now;
    const isTicking = now - this.#coarseReadAt < TICK_LINGER;
    const isWatched = isTicking || now - this.#wallReadAt < WATCH_LINGER;
    this.update((isTicking ? TICKING : 0) | (isWatched ? WATCHED : 0));
    return isTicking ? this.#tickNs : isWatched ? WATCH_NS : Number.POSITIVE_INFINITY;
  }

  /** `upkeep`: which of the times this thread is going to keep up to date. */
  update(upkeep: number): void {
    const { cpu, thread } = this.#arena;
    const vvar = this.#vvar;
    // Not in the write section: this takes a millisecond when the wall clock has been set.
    if (!isWallRight(this.#wall)) this.#wall = catchWall();
    const now = counter();
    if (now - this.#bootLookedAt > BOOT_INTERVAL) {
      this.#boottime = catchBootOffset(UPTIME_TICKS);
      this.#bootLookedAt = now;
    }
    latch(cpu, vvar + Vvar.latch, thread.id);
    cpu.store(vvar + Vvar.updater, upkeep === 0 ? 0 : thread.id);
    updateVsyscall(cpu, vvar + Vvar.data, (before) => this.#timekeeper(before, upkeep));
    unlatch(cpu, vvar + Vvar.latch);
  }

  #timekeeper(before: Monotonic | undefined, upkeep: number): Timekeeper {
    const cycles = counter();
    const monotonic = before?.at(cycles) ?? cycles;
    const behind = cycles - monotonic;
    return {
      clockMode: CLOCKMODE_HRTIME,
      cycles,
      // Nobody looks when the difference is gone, unless there is another tick.
      mult: upkeep === 0 ? MULT : slewed(behind),
      monotonic,
      raw: cycles,
      wallSec: this.#wall.sec,
      wallNsec: this.#wall.nsec + behind,
      boottime: this.#boottime,
      tai: this.#tai,
      upkeep,
    };
  }
}

/** What TAI is ahead of UTC, s: what the system says, else what the program says; 0, as in a kernel that nobody has told. */
export function taiOf(cpu: Cpu, vvar: number): number {
  const told = cpu.load(vvar + Vvar.tai);
  return taiOffset() ?? (told === 0 ? 0 : told - 1);
}

/** The rate at which a MONOTONIC that is `behind` ns behind the counter catches up. */
export function slewed(behind: number): number {
  if (Math.abs(behind) <= DEADBAND) return MULT;
  const part = Math.max(-MOST_SLEW, Math.min(behind / SLEW_NS, MOST_SLEW));
  return Math.round(MULT * (1 + part));
}

/** kthreadd's, for each arena that it serves. */
const updaters = new WeakMap<Arena, Updater>();

defineTimerAction<Arena>(TICK, (arena, vvar, timer) => {
  let updater = updaters.get(arena);
  if (updater === undefined) {
    updater = new Updater(arena, vvar);
    updaters.set(arena, updater);
  }
  const next = updater.tick();
  if (next !== Number.POSITIVE_INFINITY) startTimer(arena.cpu, arena.thread.id, timer, arena.cpu.now() + next);
});

/** Has kthreadd bring the pages up to date, and keep them so while they are read. */
export class Tick {
  readonly #timer: Timer;

  constructor(arena: Arena, vvar: number) {
    this.#timer = new Timer(arena, '[vdso tick]', { action: TICK, data: vvar });
  }

  start(): void {
    if (!this.#timer.isActive) this.#timer.start(0);
  }
}
