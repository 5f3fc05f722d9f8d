import type { Arena } from '../arena/arena.ts';
import { HoldfastError, shown } from '../errors.ts';
import { pwqAt, Wq } from './layout.ts';
import { openPool, openRoot, openWq } from './objects.ts';
import {
  checkWorkqueueOptions,
  flagNames,
  HIGHPRI,
  MEM_RECLAIM,
  POWER_EFFICIENT,
  UNBOUND,
  type WorkqueueOptions,
} from './options.ts';
import { requestRescuer } from './rescuer.ts';

/** A workqueue as its constructor opens it. */
interface OpenQueue {
  readonly wq: number;
  readonly root: number;
  readonly flags: number;
  readonly maxActive: number;
  /** That it was made with. */
  readonly pwqs: readonly number[];
}

/** The workqueue of that name, made if there is none. Throws EINVAL, ENOMEM. `alloc_workqueue`. */
export function openQueue(arena: Arena, name: string, options: WorkqueueOptions): OpenQueue {
  if (typeof arena?.thread?.current !== 'function') {
    throw new HoldfastError('EINVAL', `a workqueue lives in an Arena, received ${shown(arena)}`);
  }
  arena.thread.current();
  // Before there is another view.
  arena.objects.acknowledge();
  const { flags: asked, maxActive } = checkWorkqueueOptions(options);
  if (typeof name !== 'string' || name === '') {
    throw new HoldfastError('EINVAL', `a workqueue has a name, received ${shown(name)}`);
  }
  const root = openRoot(arena);
  const flags = asked & POWER_EFFICIENT && root.powerEfficient ? asked | UNBOUND : asked;
  const slots = flags & UNBOUND ? [-1] : Array.from({ length: root.slots }, (_, slot) => slot);
  const pools = slots.map((slot) => openPool(arena, root, slot, (flags & HIGHPRI) !== 0));
  if (flags & MEM_RECLAIM) requestRescuer(arena);
  const wq = openWq(arena, name, flags, maxActive, pools);
  const found = arena.cpu.read(wq + Wq.flags);
  if (found !== flags) {
    throw new HoldfastError('EINVAL', `the workqueue ${shown(name)} is there, and is ${flagNames(found).join(', ')}`);
  }
  return { wq, root: root.address, flags, maxActive, pwqs: pools.map((_, i) => pwqAt(wq, i)) };
}
