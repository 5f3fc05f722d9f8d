/**
 * Grace periods: a period that began after a thread took something out of a structure ends only when every reader is out
 * that could have seen it there.
 *
 * Nobody drives a period. It is a state in shared memory, and whoever makes the next step possible makes it, under the
 * domain's latch and without sleeping in between: who asks for a period begins it; the last reader that it waits for ends
 * it, on the way out. So no period waits for a thread that has nothing to do with it, and none is lost with one.
 *
 *   IDLE      -> SCANNING  a period was asked for
 *   SCANNING  -> WAITING   every lane that was INSIDE is AWAITED, and has its bit in the tree
 *   WAITING   -> IDLE      the root's mask is 0
 *
 *   asks for a period, makes steps --- all readers are out ----------------------------> over
 *     | one is inside                                                                    ^
 *     v                                                                                  |
 *   sleeps in the domain's queue --- woken, or after a while: makes steps ---------------+
 *     ^                                                                                  |
 *     '--- wakes it --- the last reader goes out: clears its bit, makes the next step ---'
 *
 *   reader                               period
 *   lane := INSIDE (full)                number := SCANNING, full barrier
 *   reads pointers                       INSIDE -> AWAITED, or else the lane is OUTSIDE (acquire)
 *   was it AWAITED?                      bits in the tree
 *   lane := OUTSIDE (release)
 *     it was: clears its bit
 *
 * Either the scan finds the reader INSIDE, or the reader's loads come after everything that came before the period (store
 * buffering, with full barriers on both sides). Readers that are OUTSIDE are not polled, rung or waited for.
 *
 * The reader leaves with a load and a store, which cost a tenth of an exchange on x86. A mark that comes between the two is
 * overwritten: the reader is out and does not know that somebody waits. So each call of `advance` looks at the lanes that
 * bits are set for, and whoever waits calls it again after a while (`wait.ts`). A lane that is not AWAITED any more has been
 * left since it was marked.
 *
 * A scan marks lanes and sets bits under the leaf's latch, and a reader takes that latch to clear its bit; it cannot enter
 * again before it has. So a bit that is set belongs to a reader that is inside or about to report, and no report is of an
 * older period. A mask that becomes 0, or stops being 0, is told to the parent before the node's latch is released.
 *
 * Death: a dead thread's readers are over. Bits follow from `awaited` of the lines, so the reaper sets them anew, and a
 * scan that a thread died in is done again, which can only make it wait for more. A thread that waits for a period looks after
 * each death whether there is a step to make.
 *
 * Source: kernel/rcu/tree.c, whose grace-period kthread, hotplug and forced quiescent states are not needed where every
 * reader says for itself that it is out.
 */
import { repair as repairQueue, wakeUp } from '../locking/wait-queue-core.ts';
import type { Cpu } from '../machine/cpu.ts';
import { inheritLatch, latch, latchOwner, tryLatchBriefly, unlatch } from '../memory/latch.ts';
import type { Repairer } from '../memory/repairer.ts';
import type { Thread } from '../sched/thread.ts';
import { endLoans, returnLent } from './boost.ts';
import {
  type Domain,
  domainAt,
  EXPEDITED,
  LANES,
  Line,
  leafAt,
  lineOf,
  Node,
  nodesOf,
  PACES,
  type Pace,
  Period,
  RcuWords,
} from './layout.ts';
import {
  endAfter,
  IDLE,
  isNeeded,
  ownSequence,
  raiseNeeded,
  readSequence,
  repairSequence,
  SCANNING,
  stateOf,
  WAITING,
  writeSequence,
} from './sequence.ts';
import { clearStacks } from './stacks.ts';

/** A reader lane's word. */
export const OUTSIDE = 0;
export const INSIDE = 1;
/** Inside, and a period waits for it: its reader reports when it leaves. */
export const AWAITED = 2;

const ALL_LANES = (1 << LANES) - 1;

/** The number that a period has reached when all readers of this moment are out. `get_state_synchronize_rcu`. */
export function snapshot(thread: Thread, { rcu }: Domain, pace: Pace): number {
  // Pairs with the barrier in `scan`: what this thread took out of a structure is gone for readers that a later scan misses.
  thread.cpu.mb();
  return endAfter(readSequence(thread, rcu, pace));
}

/** Whether that number is reached: all that those readers did is seen. `poll_state_synchronize_rcu`. */
export function isOver(thread: Thread, { rcu }: Domain, pace: Pace, end: number): boolean {
  return readSequence(thread, rcu, pace) >= end;
}

/** Asks for the period that ends with the number `end`, and makes what steps can be made. */
export function advance(thread: Thread, domain: Domain, pace: Pace, end: number): void {
  latch(thread.cpu, domain.rcu + RcuWords.latch, thread.id);
  advanceAndUnlatch(thread, domain, pace, end);
}

/**
 * `advance` for a task that looks again later in any case: it does not wait for another thread's steps. False when another
 * thread is making some.
 */
export function tryAdvance(thread: Thread, domain: Domain, pace: Pace, end: number): boolean {
  if (!tryLatchBriefly(thread.cpu, domain.rcu + RcuWords.latch, thread.id)) return false;
  advanceAndUnlatch(thread, domain, pace, end);
  return true;
}

function advanceAndUnlatch(thread: Thread, domain: Domain, pace: Pace, end: number): void {
  const { cpu } = thread;
  const { rcu } = domain;
  raiseNeeded(cpu, rcu + pace.period, end);
  // Under the latch: once it is free, the domain may be destroyed.
  if (makeSteps(thread, domain, pace)) wakeUp(thread, rcu, 0);
  unlatch(cpu, rcu + RcuWords.latch);
}

/** Under the domain's latch. Returns whether a period has ended. */
function makeSteps(thread: Thread, domain: Domain, pace: Pace): boolean {
  const { cpu } = thread;
  const at = domain.rcu + pace.period;
  for (let hasEnded = false; ; ) {
    const sequence = ownSequence(cpu, at);
    const state = stateOf(sequence);
    if (state === IDLE) {
      if (!isNeeded(cpu, at, endAfter(sequence))) return hasEnded;
      thread.tracer?.period(domain.rcu, pace === EXPEDITED, endAfter(sequence), false);
      writeSequence(cpu, at, sequence + SCANNING);
    } else if (state === SCANNING) {
      scan(thread, domain, pace);
      writeSequence(cpu, at, sequence - SCANNING + WAITING);
    } else {
      // Acquire: pairs with the release in `setMask`, by which the last reader is out.
      if (cpu.loadAcquire(domain.root + pace.mask) !== 0 && !lookAgain(thread, domain, pace)) return hasEnded;
      thread.tracer?.period(domain.rcu, pace === EXPEDITED, endAfter(sequence - WAITING), true);
      writeSequence(cpu, at, endAfter(sequence - WAITING));
      hasEnded = true;
    }
  }
}

/** Finds who is inside. May be done again, after the death of a thread that did it: bits that are set stay. */
function scan(thread: Thread, domain: Domain, pace: Pace): void {
  const { cpu, id } = thread;
  const { rcu, leafThreads, leaves } = domain;
  // Pairs with the exchange in `enter` of reader.ts, and with the barrier in `snapshot`.
  cpu.mb();
  const threads = cpu.load(rcu + RcuWords.threads);
  for (let index = 0; index < leaves && index * leafThreads < threads; index++) {
    const leaf = leafAt(domain, index);
    const first = index * leafThreads;
    latch(cpu, leaf + Node.latch, id);
    let mask = cpu.load(leaf + pace.mask);
    for (let number = first; number < Math.min(first + leafThreads, threads); number++) {
      const line = lineOf(domain, number);
      const lanes = lanesInside(cpu, line, domain.rings);
      if (lanes === 0) continue;
      cpu.write(line + Line.awaited, cpu.read(line + Line.awaited) | (lanes << pace.shift));
      mask |= 1 << (number - first);
    }
    setMask(thread, leaf, pace, mask);
    unlatch(cpu, leaf + Node.latch);
  }
}

/** The lanes of the line that are inside; they are AWAITED from here on. */
function lanesInside(cpu: Cpu, line: number, rings: boolean): number {
  let lanes = 0;
  for (let lane = 0; lane < LANES; lane++) {
    const word = line + Line.lanes + lane;
    if (!markInside(cpu, word)) continue;
    lanes |= 1 << lane;
    if (!rings) continue;
    // Its event loop waits for the word to change: either that finds the mark as it falls asleep, or is found asleep here.
    cpu.mb();
    cpu.wake(word, Number.POSITIVE_INFINITY);
  }
  return lanes;
}

function markInside(cpu: Cpu, lane: number): boolean {
  for (;;) {
    // Pairs with the release in `exit` of reader.ts: a reader that is out has read all it was going to read.
    const state = cpu.loadAcquire(lane);
    if (state === OUTSIDE) return false;
    if (state === AWAITED || cpu.cmpxchgRelaxed(lane, INSIDE, AWAITED) === INSIDE) return true;
  }
}

/** Clears the bits of lanes whose readers left without knowing of the period. Returns whether the root's mask is 0 now. */
function lookAgain(thread: Thread, domain: Domain, pace: Pace): boolean {
  const { cpu, id } = thread;
  for (let index = 0; index < domain.leaves; index++) {
    const leaf = leafAt(domain, index);
    if (cpu.load(leaf + pace.mask) === 0) continue;
    latch(cpu, leaf + Node.latch, id);
    let mask = cpu.load(leaf + pace.mask);
    for (let child = 0; child < domain.leafThreads; child++) {
      if (!(mask & (1 << child))) continue;
      const line = lineOf(domain, index * domain.leafThreads + child);
      for (let lane = 0; lane < LANES; lane++)
        if (isOut(cpu, line + Line.lanes + lane)) stopWaiting(cpu, line, pace, lane);
      if (!isAwaited(cpu, line, pace)) mask &= ~(1 << child);
    }
    setMask(thread, leaf, pace, mask);
    unlatch(cpu, leaf + Node.latch);
  }
  // Pairs with the release in `setMask`.
  return cpu.loadAcquire(domain.root + pace.mask) === 0;
}

/** Acquire: pairs with the release in `leave` of reader.ts. */
function isOut(cpu: Cpu, lane: number): boolean {
  return cpu.loadAcquire(lane) !== AWAITED;
}

/** Under the leaf's latch. */
function stopWaiting(cpu: Cpu, line: number, { shift }: Pace, lane: number): void {
  cpu.write(line + Line.awaited, cpu.read(line + Line.awaited) & ~((1 << lane) << shift));
}

/** Under the leaf's latch: whether the current period waits for any lane of the line. */
function isAwaited(cpu: Cpu, line: number, { shift }: Pace): boolean {
  return ((cpu.read(line + Line.awaited) >> shift) & ALL_LANES) !== 0;
}

/**
 * A reader of thread `number` has left a lane that was AWAITED: no period waits for it any more. The lane is OUTSIDE, and
 * stays so until this returns. `rcu_report_qs_rdp`.
 */
export function report(thread: Thread, domain: Domain, number: number, lane: number): void {
  const { cpu, id } = thread;
  const index = Math.floor(number / domain.leafThreads);
  const leaf = leafAt(domain, index);
  const line = lineOf(domain, number);
  const bit = 1 << (number - index * domain.leafThreads);
  // A scan that gets the leaf's latch after this thread finds the lane OUTSIDE. Pairs with the barrier in `Loans` of boost.ts, too.
  cpu.mb();
  latch(cpu, leaf + Node.latch, id);
  const over = PACES.filter((pace) => {
    if (!isAwaited(cpu, line, pace)) return false;
    stopWaiting(cpu, line, pace, lane);
    return !isAwaited(cpu, line, pace) && setMask(thread, leaf, pace, cpu.load(leaf + pace.mask) & ~bit);
  });
  unlatch(cpu, leaf + Node.latch);
  // With the number 0 nobody asks for anything: the period may end, and the next may begin.
  for (const pace of over) advance(thread, domain, pace, 0);
  returnLent(thread);
}

/** Under the node's latch: the new mask, told to the nodes above. Returns whether the root's mask is 0 now. */
function setMask(thread: Thread, node: number, pace: Pace, mask: number): boolean {
  const { cpu, id } = thread;
  const before = cpu.load(node + pace.mask);
  // Pairs with the acquire in `makeSteps`.
  cpu.storeRelease(node + pace.mask, mask);
  const parent = cpu.read(node + Node.parent);
  if (parent === 0) return mask === 0;
  if ((before === 0) === (mask === 0)) return false;
  latch(cpu, parent + Node.latch, id);
  const above = cpu.load(parent + pace.mask);
  const bit = cpu.read(node + Node.bit);
  const isOver = setMask(thread, parent, pace, mask === 0 ? above & ~bit : above | bit);
  unlatch(cpu, parent + Node.latch);
  return isOver;
}

/**
 * Ends the readers of dead threads, and sets the tree anew from the lines. Steps are left to those who wait, who all look
 * again after a death.
 */
export function repairPeriods(repairer: Repairer, rcu: number): boolean {
  const { cpu } = repairer;
  const domain = domainAt(cpu, rcu);
  if (!repairQueue(repairer, rcu)) return false;
  const nodes = nodesOf(domain);
  // A living thread that has a node's latch may wait for the parent's: so the latches of the dead are freed from the root
  // down. What they leave unfinished makes a period wait for more, or belongs to a scan, whose thread has the domain's latch.
  for (const node of nodes.toReversed()) freeOfDead(repairer, node + Node.latch);
  for (const node of nodes) {
    if (!repairer.latch(node + Node.latch, () => {})) return false;
    repairNode(repairer, domain, node);
    unlatch(cpu, node + Node.latch);
  }
  for (const { period } of PACES) freeOfDead(repairer, rcu + period + Period.stallLatch);
  if (!repairer.latch(rcu + RcuWords.latch, () => {})) return false;
  for (const { period } of PACES) repairSequence(cpu, rcu + period);
  unlatch(cpu, rcu + RcuWords.latch);
  return endLoans(repairer);
}

/** Frees the latch at `word` if a dead thread has it. */
function freeOfDead({ cpu, owner, isDead }: Repairer, word: number): void {
  const holder = latchOwner(cpu, word);
  if (holder !== 0 && isDead(holder) && inheritLatch(cpu, word, holder, owner)) unlatch(cpu, word);
}

/** Under the node's latch. Children are in order already, or their bits are about to be set by who has their latches. */
function repairNode({ cpu, threads, isDead }: Repairer, domain: Domain, node: number): void {
  const index = (node - leafAt(domain, 0)) / Node.words;
  if (index >= domain.leaves) {
    for (const pace of PACES) cpu.storeRelease(node + pace.mask, maskOfChildren(cpu, domain, node, pace));
    return;
  }
  const masks = PACES.map(() => 0);
  const first = index * domain.leafThreads;
  for (let number = first; number < Math.min(first + domain.leafThreads, threads); number++) {
    const line = lineOf(domain, number);
    if (isDead(number + 1)) {
      for (let lane = 0; lane < LANES; lane++) cpu.store(line + Line.lanes + lane, OUTSIDE);
      cpu.write(line + Line.awaited, 0);
      clearStacks(cpu, domain.rcu, number);
      cpu.store(line + Line.done, cpu.load(line + Line.queued));
      cpu.store(line + Line.reclaimed, cpu.load(line + Line.kfreed));
    }
    for (const [i, pace] of PACES.entries()) {
      if (isAwaited(cpu, line, pace)) masks[i] = (masks[i] as number) | (1 << (number - first));
    }
  }
  for (const [i, pace] of PACES.entries()) cpu.storeRelease(node + pace.mask, masks[i] as number);
}

function maskOfChildren(cpu: Cpu, domain: Domain, node: number, pace: Pace): number {
  let mask = 0;
  for (const child of nodesOf(domain)) {
    // Acquire: the root's mask, once it is 0, stands for all readers below.
    const isBusy = cpu.read(child + Node.parent) === node && cpu.loadAcquire(child + pace.mask) !== 0;
    if (isBusy) mask |= cpu.read(child + Node.bit);
  }
  return mask;
}

const isFree = (value: number) => value === 0;
/** Loads that `isDomainBusy` waits for a latch: longer than anybody holds it who is not preempted. */
const LATCH_SPINS = 1000;

/** Whether a reader is inside or on its way out, a period under way, or a callback not over. */
export function isDomainBusy(cpu: Cpu, rcu: number): boolean {
  const domain = domainAt(cpu, rcu);
  const threads = cpu.loadAcquire(rcu + RcuWords.threads);
  for (let number = 0; number < threads; number++) {
    const line = lineOf(domain, number);
    if (isReading(cpu, line) || cpu.load(line + Line.queued) !== cpu.load(line + Line.done)) return true;
    if (cpu.load(line + Line.kfreed) !== cpu.load(line + Line.reclaimed)) return true;
  }
  const latches = [rcu + RcuWords.latch, ...nodesOf(domain).map((node) => node + Node.latch)];
  if (latches.some((word) => cpu.condLoadAcquire(word, isFree, 0, LATCH_SPINS) !== 0)) return true;
  return PACES.some(({ period }) => stateOf(ownSequence(cpu, rcu + period)) !== IDLE);
}

/** Whether a reader is in one of the line's lanes. */
export function isReading(cpu: Cpu, line: number): boolean {
  for (let lane = 0; lane < LANES; lane++) if (cpu.loadAcquire(line + Line.lanes + lane) !== OUTSIDE) return true;
  return false;
}

const isLeft = (state: number) => state !== AWAITED;

/**
 * Waits a moment for the readers that periods wait for: most are out sooner than a thread falls asleep. Stops at the first
 * that is not.
 */
export function spinOnReaders({ cpu, spins }: Thread, domain: Domain): void {
  const threads = cpu.load(domain.rcu + RcuWords.threads);
  for (let number = 0; number < threads; number++) {
    const lanes = lineOf(domain, number) + Line.lanes;
    for (let lane = lanes; lane < lanes + LANES; lane++) {
      if (cpu.load(lane) === AWAITED && !isLeft(cpu.condLoad(lane, isLeft, 0, spins))) return;
    }
  }
}
