/**
 * The output of one thread: a ring that the thread writes and the program's owner reads. What finds no room is counted. A record is
 * there once `head` is behind it, so a thread that is killed leaves whole records.
 *
 *   record   what | time, two words | arguments, two words each
 *   what     its length in words (low 8 bits), and `Output`, and above 16 bits the number of the format or the map
 */
import type { Cpu } from '../../../machine/cpu.ts';
import { struct } from '../../../memory/struct.ts';
import { fromWords, highWord, lowWord } from './numbers.ts';

const ROOM = 1024;

export const RING = struct({
  /** Words that were written, and read, ever: modulo 2^32. */
  head: 1,
  tail: 1,
  /** Records that found no room. */
  lost: 1,
  pad: 13,
  records: ROOM,
});

export const Output = { line: 0, printMap: 1, clearMap: 2 } as const;

export interface OutputRecord {
  readonly what: number;
  /** The format, or the map. */
  readonly number: number;
  readonly time: number;
  readonly values: readonly number[];
}

/** Writes one thread's output. */
export class RingWriter {
  readonly #cpu: Cpu;
  readonly #ring: number;

  constructor(cpu: Cpu, ring: number) {
    this.#cpu = cpu;
    this.#ring = ring;
  }

  write(what: number, number: number, time: number, values: readonly number[]): void {
    const cpu = this.#cpu;
    const ring = this.#ring;
    const words = 3 + 2 * values.length;
    const head = cpu.load(ring + RING.head);
    // Pairs with the release in `readRing`: what was there was read.
    if (((head - cpu.loadAcquire(ring + RING.tail)) >>> 0) + words > ROOM) {
      cpu.store(ring + RING.lost, cpu.load(ring + RING.lost) + 1);
      return;
    }
    let at = head;
    const put = (word: number) => cpu.store(ring + RING.records + (at++ & (ROOM - 1)), word);
    put(words | (what << 8) | (number << 16));
    for (const value of [time, ...values]) {
      put(lowWord(value));
      put(highWord(value));
    }
    // Pairs with the acquire in `readRing`.
    cpu.storeRelease(ring + RING.head, at | 0);
  }
}

/** Takes the records out that are there, for the one reader that there is. */
export function readRing(cpu: Cpu, ring: number): OutputRecord[] {
  const records: OutputRecord[] = [];
  // Pairs with the release in `write`.
  const head = cpu.loadAcquire(ring + RING.head);
  let at = cpu.load(ring + RING.tail);
  const take = () => cpu.load(ring + RING.records + (at++ & (ROOM - 1)));
  const takeNumber = () => {
    const low = take();
    return fromWords(low, take());
  };
  while (((head - at) | 0) > 0) {
    const code = take();
    const time = takeNumber();
    const values = Array.from({ length: ((code & 0xff) - 3) / 2 }, takeNumber);
    records.push({ what: (code >> 8) & 0xff, number: code >>> 16, time, values });
  }
  // Pairs with the acquire in `write`.
  cpu.storeRelease(ring + RING.tail, at | 0);
  return records;
}

export function lostRecords(cpu: Cpu, ring: number): number {
  return cpu.load(ring + RING.lost) >>> 0;
}
