/**
 * Ticket lock: take a number, wait until it is served.
 *
 *   lock    t = next++                    then wait until serving = t   (acquire)
 *   unlock  serving = t -> t + 1          (release: pairs with the acquire of whoever holds ticket t + 1)
 *
 * A thread notes in a TicketEntry which lock it has a ticket for: TAKING from before the increment, TAKEN with the
 * ticket after it. When a thread has died while TAKING, nobody knows whether it got a ticket; but every ticket from
 * `serving` to `next` that no live thread has must be a dead one's. The reaper serves those when their turn comes.
 *
 * After Mellor-Crummey and Scott 1991, and include/asm-generic/spinlock.h.
 */

import type { Arena } from '../arena/arena.ts';
import type { ObjectHandle } from '../arena/shared-object.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';
import { maxThreads, Slot, slotAddress, TICKET_ENTRIES, TicketEntry } from '../sched/slot.ts';
import { SpinningLock, SpinningLockHeader } from './spinning-lock.ts';

const Ticket = struct({ header: SpinningLockHeader.words, next: 1, serving: 1 });

const NONE = 0;
const TAKING = 1;
const TAKEN = 2;

const equals = (value: number, ticket: number) => value === ticket;
const isNot = (phase: number, from: number) => phase !== from;

const ENTRIES = Array.from({ length: TICKET_ENTRIES }, (_, i) => Slot.tickets + i * TicketEntry.words);

const KIND = defineKind<Repairer>({
  name: 'ticket-lock',
  words: Ticket.words,
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
export class TicketLock extends SpinningLock {
  /** Opens the lock of that name, making it if there is none, or the lock of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle) {
    super(KIND, arena, which);
  }

  static from(arena: Arena, handle: ObjectHandle): TicketLock {
    return new TicketLock(arena, handle);
  }

  lock(): void {
    const entry = this.#freeEntry();
    const { cpu } = this.thread;
    cpu.store(entry + TicketEntry.phase, TAKING);
    cpu.storeRelease(entry + TicketEntry.lock, this.address);
    // A release, so that a reaper who sees the ticket gone sees that this thread was taking one.
    const ticket = cpu.fetchAddRelease(this.address + Ticket.next, 1);
    cpu.store(entry + TicketEntry.ticket, ticket);
    cpu.storeRelease(entry + TicketEntry.phase, TAKEN);
    cpu.condLoadAcquire(this.address + Ticket.serving, equals, ticket, Number.POSITIVE_INFINITY);
  }

  tryLock(): boolean {
    const entry = this.#freeEntry();
    const { cpu } = this.thread;
    const serving = cpu.loadAcquire(this.address + Ticket.serving);
    cpu.store(entry + TicketEntry.phase, TAKING);
    cpu.storeRelease(entry + TicketEntry.lock, this.address);
    const isFree = cpu.cmpxchg(this.address + Ticket.next, serving, (serving + 1) | 0) === serving;
    cpu.store(entry + TicketEntry.ticket, serving);
    cpu.storeRelease(entry + TicketEntry.phase, isFree ? TAKEN : NONE);
    if (!isFree) cpu.store(entry + TicketEntry.lock, 0);
    return isFree;
  }

  unlock(): void {
    const { cpu } = this.thread;
    const entry = this.#ownEntry();
    if (entry === 0) throw this.notOwner();
    const ticket = cpu.load(entry + TicketEntry.ticket);
    cpu.storeRelease(this.address + Ticket.serving, (ticket + 1) | 0);
    cpu.storeRelease(entry + TicketEntry.lock, 0);
  }

  get owner(): number | undefined {
    const id = holder(this.thread.cpu, this.address);
    return id === 0 ? undefined : id - 1;
  }

  #freeEntry(): number {
    this.thread.current();
    if (this.#ownEntry() !== 0) throw this.relocked();
    const { cpu, slot } = this.thread;
    for (const offset of ENTRIES) if (cpu.load(slot + offset + TicketEntry.lock) === 0) return slot + offset;
    throw this.tooMany(TICKET_ENTRIES);
  }

  #ownEntry(): number {
    const { cpu, slot } = this.thread;
    for (const offset of ENTRIES) {
      if (cpu.load(slot + offset + TicketEntry.lock) === this.address) return slot + offset;
    }
    return 0;
  }
}

/** The thread whose ticket is served; a snapshot. */
function holder(cpu: Cpu, lock: number): number {
  const serving = cpu.load(lock + Ticket.serving);
  for (let number = 0; number < maxThreads(cpu); number++) {
    for (const offset of ENTRIES) {
      const entry = slotAddress(cpu, number) + offset;
      const isHere = cpu.load(entry + TicketEntry.lock) === lock && cpu.load(entry + TicketEntry.phase) === TAKEN;
      if (isHere && cpu.load(entry + TicketEntry.ticket) === serving) return number + 1;
    }
  }
  return 0;
}

function repair({ cpu, threads, isDead, settle }: Repairer, lock: number): boolean {
  const entriesOf = (dead: boolean) => {
    const entries: number[] = [];
    for (let number = 0; number < threads; number++) {
      if (isDead(number + 1) !== dead) continue;
      for (const offset of ENTRIES) entries.push(slotAddress(cpu, number) + offset);
    }
    return entries.filter((entry) => cpu.loadAcquire(entry + TicketEntry.lock) === lock);
  };
  const dead = entriesOf(true);
  if (dead.length === 0) return true;
  const isLate = (ticket: number) => ((ticket - cpu.loadAcquire(lock + Ticket.serving)) | 0) < 0;

  // Who is TAKING but not known yet to have a ticket is dead, or will know in a moment.
  const next = cpu.loadAcquire(lock + Ticket.next);
  const live = entriesOf(false);
  if (!live.every((entry) => settle(entry + TicketEntry.phase, isNot, TAKING))) return false;
  const holders = live.filter((entry) => cpu.loadAcquire(entry + TicketEntry.phase) === TAKEN);
  const taken = new Set(holders.map((entry) => cpu.load(entry + TicketEntry.ticket)));
  const orphans: number[] = [];
  // Live threads may have been served past `next` meanwhile.
  for (let ticket = cpu.loadAcquire(lock + Ticket.serving); ((next - ticket) | 0) > 0; ticket = (ticket + 1) | 0) {
    if (!taken.has(ticket) && !isLate(ticket)) orphans.push(ticket);
  }
  for (const ticket of orphans) {
    if (isLate(ticket)) continue;
    if (!settle(lock + Ticket.serving, equals, ticket)) return false;
    cpu.store(lock + SpinningLockHeader.ownerDied, 1);
    cpu.cmpxchg(lock + Ticket.serving, ticket, (ticket + 1) | 0);
  }
  for (const entry of dead) cpu.storeRelease(entry + TicketEntry.lock, 0);
  return true;
}
