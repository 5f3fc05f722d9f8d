/** Revisits: which earlier reads a new write may revisit, and what the graph is then. `exhaustive.ts` says why. */
import { ACQUIRE, AWAIT, CAS, CAS_ACQUIRE, CHOICE, INIT, NOTHING, READ, RMW, WRITE } from './events.ts';
import { type Graph, Stop } from './graph.ts';
import type { Ordering } from './order.ts';

/** May `w`, the last event, revisit `r`: is what that would delete, and `r`, as the latest choice would have made it? */
export function isRevisitable(g: Graph, r: number, w: number): boolean {
  for (let e = r; e < w; e++) {
    if (e !== r && g.inPrefix(e, w)) continue;
    if (!isMaximal(g, e, w)) return false;
  }
  return true;
}

/** Is `e` as the latest choice would have made it, given what came before it and what `w` needs? */
function isMaximal(g: Graph, e: number, w: number): boolean {
  const flags = g.flags[e]!;
  if (flags & CHOICE) return g.value[e] === g.arg[e];
  if (!(flags & (READ | WRITE))) return true;
  if (flags & AWAIT) return g.rf[e] === NOTHING;
  const location = g.location[e]!;
  if (flags & WRITE) {
    for (const r of g.reads[location]!) {
      if (g.rf[r] === e && (r <= e || g.inPrefix(r, w))) return false;
    }
  }
  const subject = flags & READ ? g.rf[e]! : e;
  const co = g.co[location]!;
  const place = subject === INIT ? -1 : co.indexOf(subject);
  // A write that found no place had no other to choose.
  if (place < 0 && subject !== INIT) return true;
  for (let i = place + 1; i < co.length; i++) {
    const later = co[i]!;
    if (later !== w && (later <= e || g.inPrefix(later, w))) return false;
  }
  return true;
}

/** A revisit before the write has its place: what is left of the graph, and the two in it. */
interface Revisited {
  base: Graph;
  readAt: number;
  writeAt: number;
}

/** What stays when `w`, the last event of `g`, revisits `r`: what was there before the read, and what the write needed. */
export function revisited(g: Graph, ordering: Ordering, r: number, w: number, spare: Graph | undefined): Revisited {
  const keep = new Uint8Array(g.n);
  let readAt = -1;
  for (let e = 0, kept = 0; e < g.n; e++) {
    if (e <= r || g.inPrefix(e, w)) keep[e] = 1;
    if (e === r) readAt = kept;
    kept += keep[e]!;
  }
  const base = g.restrict(keep, spare);
  const writeAt = base.n - 1;
  const co = base.co[base.location[writeAt]!]!;
  if (co.includes(writeAt)) co.splice(co.indexOf(writeAt), 1);
  base.rf[readAt] = writeAt;
  base.value[readAt] = base.value[writeAt]!;
  base.flags[readAt] = readFlags(base.flags[readAt]!, base.value[readAt]!, base.arg[readAt]!);
  base.setClock(readAt);
  ordering.reconsider(base, readAt);
  base.stop[base.thread[readAt]!] = Stop.none;
  base.stop[base.thread[writeAt]!] = Stop.none;
  return { base, readAt, writeAt };
}

/** Where in coherence order the write could go, before the other threads are asked. */
export function placesOf(g: Graph, ordering: Ordering, w: number, r: number): number[] {
  const location = g.location[w]!;
  const co = g.co[location]!;
  const thread = g.thread[w]!;
  const places: number[] = [];
  const isRmw = (g.flags[w]! & RMW) !== 0;
  const from = isRmw ? ordering.rmwPlace(g, thread) : ordering.seenBefore(g, w);
  const to = isRmw ? from : co.length;
  const seenByReader = ordering.seenBefore(g, r);
  for (let place = from; place <= to; place++) {
    if (place < co.length && g.flags[co[place]!]! & RMW) continue;
    if (place + 1 > seenByReader) places.push(place);
  }
  return places;
}

/** The flags of a read once it is known what it reads: a compare-and-exchange is exclusive only when it succeeds. */
export function readFlags(flags: number, value: number, expected: number): number {
  if (!(flags & CAS)) return flags;
  const failed = flags & ~(RMW | ACQUIRE);
  if (value !== expected) return failed;
  return failed | RMW | (flags & CAS_ACQUIRE ? ACQUIRE : 0);
}
