/**
 * Threads that are alike: the same code, which uses a thread's number for names only (its own words, its mark in a lock).
 * Renaming such threads turns an execution into one that need not be looked at.
 *
 * Of two alike threads that have done the same so far, and whose next operation is a read-modify-write of one word, one
 * comes first in coherence order: let it be the one with the lower number. So the other's read passes over a write that
 * the lower one's has taken. Nothing else is lost with that choice: the two would contend for the place after the
 * write, where the later one revisits the earlier, which is the renamed execution (as GenMC has it for threads without
 * names of their own; Kokologiannakis, Marmanis, Vafeiadis: "SPORE: Combining Symmetry and Partial Order Reduction",
 * PLDI 2024). A wait is left alone, whose read-modify-write happens only if the comparison says so.
 */
import { CHOICE, FENCE, Op, READ, RMW } from './events.ts';
import type { Graph } from './graph.ts';

export class Symmetry {
  /** By thread: the alike threads of lower number. */
  readonly #lower: readonly (readonly number[])[];

  constructor(groups: readonly (readonly number[])[], threads: number) {
    this.#lower = Array.from({ length: threads }, (_, t) =>
      groups.filter((group) => group.includes(t)).flatMap((group) => group.filter((other) => other < t)),
    );
  }

  /**
   * Takes from `choices`, what the next read of `thread` may read from, the writes that an alike thread has taken;
   * `isRmw` says whether the read would be half of a read-modify-write.
   */
  prune(g: Graph, thread: number, location: number, choices: number[], isRmw: (write: number) => boolean): void {
    const at = g.threads[thread]!.length;
    for (const lower of this.#lower[thread]!) {
      const e = g.threads[lower]![at];
      if (e === undefined || (g.flags[e]! & (READ | RMW)) !== (READ | RMW)) continue;
      if (g.op[e] === Op.wait || g.location[e] !== location) continue;
      const place = choices.indexOf(g.rf[e]!);
      if (place >= 0 && isRmw(g.rf[e]!) && this.#haveDoneTheSame(g, lower, thread)) choices.splice(place, 1);
    }
  }

  /** Are all events of `thread` those that `lower` began with, but for names? */
  #haveDoneTheSame(g: Graph, lower: number, thread: number): boolean {
    const [a, b] = [g.threads[lower]!, g.threads[thread]!];
    for (let i = 0; i < b.length; i++) if (!isSame(g, a[i]!, b[i]!)) return false;
    return true;
  }
}

/**
 * Are `a` and `b`, at the same place in two threads, the same? At different locations, which are then the threads' own,
 * nobody else may have been there before.
 */
function isSame(g: Graph, a: number, b: number): boolean {
  if (g.op[a] !== g.op[b] || g.flags[a] !== g.flags[b]) return false;
  if (g.flags[a]! & FENCE) return !(g.flags[a]! & CHOICE) || (g.value[a] === g.value[b] && g.arg[a] === g.arg[b]);
  if (g.location[a] === g.location[b]) return (g.flags[a]! & READ) !== 0 && g.rf[a] === g.rf[b];
  if (g.flags[a]! & READ) return isSameSource(g, a, b);
  const place = ownWritesBefore(g, a);
  return place >= 0 && place === ownWritesBefore(g, b);
}

/** Do both read what their own thread wrote at the same place, or what was there at first? */
function isSameSource(g: Graph, a: number, b: number): boolean {
  const [from, likewise] = [g.rf[a]!, g.rf[b]!];
  if (from < 0 || likewise < 0) return from === likewise;
  if (g.thread[from] !== g.thread[a] || g.thread[likewise] !== g.thread[b]) return false;
  return g.index[from] === g.index[likewise];
}

/** How many writes come before `w` in coherence order; -1 if one is another thread's. */
function ownWritesBefore(g: Graph, w: number): number {
  const co = g.co[g.location[w]!]!;
  for (let place = 0; place < co.length; place++) {
    if (co[place] === w) return place;
    if (g.thread[co[place]!] !== g.thread[w]) return -1;
  }
  return -1;
}
