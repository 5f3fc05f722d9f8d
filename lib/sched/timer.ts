/**
 * The timers of the whole arena: a red-black tree by deadline, in shared memory, that kthreadd serves (kernel
 * kernel/time/hrtimer.c: `hrtimer_start`, `hrtimer_cancel`, `hrtimer_interrupt`). What runs when a timer expires is an
 * action, which a room declares by name and kthreadd, who has loaded all rooms, runs. Deadlines of one thread's own sleeps
 * are not here, since what they end is on that thread: see `machine/deadlines.ts`.
 *
 *   state   IDLE
 *           PENDING [| SECOND]                in the tree; it expires at `first`, or with SECOND at `second`
 *           FIRING [| SECOND] | id << 3       the thread with CPU number id - 1 runs the action
 *
 *   start    x -> PENDING          cancel   PENDING -> IDLE
 *   expire   PENDING -> FIRING     fired    FIRING -> IDLE, unless the action has started the timer again
 *   death    FIRING -> PENDING     of kthreadd: the action runs again. Actions can bear that
 *
 * All but the last step are taken under timerLatch. `state` decides, by one store, and is written before the tree is
 * changed; a new deadline is written to the copy that is not in use. So when a thread dies there, the reaper makes the
 * tree again from the timers' own words.
 */
import type { Cpu } from '../machine/cpu.ts';
import { Header } from '../memory/header.ts';
import { defineKind, hash } from '../memory/kinds.ts';
import { latch, lookUnderLatch, unlatch } from '../memory/latch.ts';
import { ObjectHeader } from '../memory/objects.ts';
import { Tree } from '../memory/rbtree.ts';
import type { Repairer } from '../memory/repairer.ts';
import { struct } from '../memory/struct.ts';

export const TimerWords = struct({
  header: ObjectHeader,
  state: 1,
  left: 1,
  right: 1,
  parent: 1,
  /** Two copies of the deadline, ns on `cpu.now()`: the high and the low 32 bits. */
  first: 2,
  second: 2,
  /** Hash of the action's name, and a word for it. */
  action: 1,
  data: 1,
});

const IDLE = 0;
const PENDING = 1;
const FIRING = 2;
const PHASE = 3;
const SECOND = 4;
const ID_SHIFT = 3;

/** What happens when a timer expires: on kthreadd's event loop, and again if kthreadd dies in it. It must not block. */
export type TimerAction<Arena> = (arena: Arena, data: number, timer: number) => void;

const actions = new Map<number, TimerAction<never>>();

export const TIMER_KIND = defineKind<Repairer>({
  name: 'timer',
  words: TimerWords,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, timer) => cpu.load(timer + TimerWords.state) !== IDLE,
  // All timers at once: `repairTimers`.
  repair: () => true,
});

const tree = new Tree(TimerWords, (cpu, a, b) => deadlineOf(cpu, a) < deadlineOf(cpu, b));

/** Declares what the timers do whose action has that name. Returns the word that stands for it. */
export function defineTimerAction<Arena>(name: string, action: TimerAction<Arena>): number {
  const id = hash(name);
  actions.set(id, action as TimerAction<never>);
  return id;
}

/** The action of a timer that has expired; undefined when this thread has not loaded its room. */
export function actionOf(cpu: Cpu, timer: number): TimerAction<never> | undefined {
  return actions.get(cpu.load(timer + TimerWords.action));
}

/**
 * The timer expires at `deadline`, ns on `cpu.now()`, and no more when it would have. Returns whether it is the first of
 * all now, so that kthreadd has to be told. `owner`: the calling thread's CPU number plus one.
 */
export function startTimer(cpu: Cpu, owner: number, timer: number, deadline: number): boolean {
  latch(cpu, Header.timerLatch, owner);
  const isFirst = start(cpu, timer, deadline);
  unlatch(cpu, Header.timerLatch);
  return isFirst;
}

/** timerLatch is held. */
function start(cpu: Cpu, timer: number, deadline: number): boolean {
  const state = cpu.load(timer + TimerWords.state);
  const copy = (state & SECOND) ^ SECOND;
  const at = timer + (copy === 0 ? TimerWords.first : TimerWords.second);
  cpu.write(at, Math.floor(deadline / 2 ** 32));
  cpu.write(at + 1, (deadline % 2 ** 32) | 0);
  if ((state & PHASE) === PENDING) tree.remove(cpu, Header.timers, timer);
  cpu.store(timer + TimerWords.state, PENDING | copy);
  tree.insert(cpu, Header.timers, timer);
  return tree.first(cpu, Header.timers) === timer;
}

/**
 * `startTimer` for a kind's repair: the tree may be torn. kthreadd is rung behind the repair, if `kthreaddWanted` says so. False
 * where the latch can't be had: repair gives up for now. `allObjects`: whatever is in the heap.
 */
export function startTimerInRepair(
  repairer: Repairer,
  timer: number,
  deadline: number,
  allObjects: () => readonly number[],
): boolean {
  const { cpu } = repairer;
  if (!repairer.latch(Header.timerLatch, () => rebuildTree(cpu, allObjects()))) return false;
  start(cpu, timer, deadline);
  unlatch(cpu, Header.timerLatch);
  return true;
}

/** The timer does not expire. False when it was not to, or its action has begun. */
export function cancelTimer(cpu: Cpu, owner: number, timer: number): boolean {
  latch(cpu, Header.timerLatch, owner);
  const state = cpu.load(timer + TimerWords.state);
  const isPending = (state & PHASE) === PENDING;
  if (isPending) {
    cpu.store(timer + TimerWords.state, IDLE);
    tree.remove(cpu, Header.timers, timer);
  }
  unlatch(cpu, Header.timerLatch);
  return isPending;
}

/** Whether the timer is to expire, or its action runs. */
export function isTimerActive(cpu: Cpu, timer: number): boolean {
  return (cpu.load(timer + TimerWords.state) & PHASE) !== IDLE;
}

/** Whether its action runs, and it was not started again since. */
export function isTimerFiring(cpu: Cpu, timer: number): boolean {
  return (cpu.load(timer + TimerWords.state) & PHASE) === FIRING;
}

/** For kthreadd: the first timer whose deadline is at or before `now`, which is FIRING from here on, or 0. */
export function expireTimer(cpu: Cpu, owner: number, now: number): number {
  latch(cpu, Header.timerLatch, owner);
  const first = tree.first(cpu, Header.timers);
  const isDue = first !== 0 && deadlineOf(cpu, first) <= now;
  if (isDue) {
    const copy = cpu.load(first + TimerWords.state) & SECOND;
    cpu.store(first + TimerWords.state, FIRING | copy | (owner << ID_SHIFT));
    tree.remove(cpu, Header.timers, first);
  }
  unlatch(cpu, Header.timerLatch);
  return isDue ? first : 0;
}

/** The action of a timer that `expireTimer` gave has run. */
export function timerFired(cpu: Cpu, owner: number, timer: number): void {
  const state = cpu.load(timer + TimerWords.state);
  if ((state & PHASE) === FIRING && state >> ID_SHIFT === owner) cpu.cmpxchg(timer + TimerWords.state, state, IDLE);
}

/** When the first timer expires, ns on `cpu.now()`; Infinity when there is none. */
export function nextExpiry(cpu: Cpu, owner: number): number {
  latch(cpu, Header.timerLatch, owner);
  const first = tree.first(cpu, Header.timers);
  const deadline = first === 0 ? Number.POSITIVE_INFINITY : deadlineOf(cpu, first);
  unlatch(cpu, Header.timerLatch);
  return deadline;
}

/**
 * For the reaper: makes the tree again if a thread died in the middle of a change, and puts timers back whose action died
 * with its thread. `timers`: at least those that were there at the deaths; `allObjects`: whatever is there now.
 */
export function repairTimers(
  repairer: Repairer,
  timers: readonly number[],
  allObjects: () => readonly number[],
): boolean {
  const { cpu, isDead } = repairer;
  let isTorn = false;
  const hasLatch = repairer.latch(Header.timerLatch, () => {
    isTorn = true;
  });
  if (!hasLatch) return false;
  for (const timer of timers) {
    const state = cpu.load(timer + TimerWords.state);
    if ((state & PHASE) !== FIRING || !isDead(state >> ID_SHIFT)) continue;
    cpu.store(timer + TimerWords.state, PENDING | (state & SECOND));
    isTorn = true;
  }
  // Also those that were started since the reaper looked.
  if (isTorn) rebuildTree(cpu, allObjects());
  unlatch(cpu, Header.timerLatch);
  return true;
}

/** For `fsck`: what does not hold in the tree of timers. `allObjects`: whatever is in the heap. */
export function inspectTimers(cpu: Cpu, owner: number, allObjects: () => readonly number[]): string[] {
  const look = () => tree.faults(cpu, Header.timers, pendingOf(cpu, allObjects()));
  const faults = lookUnderLatch(cpu, Header.timerLatch, owner, look);
  return faults.map((fault) => `the tree of timers ${fault}`);
}

/** From the timers' own words. */
function rebuildTree(cpu: Cpu, objects: readonly number[]): void {
  cpu.write(Header.timers, 0);
  for (const timer of pendingOf(cpu, objects)) tree.insert(cpu, Header.timers, timer);
}

/** The timers among the objects that are to expire. */
function pendingOf(cpu: Cpu, objects: readonly number[]): number[] {
  const timers = objects.filter((object) => cpu.read(object + ObjectHeader.kind) === TIMER_KIND.id);
  return timers.filter((timer) => (cpu.load(timer + TimerWords.state) & PHASE) === PENDING);
}

/** Of a timer that is PENDING or FIRING, ns. */
function deadlineOf(cpu: Cpu, timer: number): number {
  const at = timer + (cpu.load(timer + TimerWords.state) & SECOND ? TimerWords.second : TimerWords.first);
  return cpu.read(at) * 2 ** 32 + (cpu.read(at + 1) >>> 0);
}
