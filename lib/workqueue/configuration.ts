import type { Arena } from '../arena/arena.ts';
import { checkOptionNames, HoldfastError } from '../errors.ts';
import { MOST_WORKERS } from './layout.ts';
import { MAX_AWAITED, MAX_WORKERS, openRoot } from './objects.ts';
import { checkCount, checkFlag } from './options.ts';

/** What is the same for all workqueues of an arena. */
export interface WorkqueueConfiguration {
  /** Slots: workers that run at once in the unbound pools; and as many pools with one worker each. @default the cores */
  slots?: number | undefined;
  /** Threads in each pool at most, 1 to 64. @default 16 */
  maxWorkers?: number | undefined;
  /** Items that each worker may await at once. @default 1024 */
  maxAwaited?: number | undefined;
  /** Whether queues with the option `powerEfficient` are unbound: the kernel's `workqueue.power_efficient`. @default false */
  powerEfficient?: boolean | undefined;
}

/** `Workqueue.configure`. */
export function configure(arena: Arena, configuration: WorkqueueConfiguration): void {
  arena.thread.current();
  checkOptionNames(configuration, ['slots', 'maxWorkers', 'maxAwaited', 'powerEfficient']);
  const { slots, maxWorkers = MAX_WORKERS, maxAwaited = MAX_AWAITED, powerEfficient = false } = configuration;
  checkCount('slots', slots ?? 1, 64);
  checkCount('maxWorkers', maxWorkers, MOST_WORKERS);
  checkCount('maxAwaited', maxAwaited, 2 ** 20);
  checkFlag('powerEfficient', powerEfficient);
  const asked = { ...(slots === undefined ? {} : { slots }), maxWorkers, maxAwaited, powerEfficient };
  const root = openRoot(arena, asked);
  if (Object.entries(asked).every(([name, value]) => root[name as keyof typeof asked] === value)) return;
  throw new HoldfastError('EBUSY', `workqueues of this arena have been made, with ${JSON.stringify(root)}`);
}
