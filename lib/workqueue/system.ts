/** The workqueues that every arena has: kernel/workqueue.c, workqueue_init_early. */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import type { WorkqueueOptions } from './options.ts';
import { Workqueue } from './workqueue.ts';

export type SystemWorkqueueName =
  | 'events'
  | 'events_highpri'
  | 'events_long'
  | 'events_unbound'
  | 'events_freezable'
  | 'events_power_efficient'
  | 'events_freezable_pwr_efficient';

/** As the kernel has them, and what they are for. */
const SYSTEM = {
  /** `system_wq`: short calls, one at a time in each slot. */
  events: { unbound: false },
  /** `system_highpri_wq`. */
  events_highpri: { unbound: false, highpri: true },
  /** `system_long_wq`: calls that take long, kept from the short ones' flushes. */
  events_long: { unbound: false },
  /** `system_unbound_wq`: any worker, as many as may be. */
  events_unbound: { maxActive: 2048 },
  /** `system_freezable_wq`. */
  events_freezable: { unbound: false, freezable: true },
  /** `system_power_efficient_wq`. */
  events_power_efficient: { powerEfficient: true },
  /** `system_freezable_power_efficient_wq`. */
  events_freezable_pwr_efficient: { freezable: true, powerEfficient: true },
} as const satisfies Record<SystemWorkqueueName, WorkqueueOptions>;

/**
 * One of the arena's own queues, for works and calls that need none of their own: `events` and `events_long` (short and long calls,
 * bound), `events_highpri`, `events_unbound`, `events_freezable`, `events_power_efficient` and `events_freezable_pwr_efficient`. They are
 * made when they are first asked for, and shared by all, so do not close or drain them, and rather flush the work than the queue. Throws EINVAL for
 * another name, and where the program has made a queue of that name that is otherwise; ENOMEM.
 */
export function systemWorkqueue(arena: Arena, name: SystemWorkqueueName = 'events'): Workqueue {
  if (Object.hasOwn(SYSTEM, name)) return new Workqueue(arena, name, SYSTEM[name]);
  throw new HoldfastError('EINVAL', `system workqueues are ${Object.keys(SYSTEM).join(', ')}, received ${shown(name)}`);
}
