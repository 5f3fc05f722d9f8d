/**
 * Which lines cores take from each other, and whether they do it for the same words, as `perf c2c` shows them: loads, stores
 * and HITMs (requests that a line answers which another core has modified) by line and word.
 *
 * A HITM is *false* when the word that it is for has not changed since the core lost the line: the line was lost for the sake
 * of another word, and would still be there if the two stood on lines of their own. (Torrellas, Lam and Hennessy 1994 look
 * at all words that the core then uses; here the first one decides.)
 */
import { LINE_SHIFT, LINE_WORDS, State } from '../machine/caches.ts';
import type { Core, Request } from '../machine/core.ts';
import type { MemorySystem } from '../machine/memory-system.ts';
import { Observer } from '../machine/observer.ts';
import type { SimThread } from '../machine/thread.ts';
import type { WordNames } from './word-names.ts';

export interface SharedWord {
  /** In the line. */
  word: number;
  address: number;
  name: string;
  loads: number;
  stores: number;
  hitm: number;
  falseHitm: number;
  /** Which cores have read it, and which have written it. */
  readers: number[];
  writers: number[];
}

export interface SharedLine {
  line: number;
  loads: number;
  stores: number;
  hitm: number;
  falseHitm: number;
  /** Of all requests that a line answered which another core had modified. */
  share: number;
  /** No two words of it have the same writers: cores that write one word lose the line to cores that write another. */
  isFalselyShared: boolean;
  /** Those that were accessed. */
  words: SharedWord[];
}

export interface Sharing {
  hitm: number;
  falseHitm: number;
  /** Lines that more than one core has used and at least one has written, most false HITMs first. */
  lines: SharedLine[];
}

export class SharingObserver extends Observer {
  readonly #cores: number;
  readonly #lines: number;
  /** By word. */
  readonly #loads: Float64Array;
  readonly #stores: Float64Array;
  readonly #hitm: Float64Array;
  readonly #falseHitm: Float64Array;
  /** By word: when it was last written, counted in commits. */
  readonly #written: Float64Array;
  /** By core and line: when the core lost the line; 0: it never had it. */
  readonly #lost: Float64Array;
  /** By word, and by core in it: 1 for a reader, 2 for a writer. */
  readonly #users: Uint8Array;
  #commits = 1;

  constructor({ memory, cores }: MemorySystem) {
    super();
    const words = memory.length;
    this.#cores = cores.length;
    this.#lines = words / LINE_WORDS;
    this.#loads = new Float64Array(words);
    this.#stores = new Float64Array(words);
    this.#hitm = new Float64Array(words);
    this.#falseHitm = new Float64Array(words);
    this.#written = new Float64Array(words);
    this.#lost = new Float64Array(this.#cores * this.#lines);
    this.#users = new Uint8Array(this.#cores * words);
  }

  override loaded(core: Core, { address }: SimThread): void {
    this.#loads[address]!++;
    this.#users[address * this.#cores + core.number]! |= READS;
  }

  override stored(core: Core, { address }: SimThread): void {
    this.#stores[address]!++;
    this.#users[address * this.#cores + core.number]! |= WRITES;
  }

  override committed(_core: Core, address: number): void {
    this.#written[address] = ++this.#commits;
  }

  override changed(core: Core, line: number, _from: number, to: number): void {
    if (to === State.invalid) this.#lost[core.number * this.#lines + line] = this.#commits;
  }

  override served({ core, address, line }: Request, supplier: number, state: number): void {
    if (supplier === core || (state !== State.modified && state !== State.owned)) return;
    this.#hitm[address]!++;
    const lost = this.#lost[core * this.#lines + line]!;
    if (lost > 0 && this.#written[address]! <= lost) this.#falseHitm[address]!++;
  }

  sharing(nameOf: WordNames): Sharing {
    const lines: SharedLine[] = [];
    const hitm = sum(this.#hitm);
    for (let line = 0; line < this.#lines; line++) {
      const words = this.#wordsOf(line, nameOf);
      const users = new Set(words.flatMap(({ readers, writers }) => [...readers, ...writers]));
      if (users.size < 2 || words.every(({ writers }) => writers.length === 0)) continue;
      const total = (field: 'loads' | 'stores' | 'hitm' | 'falseHitm') =>
        words.reduce((all, word) => all + word[field], 0);
      lines.push({
        line,
        loads: total('loads'),
        stores: total('stores'),
        hitm: total('hitm'),
        falseHitm: total('falseHitm'),
        share: hitm === 0 ? 0 : total('hitm') / hitm,
        isFalselyShared: haveDifferentWriters(words),
        words,
      });
    }
    lines.sort((a, b) => b.falseHitm - a.falseHitm || b.hitm - a.hitm || a.line - b.line);
    return { hitm, falseHitm: sum(this.#falseHitm), lines };
  }

  #wordsOf(line: number, nameOf: WordNames): SharedWord[] {
    const words: SharedWord[] = [];
    for (let word = 0; word < LINE_WORDS; word++) {
      const address = (line << LINE_SHIFT) + word;
      const [loads, stores] = [this.#loads[address]!, this.#stores[address]!];
      if (loads + stores === 0) continue;
      words.push({
        word,
        address,
        name: nameOf(address),
        loads,
        stores,
        hitm: this.#hitm[address]!,
        falseHitm: this.#falseHitm[address]!,
        readers: this.#coresThat(READS, address),
        writers: this.#coresThat(WRITES, address),
      });
    }
    return words;
  }

  #coresThat(how: number, address: number): number[] {
    const cores = [];
    for (let core = 0; core < this.#cores; core++) {
      if ((this.#users[address * this.#cores + core]! & how) !== 0) cores.push(core);
    }
    return cores;
  }
}

const READS = 1;
const WRITES = 2;

function sum(counts: Float64Array): number {
  return counts.reduce((all, count) => all + count, 0);
}

/** Whether a word of the line is written by a core that another written word of it is not written by. */
function haveDifferentWriters(words: readonly SharedWord[]): boolean {
  const written = words.filter(({ writers }) => writers.length > 0);
  return written.some(({ writers }) => writers.join() !== written[0]!.writers.join());
}

/** The lines that cost most, as a table for a person. */
export function showSharing(of: string, { hitm, falseHitm, lines }: Sharing, most = 8): string {
  const shown = lines.filter((line) => line.hitm > 0).slice(0, most);
  const title = `${of}: ${hitm} HITMs, ${falseHitm} of them false`;
  const rows = shown.flatMap((line) => [
    [
      `line ${line.line}${line.isFalselyShared ? ', different writers' : ''}`,
      `${line.loads}`,
      `${line.stores}`,
      `${line.hitm}`,
      `${line.falseHitm}`,
      `${(100 * line.share).toFixed(1)} %`,
      '',
    ],
    ...line.words.map((word) => [
      `  ${String(word.word).padStart(2)} ${word.name}`,
      `${word.loads}`,
      `${word.stores}`,
      `${word.hitm}`,
      `${word.falseHitm}`,
      '',
      [
        word.readers.length > 0 ? `r ${ranges(word.readers)}` : '',
        word.writers.length > 0 ? `w ${ranges(word.writers)}` : '',
      ]
        .filter((text) => text !== '')
        .join('  '),
    ]),
  ]);
  if (rows.length === 0) return `${title}\n`;
  const table = [['', 'loads', 'stores', 'HITM', 'false', 'share', 'cores'], ...rows];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const last = widths.length - 1;
  const text = table.map((row) =>
    row
      .map((cell, at) => (at === 0 || at === last ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!)))
      .join('  ')
      .trimEnd(),
  );
  return `${title}\n${text.join('\n')}\n`;
}

/** `0-3,7`. */
function ranges(numbers: readonly number[]): string {
  const parts: string[] = [];
  for (let at = 0; at < numbers.length; ) {
    let end = at;
    while (numbers[end + 1] === numbers[end]! + 1) end++;
    parts.push(end === at ? `${numbers[at]}` : `${numbers[at]}-${numbers[end]}`);
    at = end + 1;
  }
  return parts.join(',');
}
