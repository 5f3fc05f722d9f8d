/**
 * The redo journal of a structure: makes the change of several words one step, whoever is killed when.
 *
 * A writer, which holds the structure's latch, stages the words that it will change. Nothing of them is seen before `commit`.
 *
 *   count = 0    nothing is under way
 *   count = n    the first n entries are to be written, and perhaps some of them are
 *
 *   commit   entries written, 0 -> n (release), words written in the order in which they were staged, n -> 0
 *   recover  n: the words are written again, n -> 0
 *
 * Readers see the words change one after the other, so the order of staging is the order that they rely on. A change of one
 * word needs no journal.
 */
import type { Cpu } from '../machine/cpu.ts';
import { struct } from '../memory/struct.ts';

/** The most words that one step changes. */
export const JOURNAL_ENTRIES = 64;

export const JournalWords = struct({
  count: 1,
  /** Pairs of address and value. */
  entries: 2 * JOURNAL_ENTRIES,
});

export class Journal {
  readonly #cpu: Cpu;
  readonly #at: number;
  #staged = 0;

  /** `at`: the address of the JournalWords. */
  constructor(cpu: Cpu, at: number) {
    this.#cpu = cpu;
    this.#at = at;
  }

  /** How many more words fit into this step. */
  get room(): number {
    return JOURNAL_ENTRIES - this.#staged;
  }

  /** Forgets what a step that threw has staged. */
  begin(): void {
    this.#staged = 0;
  }

  stage(address: number, value: number): void {
    if (this.#staged === JOURNAL_ENTRIES) throw new Error(`a step of more than ${JOURNAL_ENTRIES} words`);
    const entry = this.#at + JournalWords.entries + 2 * this.#staged++;
    this.#cpu.write(entry, address);
    this.#cpu.write(entry + 1, value);
  }

  /** The word as the step leaves it, so far. */
  peek(address: number): number {
    for (let i = this.#staged - 1; i >= 0; i--) {
      const entry = this.#at + JournalWords.entries + 2 * i;
      if (this.#cpu.read(entry) === address) return this.#cpu.read(entry + 1);
    }
    return this.#cpu.read(address);
  }

  add(address: number, difference: number): void {
    if (difference !== 0) this.stage(address, (this.peek(address) + difference) | 0);
  }

  commit(): void {
    const cpu = this.#cpu;
    const count = this.#staged;
    this.#staged = 0;
    if (count > 1) cpu.storeReleaseLight(this.#at + JournalWords.count, count);
    apply(cpu, this.#at, count);
    if (count > 1) cpu.storeReleaseLight(this.#at + JournalWords.count, 0);
  }
}

/** For a thread that has taken the structure's latch from a dead one. May be done again. */
export function recoverJournal(cpu: Cpu, at: number): void {
  apply(cpu, at, cpu.load(at + JournalWords.count));
  cpu.storeRelease(at + JournalWords.count, 0);
}

/** Release: pairs with the dependent loads of readers, which find new blocks by these words. */
function apply(cpu: Cpu, at: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const entry = at + JournalWords.entries + 2 * i;
    cpu.storeReleaseLight(cpu.read(entry), cpu.read(entry + 1));
  }
}
