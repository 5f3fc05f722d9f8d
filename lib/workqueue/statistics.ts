/** What all workqueues of an arena have done, as tools/workqueue/wq_monitor.py of the kernel shows it. */
import type { Arena } from '../arena/arena.ts';
import { Pwq, Wq } from './layout.ts';
import { WQ_PREFIX } from './objects.ts';
import { flagNames } from './options.ts';
import { pwqsOf } from './pwqs.ts';
import { readQueues } from './queues.ts';
import { readTime, readTimes, type WorkTimes } from './times.ts';

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
  /**
   * For how long its items have had a slot, us: without what they slept in this library, or awaited and did behind their first `await`. It
   * is processor time where the system has a core for each slot.
   */
  readonly computed: number;
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
  const pwqs = pwqsOf(cpu, wq);
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
    computed: pwqs.reduce((all, pwq) => all + readTime(cpu, pwq + Pwq.computed), 0),
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

/** Of all workqueues that have been made in the arena, by name. It walks the heap, with the names latched. */
export function allStatistics(arena: Arena): WorkqueueStatistics[] {
  const all = readQueues(arena, (queues) => queues.map((wq) => statisticsOf(arena, wq)));
  return all.sort((a, b) => (a.name < b.name ? -1 : 1));
}
