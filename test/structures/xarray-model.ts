/** An XArray in plain JavaScript, for small arrays: what each index holds, entry by entry. */
export interface ModelEntry {
  value: number;
  readonly first: number;
  readonly order: number;
  marks: number;
}

export class XArrayModel {
  readonly at = new Map<number, ModelEntry>();

  /** `order` of a range that is stored in blocks: the largest aligned one that fits. */
  static orderOf(first: number, last: number): number {
    let order = 0;
    while (first % 2 ** (order + 1) === 0 && first + 2 ** (order + 1) - 1 <= last) order++;
    return order;
  }

  erase(index: number): void {
    const entry = this.at.get(index);
    if (entry !== undefined) for (let i = 0; i < 2 ** entry.order; i++) this.at.delete(entry.first + i);
  }

  store(index: number, value: number | undefined): void {
    const entry = this.at.get(index);
    if (value === undefined) this.erase(index);
    else if (entry !== undefined) entry.value = value;
    else this.at.set(index, { value, first: index, order: 0, marks: 0 });
  }

  storeOrder(index: number, order: number, value: number | undefined): void {
    const first = index - (index % 2 ** order);
    const larger = this.at.get(first);
    if (larger !== undefined && larger.order >= order) {
      this.store(first, value);
      return;
    }
    let marks = 0;
    for (let i = first; i < first + 2 ** order; i++) {
      marks |= this.at.get(i)?.marks ?? 0;
      this.erase(i);
    }
    if (value === undefined) return;
    const entry = { value, first, order, marks };
    for (let i = first; i < first + 2 ** order; i++) this.at.set(i, entry);
  }

  storeRange(first: number, last: number, value: number | undefined): void {
    for (let at = first; at <= last; ) {
      const order = XArrayModel.orderOf(at, last);
      this.storeOrder(at, order, value);
      at += 2 ** order;
    }
  }

  split(index: number, order: number): void {
    const old = this.at.get(index) as ModelEntry;
    for (let first = old.first; first < old.first + 2 ** old.order; first += 2 ** order) {
      const entry = { value: old.value, first, order, marks: old.marks };
      for (let i = first; i < first + 2 ** order; i++) this.at.set(i, entry);
    }
  }

  /** The entries in order, each once. */
  entries(first = 0, last = Number.POSITIVE_INFINITY, mark = -1): [number, number][] {
    const found = new Map<ModelEntry, number>();
    for (const index of [...this.at.keys()].sort((a, b) => a - b)) {
      const entry = this.at.get(index) as ModelEntry;
      const counts = index >= first && index <= last && (mark < 0 || (entry.marks & (1 << mark)) !== 0);
      if (counts && !found.has(entry)) found.set(entry, index);
    }
    return [...found].map(([entry, index]) => [index, entry.value]);
  }
}

/** Numbers that are the same for the same seed. */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
