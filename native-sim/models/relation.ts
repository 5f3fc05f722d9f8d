/**
 * Sets of events and relations between events, as bits, with the operators of the `cat` language in which memory
 * models are published (Alglave, Cousot, Maranget: "Syntax and semantics of the weak consistency model specification
 * language cat").
 *
 * | cat            | here                    |
 * |----------------|-------------------------|
 * | `r \| s`       | `r.or(s)`               |
 * | `r & s`        | `r.and(s)`              |
 * | `r \ s`        | `r.minus(s)`            |
 * | `r ; s`        | `r.seq(s)`             |
 * | `[A] ; r ; [B]`| `r.between(A, B)`, or `r.from(A)`, `r.to(B)` |
 * | `r ; [S] ; s`  | `r.via(S, s)`           |
 * | `r^-1`         | `r.inverse()`           |
 * | `r?` `r+` `r*` | `r.optional()` `r.plus()` `r.star()` |
 * | `A * B`        | `A.times(B)`            |
 *
 * A predicate is evaluated tens of thousands of times a second, so nothing is allocated once warm: every result comes
 * from the pool of its `Universe`, and `universe.reset(n)` takes them all back. A relation is therefore good until
 * the next `reset`, and operators never change their operands; only `add`, `addAll` and `set.add` do.
 */

export class Universe {
  /** How many events there are, and how many 32-bit words a row of bits takes. */
  size = 0;
  stride = 0;
  #relations: Relation[] = [];
  #sets: EventSet[] = [];
  #relationsUsed = 0;
  #setsUsed = 0;
  #relationsKept = 0;
  #setsKept = 0;
  /** Working storage of `isAcyclic`. */
  path = new Int32Array(8);
  done = new Int32Array(8);
  stack = new Int32Array(64);

  /** Start over with `size` events. Everything handed out before is void. */
  reset(size: number): void {
    this.size = size;
    this.stride = (size + 31) >>> 5;
    this.#relationsUsed = 0;
    this.#setsUsed = 0;
    if (this.path.length < this.stride) {
      this.path = new Int32Array(this.stride * 2);
      this.done = new Int32Array(this.stride * 2);
    }
    if (this.stack.length < size) this.stack = new Int32Array(size * 2);
  }

  /** An empty relation. */
  relation(): Relation {
    let relation = this.#relations[this.#relationsUsed];
    if (relation === undefined) this.#relations.push((relation = new Relation(this)));
    this.#relationsUsed++;
    relation.empty();
    return relation;
  }

  /** An empty set. */
  set(): EventSet {
    let set = this.#sets[this.#setsUsed];
    if (set === undefined) this.#sets.push((set = new EventSet(this)));
    this.#setsUsed++;
    set.empty();
    return set;
  }

  identity(): Relation {
    const id = this.relation();
    for (let a = 0; a < this.size; a++) id.add(a, a);
    return id;
  }

  /** What has been handed out so far stays good; `again()` takes back only what is handed out from here on. */
  keep(): void {
    this.#relationsKept = this.#relationsUsed;
    this.#setsKept = this.#setsUsed;
  }
  again(): void {
    this.#relationsUsed = this.#relationsKept;
    this.#setsUsed = this.#setsKept;
  }

  /** What is handed out after `mark()` is taken back by `release(mark)`: for loops that iterate to a fixed point. */
  mark(): number {
    return this.#relationsUsed;
  }
  release(mark: number): void {
    this.#relationsUsed = mark;
  }
}

export class EventSet {
  readonly universe: Universe;
  bits = new Int32Array(8);

  constructor(universe: Universe) {
    this.universe = universe;
  }

  empty(): void {
    const { stride } = this.universe;
    if (this.bits.length < stride) this.bits = new Int32Array(stride * 2);
    else this.bits.fill(0, 0, stride);
  }

  add(a: number): void {
    this.bits[a >>> 5]! |= 1 << (a & 31);
  }

  has(a: number): boolean {
    return ((this.bits[a >>> 5]! >>> (a & 31)) & 1) !== 0;
  }

  isEmpty(): boolean {
    for (let w = 0; w < this.universe.stride; w++) if (this.bits[w] !== 0) return false;
    return true;
  }

  or(that: EventSet): EventSet {
    const result = this.universe.set();
    for (let w = 0; w < this.universe.stride; w++) result.bits[w] = this.bits[w]! | that.bits[w]!;
    return result;
  }

  and(that: EventSet): EventSet {
    const result = this.universe.set();
    for (let w = 0; w < this.universe.stride; w++) result.bits[w] = this.bits[w]! & that.bits[w]!;
    return result;
  }

  minus(that: EventSet): EventSet {
    const result = this.universe.set();
    for (let w = 0; w < this.universe.stride; w++) result.bits[w] = this.bits[w]! & ~that.bits[w]!;
    return result;
  }

  times(that: EventSet): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    for (let a = 0; a < size; a++) {
      if (this.has(a)) for (let w = 0; w < stride; w++) result.bits[a * stride + w] = that.bits[w]!;
    }
    return result;
  }

  /** `[S]` */
  identity(): Relation {
    const result = this.universe.relation();
    for (let a = 0; a < this.universe.size; a++) if (this.has(a)) result.add(a, a);
    return result;
  }
}

export class Relation {
  readonly universe: Universe;
  /** Row `a` is the set of events that `a` is related to. */
  bits = new Int32Array(64);

  constructor(universe: Universe) {
    this.universe = universe;
  }

  empty(): void {
    const words = this.universe.size * this.universe.stride;
    if (this.bits.length < words) this.bits = new Int32Array(words * 2);
    else this.bits.fill(0, 0, words);
  }

  add(a: number, b: number): void {
    this.bits[a * this.universe.stride + (b >>> 5)]! |= 1 << (b & 31);
  }

  has(a: number, b: number): boolean {
    return ((this.bits[a * this.universe.stride + (b >>> 5)]! >>> (b & 31)) & 1) !== 0;
  }

  /** Add every pair of `that`, in place. */
  addAll(that: Relation): this {
    const words = this.universe.size * this.universe.stride;
    const mine = this.bits;
    const theirs = that.bits;
    for (let w = 0; w < words; w++) mine[w]! |= theirs[w]!;
    return this;
  }

  copy(): Relation {
    return this.universe.relation().addAll(this);
  }

  or(...others: Relation[]): Relation {
    const result = this.copy();
    for (const other of others) result.addAll(other);
    return result;
  }

  and(that: Relation): Relation {
    const result = this.universe.relation();
    const words = this.universe.size * this.universe.stride;
    for (let w = 0; w < words; w++) result.bits[w] = this.bits[w]! & that.bits[w]!;
    return result;
  }

  minus(that: Relation): Relation {
    const result = this.universe.relation();
    const words = this.universe.size * this.universe.stride;
    for (let w = 0; w < words; w++) result.bits[w] = this.bits[w]! & ~that.bits[w]!;
    return result;
  }

  /** `[A] ; r` */
  from(domain: EventSet): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    for (let a = 0; a < size; a++) {
      if (domain.has(a)) for (let w = a * stride; w < (a + 1) * stride; w++) result.bits[w] = this.bits[w]!;
    }
    return result;
  }

  /** `r ; [B]` */
  to(range: EventSet): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    for (let a = 0, w = 0; a < size; a++) {
      for (let v = 0; v < stride; v++, w++) result.bits[w] = this.bits[w]! & range.bits[v]!;
    }
    return result;
  }

  /** `[A] ; r ; [B]` */
  between(domain: EventSet, range: EventSet): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    for (let a = 0; a < size; a++) {
      if (!domain.has(a)) continue;
      for (let v = 0, w = a * stride; v < stride; v++, w++) result.bits[w] = this.bits[w]! & range.bits[v]!;
    }
    return result;
  }

  /** `r ; s` */
  seq(that: Relation): Relation {
    return this.#compose(that, undefined);
  }

  /** `r ; [S] ; s` */
  via(waypoints: EventSet, that: Relation): Relation {
    return this.#compose(that, waypoints.bits);
  }

  #compose(that: Relation, waypoints: Int32Array | undefined): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    const mine = this.bits;
    const theirs = that.bits;
    const out = result.bits;
    for (let a = 0; a < size; a++) {
      const row = a * stride;
      for (let w = 0; w < stride; w++) {
        let middle = mine[row + w]!;
        if (waypoints !== undefined) middle &= waypoints[w]!;
        while (middle !== 0) {
          const low = middle & -middle;
          middle ^= low;
          const next = (w * 32 + 31 - Math.clz32(low)) * stride;
          for (let v = 0; v < stride; v++) out[row + v]! |= theirs[next + v]!;
        }
      }
    }
    return result;
  }

  inverse(): Relation {
    const result = this.universe.relation();
    const { size, stride } = this.universe;
    for (let a = 0; a < size; a++) {
      for (let w = 0; w < stride; w++) {
        let row = this.bits[a * stride + w]!;
        while (row !== 0) {
          const low = row & -row;
          row ^= low;
          result.add(w * 32 + 31 - Math.clz32(low), a);
        }
      }
    }
    return result;
  }

  /** `r?` */
  optional(): Relation {
    const result = this.copy();
    for (let a = 0; a < this.universe.size; a++) result.add(a, a);
    return result;
  }

  /** `r+`, by Warshall's algorithm. */
  plus(): Relation {
    const result = this.copy();
    const { size, stride } = this.universe;
    const bits = result.bits;
    for (let middle = 0; middle < size; middle++) {
      const word = middle >>> 5;
      const bit = 1 << (middle & 31);
      const from = middle * stride;
      for (let a = 0; a < size; a++) {
        const row = a * stride;
        if ((bits[row + word]! & bit) === 0) continue;
        for (let v = 0; v < stride; v++) bits[row + v]! |= bits[from + v]!;
      }
    }
    return result;
  }

  /** `r*` */
  star(): Relation {
    const result = this.plus();
    for (let a = 0; a < this.universe.size; a++) result.add(a, a);
    return result;
  }

  domain(): EventSet {
    const result = this.universe.set();
    const { size, stride } = this.universe;
    for (let a = 0; a < size; a++) {
      for (let w = a * stride; w < (a + 1) * stride; w++) {
        if (this.bits[w] !== 0) {
          result.add(a);
          break;
        }
      }
    }
    return result;
  }

  range(): EventSet {
    const result = this.universe.set();
    const { size, stride } = this.universe;
    for (let a = 0, w = 0; a < size; a++) {
      for (let v = 0; v < stride; v++, w++) result.bits[v]! |= this.bits[w]!;
    }
    return result;
  }

  isEmpty(): boolean {
    const words = this.universe.size * this.universe.stride;
    for (let w = 0; w < words; w++) if (this.bits[w] !== 0) return false;
    return true;
  }

  /** How many pairs there are. */
  count(): number {
    let count = 0;
    const words = this.universe.size * this.universe.stride;
    for (let w = 0; w < words; w++) {
      for (let rest = this.bits[w]!; rest !== 0; rest &= rest - 1) count++;
    }
    return count;
  }

  equals(that: Relation): boolean {
    const words = this.universe.size * this.universe.stride;
    for (let w = 0; w < words; w++) if (this.bits[w] !== that.bits[w]) return false;
    return true;
  }

  isIrreflexive(): boolean {
    for (let a = 0; a < this.universe.size; a++) if (this.has(a, a)) return false;
    return true;
  }

  /** No path leads back to where it began. Depth-first: linear in the number of words, no closure is built. */
  isAcyclic(): boolean {
    const { size, stride, path, done, stack } = this.universe;
    const bits = this.bits;
    path.fill(0, 0, stride);
    done.fill(0, 0, stride);
    for (let root = 0; root < size; root++) {
      if ((done[root >>> 5]! >>> (root & 31)) & 1) continue;
      let depth = 0;
      stack[0] = root;
      path[root >>> 5]! |= 1 << (root & 31);
      while (depth >= 0) {
        const at = stack[depth]!;
        const row = at * stride;
        let next = -1;
        for (let w = 0; w < stride; w++) {
          const successors = bits[row + w]!;
          if ((successors & path[w]!) !== 0) return false;
          const fresh = successors & ~done[w]!;
          if (fresh !== 0 && next < 0) next = w * 32 + 31 - Math.clz32(fresh & -fresh);
        }
        const word = (next < 0 ? at : next) >>> 5;
        const bit = 1 << ((next < 0 ? at : next) & 31);
        if (next < 0) {
          done[word]! |= bit;
          path[word]! &= ~bit;
          depth--;
        } else {
          path[word]! |= bit;
          stack[++depth] = next;
        }
      }
    }
    return true;
  }

  /** Every pair, in order: for messages and pictures. */
  pairs(): [number, number][] {
    const result: [number, number][] = [];
    for (let a = 0; a < this.universe.size; a++) {
      for (let b = 0; b < this.universe.size; b++) if (this.has(a, b)) result.push([a, b]);
    }
    return result;
  }
}
