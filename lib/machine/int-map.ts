/**
 * What is there for 32-bit whole numbers, where keys come and go by the hundred thousand: a thread's waits, by their words
 * and tasks. `Map` and `Set` make a table anew every few changes, and each old table refers to the next. Once one of them is in V8's
 * old generation, all that came after it live until a full collection: about 130 bytes for each acquisition that waits, for
 * which the engine makes its young generation larger and, from V8 12 on, keeps that memory. Here a table is changed in place.
 *
 * Open addressing with linear probing; a removal moves back what was pushed past the gap (Knuth, The Art of Computer
 * Programming, volume 3, 6.4, algorithm R), so there are no tombstones. In no order.
 */
const SMALLEST = 16;

/** 2^32 divided by the golden ratio: addresses are multiples of powers of two. */
const SCATTER = 0x9e3779b1 | 0;

export class IntMap<Value extends object | null = null> {
  #keys = new Int32Array(SMALLEST);
  /** Undefined where there is no key. */
  #values: (Value | undefined)[] = new Array(SMALLEST).fill(undefined);
  #shift = 32 - Math.log2(SMALLEST);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** How long its table is. */
  get places(): number {
    return this.#keys.length;
  }

  get(key: number): Value | undefined {
    return this.#values[this.#find(key)];
  }

  has(key: number): boolean {
    return this.#values[this.#find(key)] !== undefined;
  }

  set(key: number, value: Value): void {
    const place = this.#find(key);
    const isNew = this.#values[place] === undefined;
    this.#keys[place] = key;
    this.#values[place] = value;
    if (isNew && 2 * ++this.#size > this.#keys.length) this.#resize(2 * this.#keys.length);
  }

  /** Whether it was there. */
  delete(key: number): boolean {
    const place = this.#find(key);
    if (this.#values[place] === undefined) return false;
    this.#size--;
    this.#close(place);
    if (8 * this.#size < this.#keys.length && this.#keys.length > SMALLEST) this.#resize(this.#keys.length >> 1);
    return true;
  }

  /** As they are now. */
  keys(): number[] {
    const keys: number[] = [];
    this.#values.forEach((value, place) => {
      if (value !== undefined) keys.push(this.#keys[place] as number);
    });
    return keys;
  }

  /** As they are now. */
  values(): Value[] {
    return this.#values.filter((value): value is Value => value !== undefined);
  }

  /** Where the key is, or where it belongs. */
  #find(key: number): number {
    const last = this.#keys.length - 1;
    let place = Math.imul(key, SCATTER) >>> this.#shift;
    while (this.#values[place] !== undefined && this.#keys[place] !== key) place = (place + 1) & last;
    return place;
  }

  /** Empties the place, and moves what could not be found past it. */
  #close(place: number): void {
    const last = this.#keys.length - 1;
    let gap = place;
    for (let next = (gap + 1) & last; this.#values[next] !== undefined; next = (next + 1) & last) {
      const home = Math.imul(this.#keys[next] as number, SCATTER) >>> this.#shift;
      if (((next - home) & last) < ((next - gap) & last)) continue;
      this.#keys[gap] = this.#keys[next] as number;
      this.#values[gap] = this.#values[next];
      gap = next;
    }
    this.#values[gap] = undefined;
  }

  #resize(length: number): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Int32Array(length);
    this.#values = new Array(length).fill(undefined);
    this.#shift = 32 - Math.log2(length);
    values.forEach((value, from) => {
      if (value === undefined) return;
      const to = this.#find(keys[from] as number);
      this.#keys[to] = keys[from] as number;
      this.#values[to] = value;
    });
  }
}
