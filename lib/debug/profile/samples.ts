/** What the recorders of a profile have in common: the mark under which they add to it, and which of what they meet they take a stack for. */
import type { Cpu } from '../../machine/cpu.ts';
import { Header } from '../../memory/header.ts';
import type { Thread } from '../../sched/thread.ts';
import { Recording } from './layout.ts';

/**
 * A wait of this length or longer is sampled always, a shorter one with a probability in proportion, ns: so a place is charged
 * with what it has waited, however that is made up, and a stack is taken at most once in that time.
 */
export const SAMPLED_ALWAYS = 100e3;

/** Adds to the tables, unless the session is over. */
export function recording({ cpu, slot }: Thread, session: number, add: () => void): void {
  // Pairs with the exchange in `stopSession`: that sees that this thread records, or this sees that the session is over.
  cpu.xchg(slot + Recording.session, session);
  if (cpu.loadUnordered(Header.profile) === session) add();
  // Pairs with the acquire in `stopSession`, which reads what was recorded.
  cpu.storeReleaseLight(slot + Recording.session, 0);
}

/** Marsaglia's xorshift: what is chosen by it depends on nothing that the program does. */
export class Chance {
  #state: number;

  constructor(session: number, thread: Thread) {
    this.#state = Math.imul(session, 0x9e3779b1) ^ (thread.id << 1) || 1;
  }

  /** From 0 to before 1. */
  next(): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) / 2 ** 32;
  }

  /** For how many waits of that length this one stands: 0 for one that is not sampled. */
  weightOf(waited: number): number {
    if (waited >= SAMPLED_ALWAYS) return 1;
    return this.next() < waited / SAMPLED_ALWAYS ? SAMPLED_ALWAYS / waited : 0;
  }
}

/** Keeps the longest and the shortest of times in ns, in words that hold floats; 0 for none. */
export function noteExtremes(cpu: Cpu, longest: number, shortest: number, ns: number): void {
  const bits = floatBits(Math.max(ns, 1));
  raise(cpu, longest, (seen) => seen < bits, bits);
  raise(cpu, shortest, (seen) => seen === 0 || seen > bits, bits);
}

/** Stores `value` while what is there is `worse`. */
function raise(cpu: Cpu, address: number, worse: (seen: number) => boolean, value: number): void {
  // Whether that is so still the exchange finds.
  for (let seen = cpu.loadUnordered(address); worse(seen); ) {
    const now = cpu.cmpxchgRelaxed(address, seen, value);
    if (now === seen) return;
    seen = now;
  }
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

function floatBits(value: number): number {
  float[0] = value;
  return bits[0] as number;
}

/** The number whose bits a word holds. */
export function floatOf(word: number): number {
  bits[0] = word;
  return float[0] as number;
}
