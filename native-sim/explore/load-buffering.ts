/**
 * What the search leaves out, and where that could matter. It looks at executions in which program order and reads-from have
 * no cycle, so a read never sees a write that comes about because of it (load buffering). Armv8 allows that where nothing
 * orders the read before what its thread writes afterwards, and these writes do not depend on it.
 *
 * So for each write, and each earlier read of its location in what led to it: would the model let the one read the other?
 * And would the reader's thread have done the same if it had? The thread is run once more, with that value, and compared:
 * a dependency that is none to a compiler counts as none. Looked at are reads that are no half of a read-modify-write.
 */
import { opName } from '../replay/operations.ts';
import { UNWIND } from '../replay/replay.ts';
import { AWAIT, HIDDEN, PLAIN, RMW, WRITE } from './events.ts';
import type { Graph } from './graph.ts';
import type { Memory } from './memory.ts';
import type { Ordering } from './order.ts';

/** Cases that are looked at in one search, and that are named. */
const MOST_LOOKED_AT = 5000;
const MOST_NAMED = 3;

/** A read, and a write that it might see too early. */
interface Buffered {
  readonly read: number;
  readonly write: number;
}

/** The search that is told what it leaves out: threads run once more on a graph of which nothing is kept. */
interface Search {
  g: Graph;
  frozen: boolean;
  failure: unknown;
  readonly ordering: Ordering;
  readonly memory: Memory;
  isDoomed(): boolean;
  run(thread: number): void;
}

export class LoadBuffering {
  /** What the model allows, in words. */
  readonly found = new Set<string>();
  readonly #search: Search;
  /** Of the execution that runs. */
  readonly #pairs: Buffered[] = [];
  #looked = 0;

  constructor(search: Search) {
    this.#search = search;
  }

  begin(): void {
    this.#pairs.length = 0;
  }

  /** The write `w` has been made. */
  note(w: number): void {
    const { g, ordering } = this.#search;
    if (ordering.model !== 'armv8' || g.flags[w]! & (PLAIN | HIDDEN) || !this.#isCurious) return;
    for (const read of overtaken(g, w)) this.#pairs.push({ read, write: w });
  }

  /** The execution has ended. */
  look(): void {
    for (const pair of this.#pairs.splice(0)) this.#lookAt(pair);
  }

  /** Notes the pair if the model allows it, and the thread that reads too early does the same after it. */
  #lookAt(pair: Buffered): void {
    const search = this.#search;
    const { g } = search;
    if (!this.#isCurious || search.isDoomed()) return;
    this.#looked++;
    const copy = buffered(g, search.ordering, pair);
    if (copy === null) return;
    search.g = copy;
    search.frozen = true;
    try {
      search.run(g.thread[pair.read]!);
    } catch (error) {
      // It has ended before, and so done something else.
      if (error !== UNWIND) throw error;
    }
    search.frozen = false;
    search.g = g;
    const isSame = search.failure === null;
    search.failure = null;
    if (isSame) this.found.add(this.#describe(pair));
  }

  #describe({ read, write }: Buffered): string {
    const { g, memory } = this.#search;
    const name = memory.name(g.location[write]!, new Map());
    const [reader, writer] = [`thread ${g.thread[read]}, operation ${g.index[read]}`, `thread ${g.thread[write]}`];
    return `load buffering: ${opName(g.op[read]!)} of ${name} (${reader}) sees what ${writer} writes there later`;
  }

  get #isCurious(): boolean {
    return this.#looked < MOST_LOOKED_AT && this.found.size < MOST_NAMED;
  }
}

/** The reads of its location that `w` may overtake, as far as their threads' orders tell. */
function overtaken(g: Graph, w: number): number[] {
  const location = g.location[w]!;
  return g.reads[location]!.filter((r) => {
    if (g.thread[r] === g.thread[w] || g.flags[r]! & (RMW | HIDDEN | PLAIN) || g.value[r] === g.value[w]) return false;
    if (!g.inPrefix(r, w) || (g.flags[r]! & AWAIT && !g.until[r]!(g.value[w]!, g.arg[r]!))) return false;
    return led(g, r, w).some((e) => g.flags[e]! & WRITE && !g.isBefore(r, e));
  });
}

/** What the thread of `r` did after it that led to `w`. */
function led(g: Graph, r: number, w: number): number[] {
  const list = g.threads[g.thread[r]!]!;
  return list.slice(g.index[r]! + 1).filter((e) => g.inPrefix(e, w));
}

/** What led to `write`, with `read` reading from it; null if the model forbids that. */
function buffered(g: Graph, ordering: Ordering, { read, write }: Buffered): Graph | null {
  if (!isCoherent(g, ordering, read, write)) return null;
  const keep = new Uint8Array(g.n);
  let readAt = -1;
  let writeAt = -1;
  for (let e = 0, kept = 0; e < g.n; e++) {
    if (e === read) readAt = kept;
    if (e === write) writeAt = kept;
    keep[e] = g.inPrefix(e, write) ? 1 : 0;
    kept += keep[e]!;
  }
  const copy = g.restrict(keep);
  copy.rf[readAt] = writeAt;
  copy.value[readAt] = g.value[write]!;
  return ordering.rebuild(copy) ? copy : null;
}

/** Whether the thread of `r` sees the writes of the location in their order if `r` reads from `w`. */
function isCoherent(g: Graph, ordering: Ordering, r: number, w: number): boolean {
  const location = g.location[w]!;
  const co = g.co[location]!;
  const place = co.indexOf(w) + 1;
  if (place === 0 || ordering.seenBefore(g, r) > place) return false;
  return led(g, r, w).every((e) => {
    if (g.location[e] !== location) return true;
    return co.indexOf(g.flags[e]! & WRITE ? e : g.rf[e]!) + 1 >= place;
  });
}
