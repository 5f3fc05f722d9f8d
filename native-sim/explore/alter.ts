/**
 * Orders changed at one call site, without touching the source: to seed a bug, to find out which orders nothing
 * checks, and to find one that repairs a failure.
 */
import { isFence, isReadModifyWrite, Op, type OpName, type Order, orderOf } from '../replay/operations.ts';
import { ACQUIRE, FENCE, FULL, fenceBits, READ, RELEASE, readBits, WRITE, writeBits } from './events.ts';
import type { Alter } from './replay.ts';
import type { Site, Sites } from './site.ts';

/** An order; for a fence, 'none' drops it and 'full' makes it `mb`. */
export type Change = Order | 'none';

export interface Weakening {
  /** The call sites to weaken. */
  match: (site: Site) => boolean;
  /** What is left of the order. @default 'relaxed', and for a fence 'none' */
  to?: Change;
}

export interface Alteration {
  (site: Site): Change | null;
  /**
   * The operations that it may change: it is not asked about others. To find out where one was called takes longer than to
   * execute it.
   * @default all of them
   */
  readonly ops?: readonly OpName[];
}

/** `change`, which changes nothing but calls of these operations. */
export function alteration(ops: readonly OpName[], change: (site: Site) => Change | null): Alteration {
  return Object.assign((site: Site) => change(site), { ops });
}

export function weakening(weaken: Weakening): Alteration {
  return (site) => (weaken.match(site) ? (weaken.to ?? 'relaxed') : null);
}

/** The hook for a machine: finds out the site of each event as it is made, and changes its order bits. */
export function alterer(alteration: Alteration, sites: Sites): Alter {
  const { ops } = alteration;
  const asked = Object.entries(Op).map(([name, op]) => {
    const isOrdered = orderOf(op) !== null || isFence(op);
    return { op, isAsked: isOrdered && (ops === undefined || ops.includes(name as OpName)) };
  });
  const isAsked = new Set(asked.filter((operation) => operation.isAsked).map(({ op }) => op as number));
  return (op, flags) => {
    if (!isAsked.has(op)) return flags;
    const change = alteration(sites.here(op));
    return change === null ? flags : changed(op, flags, change);
  };
}

function changed(op: number, flags: number, change: Change): number {
  if (flags & FENCE)
    return change === 'full' ? FENCE | FULL : change === 'none' || change === 'relaxed' ? FENCE : fenceBits(op);
  const order = change === 'none' ? 'relaxed' : change;
  if (flags & READ) return (flags & ~ACQUIRE) | readBits(order);
  if (flags & WRITE) return (flags & ~(RELEASE | FULL)) | writeBits(order);
  return flags;
}

/** The ways to take something away from an operation, from the least to the most. */
export function weaker(op: number): Change[] {
  if (isFence(op)) return ['none'];
  const order = orderOf(op);
  if (order === 'full') return ['acquire', 'release', 'relaxed'];
  return order === 'acquire' || order === 'release' ? ['relaxed'] : [];
}

/** The ways to add something to an operation. */
export function stronger(op: number): Change[] {
  if (op === Op.mb) return [];
  if (isFence(op)) return ['full'];
  const order = orderOf(op);
  if (order === null || order === 'full') return [];
  if (isReadModifyWrite(op)) return order === 'relaxed' ? ['acquire', 'release', 'full'] : ['full'];
  if (order !== 'relaxed') return [];
  return op === Op.store ? ['release'] : ['acquire'];
}
