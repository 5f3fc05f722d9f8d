/**
 * What makes a kernel test meaningless rather than an execution of it forbidden, by herd's names for it: locks and
 * critical sections that do not match, and locks used as if they were variables.
 */
import { type Execution, Fence, Kind, Tag } from './execution.ts';
import { matchCriticalSections, matchSrcuSections } from './lkmm-rcu.ts';
import type { EventSet, Relation } from './relation.ts';

export function flagSections(x: Execution): string[] {
  const has = (...kinds: number[]): boolean => kinds.some((kind) => x.fence.subarray(0, x.count).includes(kind));
  const flags: string[] = [];
  if (has(Fence.rcuLock, Fence.rcuUnlock)) flags.push(...flagRcu(x));
  if (has(Fence.srcuLock, Fence.srcuUnlock)) flags.push(...flagSrcu(x));
  return [...flags, ...flagSpinLocks(x)];
}

function unmatched(all: EventSet, matched: EventSet): boolean {
  return !all.minus(matched).isEmpty();
}

function flagRcu(x: Execution): string[] {
  const flags: string[] = [];
  const sections = matchCriticalSections(x);
  if (unmatched(x.fences(Fence.rcuLock), sections.domain()) || unmatched(x.fences(Fence.rcuUnlock), sections.range())) {
    flags.push('unbalanced-rcu-locking');
  }
  // Waiting for an SRCU grace period sleeps, which a reader of RCU must not.
  if (!sections.and(x.po.via(x.fences(Fence.syncSrcu), x.po)).isEmpty()) flags.push('invalid-sleep');
  return flags;
}

function flagSrcu(x: Execution): string[] {
  const flags: string[] = [];
  const sections = matchSrcuSections(x);
  if (
    unmatched(x.fences(Fence.srcuLock), sections.domain()) ||
    unmatched(x.fences(Fence.srcuUnlock), sections.range())
  ) {
    flags.push('unbalanced-srcu-locking');
  }
  if (!sections.inverse().seq(sections).minus(x.universe.identity()).isEmpty()) flags.push('multiple-srcu-matches');
  if (sections.pairs().some(([lock, unlock]) => x.value[lock] !== x.value[unlock])) flags.push('srcu-bad-value-match');
  return flags;
}

/** From each lock to the unlock of it that follows in its thread, with neither between. */
function heldLocks(x: Execution, locks: EventSet, unlocks: EventSet): Relation {
  const poLoc = x.po.and(x.loc);
  return poLoc.between(locks, unlocks).minus(poLoc.via(locks.or(unlocks), poLoc));
}

function flagSpinLocks(x: Execution): string[] {
  const locks = x.tagged(Kind.write, Tag.lockWrite);
  const unlocks = x.tagged(Kind.write, Tag.unlock);
  const looks = x.tagged(Kind.read, Tag.lockLook);
  const accesses = locks.or(unlocks).or(looks).or(x.tagged(Kind.read, Tag.lockRead));
  if (accesses.isEmpty()) return [];
  const flags: string[] = [];
  if (!x.loc.between(x.M.minus(accesses), accesses).isEmpty()) flags.push('mixed-lock-accesses');
  if (unmatched(unlocks, heldLocks(x, locks, unlocks).range())) flags.push('unmatched-unlock');
  return flags;
}
