/**
 * What an unbound workqueue's workers are, changed while it is in use: kernel/workqueue.c, apply_workqueue_attrs, in its three steps.
 *
 *   prepare   the pool that has these attributes, and a pwq of the queue in it: made, or found. What there is no memory for
 *             changes nothing
 *   commit    `Wq.current`: from now on items are queued there. One exchange
 *   cleanup   nothing. The pwq before has its items still, which run where they were queued; it stays with the queue, for
 *             when its attributes are back, until the queue is destroyed. So no thread that is about to queue an item there has to look
 *             whether it is gone (the kernel's reference counts, and its retry at zero)
 *
 * The one pwq in use is the kernel's `dfl_pwq`: threads of Node belong to no CPU, so there is none for each node.
 */
import type { Arena } from '../arena/arena.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import { AddedPwq, Pool, Pwq, Wq } from './layout.ts';
import { makePwq, openPoolFor, openRoot } from './objects.ts';
import { ORDERED, UNBOUND } from './options.ts';
import type { WorkerPool } from './pool.ts';
import { adjust, rebias } from './pool-care.ts';
import { poolView } from './pools.ts';
import { currentPwq, pwqsOf } from './pwqs.ts';
import { biasOf, slotsIn } from './root.ts';

/** What the workers of an unbound workqueue are: `workqueue_attrs`. Queues with equal ones share them. */
export interface WorkqueueAttributes {
  /** -20 to 19. Where the system does not allow what is asked for, it stays as it is. @default 0, of a `highpri` queue -20 */
  nice?: number | undefined;
  /**
   * The slots that they are for: as many run at once as there are usable ones among them, and as `setUnboundCpumask` says where that is
   * none. @default all
   */
  cpumask?: readonly number[] | undefined;
}

/** Those of the queue at that address. */
export function attributesOf({ cpu }: Arena, wq: number): { nice: number; cpumask: number[] } {
  const pool = cpu.read(currentPwq(cpu, wq) + Pwq.pool);
  return { nice: cpu.read(pool + Pool.nice), cpumask: slotsIn(cpu, pool + Pool.slots) };
}

/** Throws EINVAL, ENOMEM, with nothing changed. */
export function applyAttributes(
  arena: Arena,
  wq: number,
  attributes: WorkqueueAttributes,
  poolAt = (address: number) => poolView(arena, address),
): void {
  const { cpu } = arena;
  const flags = cpu.read(wq + Wq.flags);
  if (!(flags & UNBOUND) || flags & ORDERED) {
    const which = flags & UNBOUND ? 'an ordered workqueue, whose items would overtake each other' : 'a bound one';
    throw new HoldfastError('EINVAL', `attributes are those of an unbound workqueue; this is ${which}`);
  }
  checkOptionNames(attributes, ['nice', 'cpumask']);
  const root = openRoot(arena);
  const { nice = 0, cpumask = Array.from({ length: root.slots }, (_, slot) => slot) } = attributes;
  if (!Number.isInteger(nice) || nice < -20 || nice > 19) {
    throw new HoldfastError('EINVAL', `nice is a whole number from -20 to 19, received ${shown(nice)}`);
  }
  checkSlotList(cpumask, root.slots);
  const pool = openPoolFor(arena, root, nice, cpumask);
  const view = poolAt(pool);
  const pwq = pwqIn(arena, wq, view);
  // Full: pairs with the loads of `Root` and `savedMaxActive` here, and with the exchanges of those that change them, who look for pwqs behind that.
  cpu.mb();
  if (cpu.load(pool + Pool.bias) !== biasOf(cpu, pool)) rebias(view);
  adjust(view, pwq);
  cpu.xchg(wq + Wq.current, pwq);
}

/** Throws EINVAL for what is no list of slots, and for an empty one. */
export function checkSlotList(slots: readonly number[], count: number): void {
  const isSlot = (slot: number) => Number.isInteger(slot) && slot >= 0 && slot < count;
  if (Array.isArray(slots) && slots.length > 0 && slots.every(isSlot)) return;
  throw new HoldfastError('EINVAL', `there are slots 0 to ${count - 1}, received ${shown(slots)}`);
}

/** The queue's pwq in that pool, made if it has none there. */
function pwqIn(arena: Arena, wq: number, view: WorkerPool): number {
  const { cpu, heap } = arena;
  const pool = view.address;
  const find = () => pwqsOf(cpu, wq).find((pwq) => cpu.read(pwq + Pwq.pool) === pool) ?? 0;
  const found = find();
  if (found !== 0) return found;
  const added = makePwq(arena, wq, pool);
  // Under the latch: two threads that ask for the same find one.
  const other = view.locked(() => find() || link(arena, wq, added));
  if (other !== 0) heap.free(added);
  return other || added + AddedPwq.pwq;
}

/** The pwq is one of the queue's, in one step. Returns 0. */
function link({ cpu }: Arena, wq: number, added: number): 0 {
  for (;;) {
    const before = cpu.load(wq + Wq.added);
    cpu.write(added + AddedPwq.next, before);
    if (cpu.cmpxchg(wq + Wq.added, before, added) === before) return 0;
  }
}
