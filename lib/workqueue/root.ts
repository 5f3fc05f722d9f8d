/**
 * What threads change about all workqueues of an arena at once: whether freezable queues are frozen, which slots are offline, and
 * which unbound workers leave alone. It stands in `Root`; what follows from it for a queue or a pool stands there, so that no item has to
 * look at `Root`:
 *
 *   Pwq.maxActive   0 while its queue is frozen, else `Wq.savedMaxActive`. Items that come meanwhile are inactive
 *   Pool.bias       counted in `Pool.running` beside the workers that are BUSY. In an unbound pool: its slots that may not be used,
 *                   so that fewer workers run; kthreadd looks after such a pool every 15 s, also while it is idle. In the pool of a slot that
 *                   is offline: so far below 0 that as many run as there are, since there is no slot that they would have to share
 *                   (POOL_DISASSOCIATED)
 *
 * A thread that changes something changes the word in `Root` first, and then takes the latch of each pool and makes both again from
 * what the words say by then. So they are right whichever of two changes is the last, and the repair of a pool makes them again as well.
 */
import type { Cpu } from '../machine/cpu.ts';
import { MOST_WORKERS, Pool, Pwq, Root, SLOT_MASK_WORDS, Wq } from './layout.ts';
import { FREEZABLE } from './options.ts';

/** What `Pwq.maxActive` is to be: `wq_adjust_max_active`. */
export function effectiveMaxActive(cpu: Cpu, pwq: number): number {
  const wq = cpu.read(pwq + Pwq.workqueue);
  const root = cpu.read(cpu.read(pwq + Pwq.pool) + Pool.root);
  const isFrozen = (cpu.read(wq + Wq.flags) & FREEZABLE) !== 0 && root !== 0 && cpu.load(root + Root.frozen) !== 0;
  return isFrozen ? 0 : cpu.load(wq + Wq.savedMaxActive);
}

/** What `Pool.bias` is to be. */
export function biasOf(cpu: Cpu, pool: number): number {
  const root = cpu.read(pool + Pool.root);
  if (root === 0) return 0;
  const slot = cpu.read(pool + Pool.slot);
  if (slot >= 0) return hasSlot(cpu, root + Root.offline, slot) ? -MOST_WORKERS : 0;
  const isUsable = (i: number) => !hasSlot(cpu, root + Root.offline, i) && !hasSlot(cpu, root + Root.excluded, i);
  const own = slotsIn(cpu, pool + Pool.slots).filter(isUsable).length;
  // Where none is left, those of all unbound pools; and where there is none of these, one: `wqattrs_actualize_cpumask` falls back, too.
  const all = () => Array.from({ length: cpu.read(root + Root.slots) }, (_, i) => i).filter(isUsable).length;
  return cpu.read(pool + Pool.limit) - (own || all() || 1);
}

/** Whether the mask at that address has the slot. */
export function hasSlot(cpu: Cpu, mask: number, slot: number): boolean {
  return ((cpu.load(mask + (slot >> 5)) >>> (slot & 31)) & 1) !== 0;
}

/** The slots that the mask at that address has, in order. */
export function slotsIn(cpu: Cpu, mask: number): number[] {
  return Array.from({ length: 32 * SLOT_MASK_WORDS }, (_, i) => i).filter((slot) => hasSlot(cpu, mask, slot));
}

/** The slots that the mask has, as words. */
export function maskOf(slots: readonly number[]): number[] {
  const words = Array.from({ length: SLOT_MASK_WORDS }, () => 0);
  for (const slot of slots) words[slot >> 5] = (words[slot >> 5] as number) | (1 << (slot & 31));
  return words;
}
