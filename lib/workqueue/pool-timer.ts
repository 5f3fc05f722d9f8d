/**
 * What kthreadd does for a pool when its timer fires (`watch.ts`): `pool_mayday_timeout`, `wq_worker_tick` and `wq_watchdog_timer_fn`.
 */
import type { Arena } from '../arena/arena.ts';
import { cpuTimeOf } from '../arena/liveness.ts';
import { report, tell } from '../arena/spawn.ts';
import { defineTimerAction } from '../sched/timer.ts';
import { Item, WorkerRecord } from './layout.ts';
import { lockupReport, osThreadOf, stacksOf } from './lockup.ts';
import { hogs } from './pool-care.ts';
import { poolView } from './pools.ts';
import { microseconds } from './times.ts';
import { POOL_TIMER_ACTION, type Running, STUCK_US, TICK_NS } from './watch.ts';
import { identityAt } from './work.ts';

/** The kernel's `wq_cpu_intensive_warning_thresh`: a function may compute for so long as often, until it is warned of. */
const WARN_AFTER = 4;

/** An item that was running when kthreadd looked at its worker last, and what its thread had computed by then, ns. */
interface Seen {
  readonly item: number;
  readonly began: number;
  readonly cpuTime: number;
}

/** What kthreadd remembers from one tick to the next. What it forgets when it dies is seen again a tick later. */
class Ticks {
  readonly #arena: Arena;
  /** By the workers' records. */
  readonly #seen = new Map<number, Seen>();
  /** How often each function has computed for long. */
  readonly #hogs = new Map<number, number>();
  /** When each pool was reported last, ns. */
  readonly #reported = new Map<number, number>();

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  tick(address: number): void {
    const { cpu } = this.#arena;
    const pool = poolView(this.#arena, address);
    const { running, stuck } = pool.tick();
    for (const each of running) {
      if (this.#hasComputedLong(each) && hogs(pool, each)) this.#warn(cpu.read(each.item + Item.fn));
    }
    const now = cpu.now();
    if (stuck < STUCK_US || now - (this.#reported.get(address) ?? Number.NEGATIVE_INFINITY) < STUCK_US * 1e3) return;
    this.#reported.set(address, now);
    for (const line of lockupReport(this.#arena, address, stuck)) tell(line);
    for (const line of stacksOf(this.#arena, address)) tell(line);
  }

  /** Of processor time, since a tick in which it was seen; where the system does not say, of time. */
  #hasComputedLong({ worker, item, began }: Running): boolean {
    const cpuTime = threadTime(this.#arena, worker);
    if (cpuTime === undefined) return ((microseconds(this.#arena.cpu.now()) - began) | 0) * 1e3 >= TICK_NS;
    const seen = this.#seen.get(worker);
    if (seen?.item === item && seen.began === began) return cpuTime - seen.cpuTime >= TICK_NS;
    this.#seen.set(worker, { item, began, cpuTime });
    return false;
  }

  /** `wq_cpu_intensive_report`. */
  #warn(fn: number): void {
    const times = (this.#hogs.get(fn) ?? 0) + 1;
    this.#hogs.set(fn, times);
    if (!isWarnedOf(times)) return;
    const { name } = identityAt(this.#arena, fn);
    report(`workqueue: ${name} hogged CPU for >${TICK_NS / 1e3}us ${times} times, consider an unbound queue`);
  }
}

/** The fourth time that a function computes for long, and then ever more seldom. */
export function isWarnedOf(times: number): boolean {
  const over = times - WARN_AFTER + 1;
  return over >= 1 && (over & (over - 1)) === 0;
}

function threadTime({ cpu }: Arena, worker: number): number | undefined {
  const thread = osThreadOf(cpu, cpu.read(worker + WorkerRecord.thread));
  return thread === 0 ? undefined : cpuTimeOf(thread);
}

const ticks = new WeakMap<Arena, Ticks>();

defineTimerAction<Arena>(POOL_TIMER_ACTION, (arena, pool) => {
  let own = ticks.get(arena);
  if (own === undefined) {
    own = new Ticks(arena);
    ticks.set(arena, own);
  }
  own.tick(pool);
});
