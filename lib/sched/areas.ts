/**
 * Per-thread memory: the words that a room wants in every thread's slot (`slotArea`), and in every task (`taskArea`).
 *
 * A room declares the fields of an area where it uses them, and how to vacate them after a death, as it declares its
 * kinds. How long each area is, and so where it lies, is fixed in the two tables here: the layout is the same in every
 * thread, whatever modules each has loaded and in whatever order, and every offset is a constant.
 *
 *   slot   the thread's own words | areas of less than a line | main task | areas of whole lines
 *   task   the task's own words | areas
 *
 * An area starts out as zeros, so the thread that makes the arena need not have loaded the room. A thread that reaps and
 * has not loaded it can't vacate the area: it frees no slot in which the area has been used. For that it is illegal to
 * leave an area all zero while it names something.
 */
import type { Cpu } from '../machine/cpu.ts';
import { type Layout, type Length, LINE_WORDS, struct, wordName } from '../memory/struct.ts';

/** Areas of less than a line, in a slot. Another table here is another layout: see LAYOUT_VERSION. */
export const SHORT_AREAS = {
  robustList: 1,
  piState: 1,
  priority: 5,
  profile: 4,
  lockdep: 2,
  trace: 2,
  programs: 1,
} as const;

/** Areas of whole lines, in a slot. */
export const LINE_AREAS = {
  spinQueue: 2 * LINE_WORDS,
  osq: LINE_WORDS,
  mcs: 8 * LINE_WORDS,
  ticketLock: LINE_WORDS,
  holds: 4 * LINE_WORDS,
} as const;

/** Areas in a task. */
export const TASK_AREAS = { vector: 2, holds: 2, grant: 2, rtWait: 6, contest: 3, profile: 2 } as const;

/** What the reaper has to know of an area; `base` is the slot or the task that the area is in. */
export interface Upkeep {
  /** Leaves the area of a dead thread as a new thread expects it. It may run twice. Default: nothing has to be done. */
  readonly vacate?: (cpu: Cpu, base: number) => void;
  /** Whether the area leads to that block of the heap, which then stays with the slot. Default: it leads to none. */
  readonly keeps?: (cpu: Cpu, base: number, block: number) => boolean;
}

type Fields = Readonly<Record<string, number>>;
type Places<F> = { readonly [Field in keyof F]: number };

/** The areas of one table, one after the other from offset `start` of a slot or a task, in at most `words` words. */
export class Areas<Table extends Fields> {
  readonly #table: Table;
  readonly #places: Fields;
  readonly #start: number;
  readonly #declared = new Map<string, Upkeep & { readonly layout: Layout }>();

  constructor(table: Table, start: number, words: number) {
    const places = struct<Fields>(table);
    if ((places.words as number) > words) throw new Error(`areas of ${places.words} words do not fit in ${words}`);
    this.#table = table;
    this.#places = places;
    this.#start = start;
  }

  /** Declares the fields of an area, once. What comes back maps each to its offset from the start of the slot or task. */
  declare<const F extends Readonly<Record<string, Length>>>(
    name: keyof Table & string,
    fields: F,
    upkeep: Upkeep,
  ): Places<F> {
    const layout = struct<Readonly<Record<string, Length>>>(fields);
    const { words, ...offsets } = layout;
    if (words !== this.#table[name] || this.#declared.has(name)) {
      throw new Error(`the area ${name} has ${this.#table[name]} words and is declared once; received ${words} words`);
    }
    this.#declared.set(name, { ...upkeep, layout });
    const start = this.#start + (this.#places[name] as number);
    const placed = Object.entries(offsets).map(([field, offset]) => [field, start + offset]);
    return Object.freeze(Object.fromEntries(placed)) as Places<F>;
  }

  /** The name of the word `offset` words from the slot or the task, as `spinQueue.waiter.next`, or null: in no area. */
  wordName(offset: number): string | null {
    for (const [name, { layout }] of this.#declared) {
      const at = offset - this.#start - (this.#places[name] as number);
      if (at >= 0 && at < layout.words) return `${name}.${wordName(layout, at)}`;
    }
    return null;
  }

  vacate(cpu: Cpu, base: number): void {
    for (const { vacate } of this.#declared.values()) vacate?.(cpu, base);
  }

  keeps(cpu: Cpu, base: number, block: number): boolean {
    for (const { keeps } of this.#declared.values()) if (keeps?.(cpu, base, block)) return true;
    return false;
  }

  /** Whether each area that has been used at `base` has been declared in this thread. */
  areKnown(cpu: Cpu, base: number): boolean {
    return Object.entries(this.#table).every(([name, words]) => {
      if (this.#declared.has(name)) return true;
      const first = base + this.#start + (this.#places[name] as number);
      return Array.from({ length: words }, (_, i) => cpu.load(first + i)).every((value) => value === 0);
    });
  }
}
