/** What all workqueues of an arena have done, as tools/workqueue/wq_monitor.py of the kernel shows it. */
import type { Arena } from '../arena/arena.ts';
import { kindIdOf } from '../memory/objects.ts';
import { Pwq, pwqAt, Wq } from './layout.ts';
import { WQ_KIND, WQ_PREFIX } from './objects.ts';
import { flagNames } from './options.ts';
import { readTimes, type WorkTimes } from './times.ts';

export interface WorkqueueStatistics {
  readonly name: string;
  /** 'unbound' or 'bound', and which of 'highpri', 'ordered', 'memReclaim', 'cpuIntensive' it is. */
  readonly flags: readonly string[];
  /** In each of its pools. */
  readonly maxActive: number;
  /** Items that run, are awaited, or are next; that wait for `maxActive`; that have ended since the queue was made. */
  readonly active: number;
  readonly inactive: number;
  readonly ended: number;
  /** How often an item of a bound queue has computed for so long that its slot became another's. */
  readonly hogs: number;
  /** How often a worker was woken because an item went to sleep. */
  readonly wakes: number;
  /** How often the rescuer was called, and how many items it has run. */
  readonly maydays: number;
  readonly rescued: number;
  /** From when an item was queued until it began. */
  readonly wait: WorkTimes;
  /** From then until it ended: what it awaited or slept is part of it. */
  readonly run: WorkTimes;
}

/** Of the workqueue at that address. */
export function statisticsOf(arena: Arena, wq: number): WorkqueueStatistics {
  const { cpu } = arena;
  const pwqs = Array.from({ length: cpu.read(wq + Wq.nrPwqs) }, (_, i) => pwqAt(wq, i));
  const sum = (field: number) => pwqs.reduce((all, pwq) => all + cpu.load(pwq + field), 0);
  return {
    name: arena.objects.nameOf(wq)?.slice(WQ_PREFIX.length) ?? '',
    flags: flagNames(cpu.read(wq + Wq.flags)),
    maxActive: cpu.load(wq + Wq.savedMaxActive),
    active: sum(Pwq.nrActive),
    inactive: sum(Pwq.nrInactive),
    ended: sum(Pwq.ended) >>> 0,
    hogs: sum(Pwq.hogs),
    wakes: sum(Pwq.wakes),
    maydays: sum(Pwq.maydays),
    rescued: sum(Pwq.rescued),
    wait: readTimes(
      cpu,
      pwqs.map((pwq) => pwq + Pwq.waits),
    ),
    run: readTimes(
      cpu,
      pwqs.map((pwq) => pwq + Pwq.runs),
    ),
  };
}

/** Of all workqueues that have been made in the arena, by name. It walks the heap. */
export function allStatistics(arena: Arena): WorkqueueStatistics[] {
  const { cpu, heap } = arena;
  const queues = heap.objects().filter((object) => kindIdOf(cpu, object) === WQ_KIND.id);
  return queues.map((wq) => statisticsOf(arena, wq)).sort((a, b) => (a.name < b.name ? -1 : 1));
}
