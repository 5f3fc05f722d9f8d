/**
 * Ticket lock: take a number, wait until it is served.
 *
 *   lock    t = next++                    then wait until serving = t   (acquire)
 *   unlock  serving = t -> t + 1          (release: pairs with the acquire of whoever holds ticket t + 1)
 *
 * A thread notes in a TicketEntry which lock it has a ticket for. `lock` of the entry:
 *
 *   0       unused
 *   -lock   the thread takes a ticket or gives it back: whether it has one, only the thread knows
 *   lock    it has the ticket that stands in `ticket`
 *
 * It is illegal for `lock` to be positive before `ticket` is right, and after the store to `serving` that releases the
 * lock: by then another may have destroyed it, and the address be a new lock's, in which that ticket is somebody else's.
 *
 * When a thread has died with -lock, nobody knows whether it has a ticket; but every ticket from `serving` to `next` that
 * no live thread has must be a dead one's. The reaper serves those when their turn comes. Only who has died with `lock`,
 * and with its ticket being served, can have been inside.
 *
 * After Mellor-Crummey and Scott 1991, and include/asm-generic/spinlock.h.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { arrayOf, struct } from '../memory/struct.ts';
import { ALONE, contend } from '../sched/contention.ts';
import { maxThreads, slotAddress, slotArea } from '../sched/slot.ts';
import { QueuedLock } from './queued-lock.ts';
import { SpinningLockHeader } from './spinning-lock.ts';

const Ticket = struct({ header: SpinningLockHeader, next: 1, serving: 1 });

/** One ticket lock that the thread has a ticket for. */
export const TicketEntry = struct({ lock: 1, ticket: 1, pad: 2 });

/** How many ticket locks a thread can hold at once. */
export const TICKET_ENTRIES = 4;

export const Tickets = slotArea(
  'ticketLock',
  { entries: arrayOf(TICKET_ENTRIES, TicketEntry) },
  {
    vacate(cpu, slot) {
      for (const entry of ENTRIES) cpu.store(slot + entry + TicketEntry.lock, 0);
    },
  },
);

const equals = (value: number, ticket: number) => value === ticket;
const differs = (value: number, from: number) => value !== from;

const ENTRIES = Array.from({ length: TICKET_ENTRIES }, (_, i) => Tickets.entries + i * TicketEntry.words);

const KIND = defineKind<Repairer>({
  name: 'ticket-lock',
  words: Ticket,
  format: () => {},
  holder,
  isBusy: (cpu, lock) => cpu.load(lock + Ticket.next) !== cpu.load(lock + Ticket.serving),
  repair,
});

/**
 * Strict FIFO spinlock, all waiters spinning on one word. Mind what it costs here: a waiter that the operating system
 * has preempted holds up everyone behind it, so with more busy threads than cores throughput falls by a factor of 10
 * to 1000, and each hand-over gets slower with every waiter. Use `SpinLock`, or `Mutex`; this class is for comparison.
 *
 * Fairness: order of arrival. A thread holds at most 4 ticket locks at once (EAGAIN). Not recursive (EDEADLK).
 * Source: Mellor-Crummey and Scott 1991; include/asm-generic/spinlock.h.
 */
export class TicketLock extends QueuedLock {
  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): TicketLock {
    return new TicketLock(arena, handle);
  }

  protected override takePlace(): number {
    this.thread.current();
    if (this.ownPlace() !== 0) throw this.relocked();
    const entry = this.#freeEntry();
    const { cpu } = this.thread;
    cpu.store(entry + TicketEntry.lock, -this.address);
    // A release, so that a reaper who sees the ticket gone (repair) sees that this thread was taking one. An acquire for `lock`.
    const ticket = cpu.fetchAdd(this.address + Ticket.next, 1);
    cpu.store(entry + TicketEntry.ticket, ticket);
    // Pairs with the acquire in claimedTickets, which finds the ticket.
    cpu.storeRelease(entry + TicketEntry.lock, this.address);
    // Both acquires pair with the release in leavePlace.
    const serving = this.address + Ticket.serving;
    if (cpu.loadAcquire(serving) === ticket) return entry;
    contend(this.thread, this.address, ALONE, () => {
      cpu.condLoadAcquire(serving, equals, ticket, Number.POSITIVE_INFINITY);
    });
    return entry;
  }

  protected override tryTakePlace(): number {
    const entry = this.#freeEntry();
    const { cpu } = this.thread;
    // Acquire: pairs with the release in leavePlace. If nobody has taken a ticket since, that was the last owner.
    const serving = cpu.loadAcquire(this.address + Ticket.serving);
    cpu.store(entry + TicketEntry.lock, -this.address);
    const isFree = cpu.cmpxchg(this.address + Ticket.next, serving, (serving + 1) | 0) === serving;
    if (isFree) cpu.store(entry + TicketEntry.ticket, serving);
    // Pairs with the acquire in claimedTickets, as in takePlace.
    cpu.storeRelease(entry + TicketEntry.lock, isFree ? this.address : 0);
    return isFree ? entry : 0;
  }

  protected override ownPlace(): number {
    const { cpu, slot } = this.thread;
    for (const offset of ENTRIES) {
      if (cpu.load(slot + offset + TicketEntry.lock) === this.address) return slot + offset;
    }
    return 0;
  }

  protected override leavePlace(entry: number): void {
    const { cpu } = this.thread;
    const ticket = cpu.load(entry + TicketEntry.ticket);
    // Then serving: t -> t + 1. Release: pairs with the acquires in takePlace and tryTakePlace of the thread that holds t + 1.
    cpu.store(entry + TicketEntry.lock, -this.address);
    cpu.storeRelease(this.address + Ticket.serving, (ticket + 1) | 0);
    // Pairs with the acquire in entriesOf: a reaper that finds the entry unused finds the ticket served.
    cpu.storeRelease(entry + TicketEntry.lock, 0);
  }

  protected override get holder(): number {
    return holder(this.living, this.address);
  }

  #freeEntry(): number {
    const { cpu, slot } = this.thread;
    for (const offset of ENTRIES) if (cpu.load(slot + offset + TicketEntry.lock) === 0) return slot + offset;
    throw this.tooMany(TICKET_ENTRIES);
  }
}

/** The thread whose ticket is served; a snapshot. */
function holder(cpu: Cpu, lock: number): number {
  const serving = cpu.load(lock + Ticket.serving);
  for (let number = 0; number < maxThreads(cpu); number++) {
    for (const offset of ENTRIES) {
      const entry = slotAddress(cpu, number) + offset;
      // Pairs with the releases in takePlace and tryTakePlace: the ticket is of this lock.
      if (cpu.loadAcquire(entry + TicketEntry.lock) !== lock) continue;
      if (cpu.load(entry + TicketEntry.ticket) === serving) return number + 1;
    }
  }
  return 0;
}

function repair(repairer: Repairer, lock: number): boolean {
  const { cpu, settle } = repairer;
  const dead = entriesOf(repairer, lock, true);
  if (dead.length === 0) return true;
  const serving = lock + Ticket.serving;
  // The acquires here pair with the release in leavePlace: a ticket that was served is no longer in its thread's entry.
  const isLate = (ticket: number) => ((ticket - cpu.loadAcquire(serving)) | 0) < 0;
  markWaiters(cpu, lock, dead);
  const held = new Set(
    dead
      .filter((entry) => cpu.load(entry + TicketEntry.lock) === lock)
      .map((entry) => cpu.load(entry + TicketEntry.ticket)),
  );

  // First `next`, then who has which ticket: acquire, pairs with the exchange in takePlace. A ticket below `next` that no entry
  // has is a dead thread's.
  const next = cpu.loadAcquire(lock + Ticket.next);
  const claimed = claimedTickets(repairer, lock);
  if (claimed === undefined) return false;
  // Live threads may have been served past `next` meanwhile.
  for (let ticket = cpu.loadAcquire(serving); ((next - ticket) | 0) > 0; ticket = (ticket + 1) | 0) {
    if (claimed.has(ticket) || isLate(ticket)) continue;
    if (!settle(serving, equals, ticket)) return false;
    if (held.has(ticket)) cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    cpu.cmpxchg(serving, ticket, (ticket + 1) | 0);
  }
  // Last: if this reaper dies before, the next one finds them again.
  // lock -> 0. Pairs with the acquire in `entriesOf`.
  for (const entry of dead) cpu.storeRelease(entry + TicketEntry.lock, 0);
  return true;
}

/** The entries, of dead threads or of live ones, that name the lock. */
function entriesOf({ cpu, threads, isDead }: Repairer, lock: number, dead: boolean): number[] {
  return (
    Array.from({ length: threads }, (_, number) => number)
      .filter((number) => isDead(number + 1) === dead)
      .flatMap((number) => ENTRIES.map((offset) => slotAddress(cpu, number) + offset))
      // Pairs with the releases of `lock` in takePlace, tryTakePlace and leavePlace.
      .filter((entry) => Math.abs(cpu.loadAcquire(entry + TicketEntry.lock)) === lock)
  );
}

/**
 * A thread that has died before its turn was never inside. The reaper notes that at its first look, because it may have to come
 * back, and the turn have come by then.
 */
function markWaiters(cpu: Cpu, lock: number, dead: readonly number[]): void {
  // Pairs with the release of the thread that was served last.
  const serving = cpu.loadAcquire(lock + Ticket.serving);
  for (const entry of dead) {
    if (cpu.load(entry + TicketEntry.ticket) !== serving) cpu.store(entry + TicketEntry.lock, -lock);
  }
}

/** The tickets that live threads have. Undefined when one that takes or gives back a ticket does not get on. */
function claimedTickets(repairer: Repairer, lock: number): Set<number> | undefined {
  const { cpu, settle } = repairer;
  const tickets = new Set<number>();
  for (const entry of entriesOf(repairer, lock, false)) {
    const word = entry + TicketEntry.lock;
    let value = cpu.loadAcquire(word);
    // Each look counts as a whole: whoever has a ticket at one is alive, and will give it back itself.
    for (; value === -lock; value = cpu.loadAcquire(word)) if (!settle(word, differs, -lock)) return undefined;
    if (value === lock) tickets.add(cpu.load(entry + TicketEntry.ticket));
  }
  return tickets;
}
