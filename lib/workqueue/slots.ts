/**
 * Slots that go offline and come back at run time, and slots that unbound workers leave alone: kernel/workqueue.c,
 * workqueue_offline_cpu, workqueue_online_cpu, workqueue_set_unbound_cpumask. A slot stands for a core; which core a thread runs on, Node
 * has no say in. So a slot less means one worker less that runs at once, as when a container's share of the machine shrinks.
 */
import type { Arena } from '../arena/arena.ts';
import { HoldfastError } from '../errors.ts';
import { kindIdOf } from '../memory/objects.ts';
import { checkSlotList } from './attributes.ts';
import { localSlot } from './kworker.ts';
import { Root } from './layout.ts';
import { openRoot, POOL_KIND, type RootWords } from './objects.ts';
import { rebias } from './pool-care.ts';
import { poolView } from './pools.ts';
import { hasSlot, maskOf } from './root.ts';

/**
 * Takes a slot away: one worker less of unbound queues runs at once, and what threads queue in bound queues goes to another slot.
 * Work that has been queued for the slot, or is queued there by number, runs on, by as many of its workers as there are, until the
 * slot is back (POOL_DISASSOCIATED). Nothing that runs is interrupted. False when it was offline before. Throws EINVAL for a
 * slot that there is not, EBUSY for the last that is online.
 *
 * Death: a thread that dies in here has changed it, or has not; pools that it has not come to learn of it with its repair.
 */
export function workqueueOfflineSlot(arena: Arena, slot: number): boolean {
  const root = checkSlots(arena, [slot]);
  const { cpu } = arena;
  const online = workqueueOnlineSlots(arena);
  if (!online.includes(slot)) return false;
  const [word, bit] = wordOf(root, slot);
  const last = new HoldfastError('EBUSY', `slot ${slot} is the last that is online`);
  if (online.length === 1) throw last;
  // Another thread has taken it meanwhile: it is not this one's to bring back.
  if ((cpu.fetchOr(word, bit) & bit) !== 0) return false;
  if (workqueueOnlineSlots(arena).length > 0) return rebiasAll(arena);
  // Another thread has taken the last but this one meanwhile; its pools may have seen neither.
  cpu.fetchAnd(word, ~bit);
  rebiasAll(arena);
  throw last;
}

/** Brings a slot back. False when it was online. Throws EINVAL for a slot that there is not. */
export function workqueueOnlineSlot(arena: Arena, slot: number): boolean {
  const root = checkSlots(arena, [slot]);
  const [word, bit] = wordOf(root, slot);
  return (arena.cpu.fetchAnd(word, ~bit) & bit) !== 0 && rebiasAll(arena);
}

/** The slots that are online, in order. */
export function workqueueOnlineSlots(arena: Arena): number[] {
  arena.thread.current();
  const root = openRoot(arena);
  return slotsOf(root).filter((slot) => !hasSlot(arena.cpu, root.address + Root.offline, slot));
}

/**
 * From now on workers of unbound queues use only these slots: as many run at once, those that are offline not counted, and one if none is
 * left. `wq_unbound_cpumask`. Throws EINVAL for a slot that there is not, and for none at all.
 */
export function setUnboundCpumask(arena: Arena, slots: readonly number[]): void {
  const root = checkSlots(arena, slots);
  const excluded = slotsOf(root).filter((slot) => !slots.includes(slot));
  for (const [i, word] of maskOf(excluded).entries()) arena.cpu.xchg(root.address + Root.excluded + i, word);
  rebiasAll(arena);
}

/** The slots that unbound workers use, in order, those that are offline included. */
export function unboundCpumask(arena: Arena): number[] {
  arena.thread.current();
  const root = openRoot(arena);
  return slotsOf(root).filter((slot) => !hasSlot(arena.cpu, root.address + Root.excluded, slot));
}

/** The slot for what the calling thread queues in a bound queue: its own, or the next that is online. */
export function usableSlot(arena: Arena, root: number, count: number): number {
  const local = localSlot(arena, count);
  let slot = local;
  while (hasSlot(arena.cpu, root + Root.offline, slot)) {
    slot = (slot + 1) % count;
    if (slot === local) break;
  }
  return slot;
}

/** All pools go by what `Root` says. Returns true. */
function rebiasAll(arena: Arena): true {
  const pools = arena.heap.objects().filter((object) => kindIdOf(arena.cpu, object) === POOL_KIND.id);
  for (const pool of pools) rebias(poolView(arena, pool));
  return true;
}

function slotsOf({ slots }: RootWords): number[] {
  return Array.from({ length: slots }, (_, slot) => slot);
}

function checkSlots(arena: Arena, slots: readonly number[]): RootWords {
  arena.thread.current();
  const root = openRoot(arena);
  checkSlotList(slots, root.slots);
  return root;
}

/** The word of `Root.offline` that says whether the slot is, and its bit there. */
function wordOf({ address }: RootWords, slot: number): [number, number] {
  return [address + Root.offline + (slot >> 5), 1 << (slot & 31)];
}
