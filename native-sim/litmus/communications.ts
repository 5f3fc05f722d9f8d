/**
 * How the accesses to one location may have communicated: every order of its writes (coherence), and, under each, every
 * choice of the write that each read returns. What breaks coherence or the atomicity of a read-modify-write is left
 * out at once, which is what keeps the number of candidate executions small; under JavaScript, whose ordinary accesses
 * have no coherence, only what a read takes from its own thread's future is.
 */

import { LitmusLimitExceeded } from './errors.ts';

const waysPerLocation = 200_000;

export interface Access {
  /** Its index among the events of the execution. */
  readonly event: number;
  readonly thread: number;
  readonly write: boolean;
  readonly value: bigint;
  /** For the write of a read-modify-write: the event that is its read. -1: none. */
  readonly rmw: number;
}

export interface Communication {
  /** The writes, oldest first. */
  readonly order: readonly number[];
  /** Pairs of a write and a read; a read that takes the initial value has none. */
  readonly readsFrom: readonly (readonly [number, number])[];
  readonly finalValue: bigint;
}

/** `accesses` holds the accesses of each thread in program order. */
export function communications(accesses: readonly Access[], initial: bigint, coherent: boolean): Communication[] {
  const threads = [...new Set(accesses.map((access) => access.thread))];
  const sequences = threads.map((thread) => accesses.filter((access) => access.thread === thread));
  const writes = sequences.map((sequence) => sequence.filter((access) => access.write));
  const found: Communication[] = [];
  const order: Access[] = [];
  const placed = writes.map(() => 0);

  const place = (): void => {
    let all = true;
    for (let thread = 0; thread < writes.length; thread++) {
      const next = writes[thread]![placed[thread]!];
      if (next === undefined) continue;
      all = false;
      placed[thread]!++;
      order.push(next);
      place();
      order.pop();
      placed[thread]!--;
    }
    if (all) chooseReads(sequences, order, initial, coherent, found);
  };
  place();
  return found;
}

function chooseReads(
  sequences: readonly (readonly Access[])[],
  order: readonly Access[],
  initial: bigint,
  coherent: boolean,
  found: Communication[],
): void {
  /** Position in coherence order, of writes and of what reads take; 0 is the initial value. */
  const positionOf = new Map<number, number>();
  for (let at = 0; at < order.length; at++) positionOf.set(order[at]!.event, at + 1);
  const readsFrom: [number, number][] = [];
  const flat = sequences.flat();

  const choose = (at: number, oldest: number): void => {
    const access = flat[at];
    if (access === undefined) {
      if (found.length === waysPerLocation)
        throw new LitmusLimitExceeded('ways to order one location', waysPerLocation);
      found.push({
        order: order.map((write) => write.event),
        readsFrom: readsFrom.slice(),
        finalValue: order.at(-1)?.value ?? initial,
      });
      return;
    }
    const begins = at === 0 || flat[at - 1]!.thread !== access.thread;
    const least = coherent && !begins ? oldest : 0;
    if (access.write) {
      const position = positionOf.get(access.event)!;
      if (coherent && position <= least) return;
      if (access.rmw >= 0 && !isAtomic(order, access, positionOf.get(access.rmw)!, position)) return;
      choose(at + 1, position);
      return;
    }
    for (let position = least; position <= order.length; position++) {
      const source = position === 0 ? undefined : order[position - 1]!;
      if ((source?.value ?? initial) !== access.value) continue;
      if (source !== undefined && source.thread === access.thread && source.event > access.event) continue;
      positionOf.set(access.event, position);
      if (source !== undefined) readsFrom.push([source.event, access.event]);
      choose(at + 1, position);
      if (source !== undefined) readsFrom.pop();
    }
  };
  choose(0, 0);
}

/** No write of another thread lies between what the read took and the write. */
function isAtomic(order: readonly Access[], write: Access, from: number, to: number): boolean {
  for (let position = from + 1; position < to; position++) {
    if (order[position - 1]!.thread !== write.thread) return false;
  }
  return true;
}
