/**
 * Robust lists: how the program tells the library which raw futex words a thread holds, in the program's own memory
 * and at the cost of a few plain stores, so that they can be marked when the thread dies. For the library's own locks
 * nobody has to: the reaper reads who holds them from their words.
 *
 * A futex word under this protocol:
 *
 *   bit 31  FUTEX_WAITERS      somebody may sleep; whoever unlocks calls wake
 *   bit 30  FUTEX_OWNER_DIED   an owner died inside
 *   0 - 29  the owner's thread id (`Futex.tid`), or 0
 *
 * A thread's list, single-linked; each entry lies at the same distance in front of its futex word:
 *
 *   head:   next | offset | pending        next: the first entry, or the head itself: empty
 *   entry:  next | ...                     the last entry's next is the head
 *
 *   to lock    pending := entry; take the word; link the entry in;  pending := 0
 *   to unlock  pending := entry; unlink the entry; let the word go; pending := 0
 *
 * When the thread dies, each word that it owns goes from tid[|WAITERS] to OWNER_DIED[|WAITERS]. Then every sleeper of
 * the arena looks at its word again, so those of these words return, and those of a pending word that was being
 * released. At most 2,048 entries are followed, so a list that runs in a circle, or out of the arena, ends.
 *
 * Source: Documentation/locking/robust-futex-ABI.rst, kernel/futex/core.c. Unlike there, bit 30 of a link says that the
 * futex inherits priorities, not bit 0: links are word indexes, and odd ones are in use.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { isTaskOf, slotAddress, slotArea } from '../sched/slot.ts';

export const FUTEX_WAITERS = 1 << 31;
export const FUTEX_OWNER_DIED = 1 << 30;
export const FUTEX_TID_MASK = (1 << 30) - 1;

/** In a link of a robust list: the entry's futex inherits priorities. */
export const ROBUST_PI = 1 << 30;
/** The most entries that are followed, as in the kernel. */
const ROBUST_LIST_LIMIT = 2048;

/** The head of the thread's list, or 0. */
export const RobustList = slotArea(
  'robustList',
  { head: 1 },
  { vacate: (cpu, slot) => cpu.store(slot + RobustList.head, 0) },
);

export const RobustListHead = struct({ next: 1, offset: 1, pending: 1 });

/**
 * Marks what the dead hold by their robust lists. To do it twice changes nothing. Nobody is woken here: the reaper
 * unparks everybody afterwards, and a waiter whose word has changed looks again.
 */
export function repairRobustLists({ cpu, threads, isDead }: Repairer): void {
  for (let number = 0; number < threads; number++) {
    const slot = slotAddress(cpu, number);
    const head = cpu.load(slot + RobustList.head);
    if (head === 0 || !isDead(number + 1)) continue;
    const { entries, offset } = collect(cpu, head);
    // From last to first: once an entry is marked, its next owner may link it elsewhere. If this reaper dies, the next
    // one still gets to all that are in front of it.
    for (const entry of entries.reverse()) markDead(cpu, slot, (entry & ~ROBUST_PI) + offset);
  }
}

/**
 * The entries that the list leads to, in their order, and the pending one. What the list says is the program's, and
 * believed only as far as it leads into the arena.
 */
function collect(cpu: Cpu, head: number): { entries: number[]; offset: number } {
  const words = cpu.read(Header.size);
  const isInside = (address: number) => address > 0 && address < words;
  if (!isInside(head + RobustListHead.pending)) return { entries: [], offset: 0 };
  const entries: number[] = [];
  let entry = cpu.load(head + RobustListHead.next);
  while (entries.length < ROBUST_LIST_LIMIT && entry !== head && isInside(entry & ~ROBUST_PI)) {
    entries.push(entry);
    entry = cpu.load(entry & ~ROBUST_PI);
  }
  const pending = cpu.load(head + RobustListHead.pending);
  if (pending !== 0 && !entries.includes(pending)) entries.push(pending);
  return { entries, offset: cpu.load(head + RobustListHead.offset) };
}

/** `handle_futex_death`. */
function markDead(cpu: Cpu, slot: number, word: number): void {
  if (word <= 0 || word >= cpu.read(Header.size)) return;
  for (let value = cpu.load(word); ; ) {
    const tid = value & FUTEX_TID_MASK;
    if (tid === 0 || !isTaskOf(cpu, slot, tid)) return;
    const seen = cpu.cmpxchg(word, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    if (seen === value) return;
    value = seen;
  }
}
