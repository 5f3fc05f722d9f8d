/**
 * Where the code of a litmus test lies: each instruction of each thread has an address, as symbols have theirs, so that a
 * label is an ordinary value, which registers hold and branches lead to. Any thread may run any code. Nothing can be read
 * or written there: that would be instruction fetch, which is not modelled. Here, too, is known which thread's code names
 * which registers (`%a`).
 */

/** Below the symbols, and far from any integer that a test would use. */
const firstColumn = 0x6d00_0000n;
const columnSize = 0x1_0000n;
export const instructionSize = 4n;

export interface CodePlace {
  readonly thread: number;
  /** How many instructions of the thread lie before it. */
  readonly index: number;
}

export class CodeMap {
  /** By thread, then by label. */
  readonly #labels = new Map<number, Map<string, bigint>>();
  /** The threads whose code has a register of that name. */
  readonly #registers = new Map<string, Set<number>>();
  #columns = 0;

  address({ thread, index }: CodePlace): bigint {
    return firstColumn + BigInt(thread) * columnSize + BigInt(index) * instructionSize;
  }

  /** Undefined: no code is there. */
  place(address: bigint): CodePlace | undefined {
    const offset = address - firstColumn;
    if (offset < 0n || offset % instructionSize !== 0n) return undefined;
    const thread = Number(offset / columnSize);
    return thread < this.#columns ? { thread, index: Number((offset % columnSize) / instructionSize) } : undefined;
  }

  /** Threads up to `thread` have code. */
  declare(thread: number): void {
    this.#columns = Math.max(this.#columns, thread + 1);
  }

  /** The code of `thread` has a register that is called `name`. */
  nameRegister(name: string, thread: number): void {
    const threads = this.#registers.get(name);
    if (threads === undefined) this.#registers.set(name, new Set([thread]));
    else threads.add(thread);
  }

  /** The thread whose code has a register of that name; undefined: none has, or several have. */
  threadWith(name: string): number | undefined {
    const threads = this.#registers.get(name);
    return threads?.size === 1 ? [...threads][0] : undefined;
  }

  define(label: string, place: CodePlace): void {
    let labels = this.#labels.get(place.thread);
    if (labels === undefined) this.#labels.set(place.thread, (labels = new Map()));
    labels.set(label, this.address(place));
  }

  /** The address of the label of that thread. */
  own(label: string, thread: number): bigint | undefined {
    return this.#labels.get(thread)?.get(label);
  }

  /** What code of `thread` means by `label`: its own one, or else that of the first thread that has one. */
  find(label: string, thread: number): bigint | undefined {
    const own = this.own(label, thread);
    if (own !== undefined) return own;
    for (const labels of this.#labels.values()) {
      const address = labels.get(label);
      if (address !== undefined) return address;
    }
    return undefined;
  }

  /** As herd writes it. Undefined: no code is there. */
  show(address: bigint): string | undefined {
    const place = this.place(address);
    if (place === undefined) return undefined;
    for (const [label, at] of this.#labels.get(place.thread) ?? []) {
      if (at === address) return `label:"P${place.thread}:${label}"`;
    }
    return `P${place.thread}+${Number(instructionSize) * place.index}`;
  }
}
