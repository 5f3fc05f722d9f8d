/**
 * Future events by time, in a binary heap: at one time those of the lower core come first, then those that were
 * scheduled first. Times are whole picoseconds. One number holds time and core (the time times 1,024, plus the core), so
 * that the order costs one comparison; it is exact for eight simulated seconds.
 */
const CORES = 1024;
/**
 * Where times begin. The engine keeps a field as a small integer while it has held nothing else, and throws away what it has
 * compiled when a time outgrows that; a field that begins with this is kept as a double from the start.
 */
export const ZERO = -0;
/** The longest run: what time and core leave of 53 bits. */
export const MOST_PICOSECONDS = 2 ** 53 / CORES;

const FIRST_SIZE = 32;

export class EventQueue {
  /** Of the event that `pop` took. */
  time = ZERO;
  kind = 0;
  number = 0;
  subject: unknown = null;

  /** When the earliest event is due; Infinity: there is none. */
  earliest = Number.POSITIVE_INFINITY;

  #size = 0;
  #sequence = 0;
  /** By place in the heap. */
  #keys = new Float64Array(FIRST_SIZE);
  #sequences = new Float64Array(FIRST_SIZE);
  #cells = new Int32Array(FIRST_SIZE);
  /** By cell. */
  #kinds: number[] = [];
  #numbers: number[] = [];
  #subjects: unknown[] = [];
  readonly #free: number[] = [];

  get size(): number {
    return this.#size;
  }

  push(time: number, core: number, kind: number, number: number, subject: unknown): void {
    if (this.#size === this.#keys.length) this.#grow();
    const cell = this.#free.length > 0 ? this.#free.pop()! : this.#kinds.length;
    this.#kinds[cell] = kind;
    this.#numbers[cell] = number;
    this.#subjects[cell] = subject;
    this.#rise(this.#size++, time * CORES + core, this.#sequence++, cell);
    if (time < this.earliest) this.earliest = time;
  }

  /** The kind of the earliest event, and what it is about. */
  get nextKind(): number {
    return this.#kinds[this.#cells[0]!]!;
  }
  get nextSubject(): unknown {
    return this.#subjects[this.#cells[0]!];
  }

  /** All events that are due, for those who look on, in no order. */
  pending(): { readonly time: number; readonly kind: number; readonly number: number; readonly subject: unknown }[] {
    return Array.from({ length: this.#size }, (_, place) => {
      const cell = this.#cells[place]!;
      const time = Math.floor(this.#keys[place]! / CORES);
      return { time, kind: this.#kinds[cell]!, number: this.#numbers[cell]!, subject: this.#subjects[cell] };
    });
  }

  /** Takes the earliest event into the fields above. There must be one. */
  pop(): void {
    const key = this.#keys[0]!;
    const cell = this.#cells[0]!;
    this.time = Math.floor(key / CORES);
    this.kind = this.#kinds[cell]!;
    this.number = this.#numbers[cell]!;
    this.subject = this.#subjects[cell];
    this.#subjects[cell] = null;
    this.#free.push(cell);
    const last = --this.#size;
    if (last > 0) this.#sink(this.#keys[last]!, this.#sequences[last]!, this.#cells[last]!);
    this.earliest = last > 0 ? Math.floor(this.#keys[0]! / CORES) : Number.POSITIVE_INFINITY;
  }

  #rise(from: number, key: number, sequence: number, cell: number): void {
    const keys = this.#keys;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      // An event that was scheduled before this one stays in front of it at the same key.
      if (keys[parent]! <= key) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, key, sequence, cell);
  }

  /** Puts an event in at the top and lets it sink to its place. */
  #sink(key: number, sequence: number, cell: number): void {
    const keys = this.#keys;
    const size = this.#size;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && this.#isBefore(child + 1, keys[child]!, this.#sequences[child]!)) child++;
      if (!this.#isBefore(child, key, sequence)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, key, sequence, cell);
  }

  #isBefore(place: number, key: number, sequence: number): boolean {
    const other = this.#keys[place]!;
    return other < key || (other === key && this.#sequences[place]! < sequence);
  }

  #move(from: number, to: number): void {
    this.#keys[to] = this.#keys[from]!;
    this.#sequences[to] = this.#sequences[from]!;
    this.#cells[to] = this.#cells[from]!;
  }

  #put(at: number, key: number, sequence: number, cell: number): void {
    this.#keys[at] = key;
    this.#sequences[at] = sequence;
    this.#cells[at] = cell;
  }

  #grow(): void {
    const length = 2 * this.#keys.length;
    const keys = new Float64Array(length);
    const sequences = new Float64Array(length);
    const cells = new Int32Array(length);
    keys.set(this.#keys);
    sequences.set(this.#sequences);
    cells.set(this.#cells);
    this.#keys = keys;
    this.#sequences = sequences;
    this.#cells = cells;
  }
}
