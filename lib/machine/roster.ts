/**
 * Members that come and go by the hundred thousand, in the order in which they came: the calls of a thread that wait, those
 * that a signal's abort ends. Not a `Set`, for the reason that `int-map.ts` has. Each member keeps its own place.
 */
export interface Member {
  /** Its place in the one roster that it is in; undefined in none. */
  place?: number | undefined;
}

/** So many gaps do no harm. */
const GAPS = 16;

export class Roster<M extends Member> {
  /** With gaps, where members have gone; never one at the end. */
  #members: (M | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(member: M): void {
    member.place = this.#members.length;
    this.#members.push(member);
    this.#size++;
  }

  /** Nothing for one that is not there. */
  remove(member: M): void {
    const { place } = member;
    if (place === undefined) return;
    const members = this.#members;
    members[place] = undefined;
    member.place = undefined;
    this.#size--;
    while (members.length > 0 && members[members.length - 1] === undefined) members.pop();
    if (members.length > 2 * this.#size + GAPS) this.#close();
  }

  /** Those that are there now. */
  values(): M[] {
    return this.#members.filter((member): member is M => member !== undefined);
  }

  /** Takes out all of them, and returns them. */
  takeAll(): M[] {
    const all = this.values();
    for (const member of all) member.place = undefined;
    this.#members.length = 0;
    this.#size = 0;
    return all;
  }

  /** Closes the gaps, in place. */
  #close(): void {
    const members = this.#members;
    let to = 0;
    for (const member of members) {
      if (member === undefined) continue;
      member.place = to;
      members[to++] = member;
    }
    members.length = to;
  }
}
