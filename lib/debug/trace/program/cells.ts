/**
 * A cell: a number of 53 bits and a sign in words of 32 bits, whole at every step, whichever thread dies.
 *
 *   version   counts the writes, above the 10 bits of the thread that is writing; 0: nothing was written yet
 *   copies    two: the number of version v is in copy v mod 2
 *
 *   v, 0 -> v, me        claimed: what others want to write meanwhile is lost if it takes long
 *   v, me -> v + 1, 0    the other copy was written before
 *
 * A reader looks at the version before and after, and never waits: what it wants is overwritten only by the second write after it
 * has begun. A cell that only one thread writes needs no claim. Claims of a thread that was killed are given back by the
 * reaper, for the thread's slot says which cell it is about to claim (`Running.claim`).
 */
import type { Cpu } from '../../../machine/cpu.ts';
import { struct } from '../../../memory/struct.ts';
import { clamped, fromWords, highWord, lowWord } from './numbers.ts';

export const Cell = struct({ version: 1, copies: 4 });

const WRITER_BITS = 10;
const WRITER = (1 << WRITER_BITS) - 1;
const VERSIONS = 1 << (32 - WRITER_BITS);

/** The upper word of a cell that was emptied: no number has it. */
const EMPTY_HIGH = 0x7fff_ffff;
const EMPTY = NaN;

/** How often a reader looks again when others write. */
const TRIES = 8;
/** Loads that a writer waits for another one: a write takes some ten steps. */
const PATIENCE = 256;

const isUnclaimed = (word: number) => (word & WRITER) === 0;

/** The number in the cell; NaN for none. */
export function readCell(cpu: Cpu, cell: number): number {
  let value = EMPTY;
  for (let tries = 0; tries < TRIES; tries++) {
    // Pairs with the releases in `publish`: the copy is that of this version.
    const version = cpu.loadAcquire(cell) >>> WRITER_BITS;
    if (version === 0) return EMPTY;
    const copy = copyOf(cell, version);
    const low = cpu.loadAcquire(copy);
    const high = cpu.loadAcquire(copy + 1);
    value = high === EMPTY_HIGH ? EMPTY : fromWords(low, high);
    if (cpu.load(cell) >>> WRITER_BITS === version) break;
  }
  return value;
}

/** The number in a cell that only the calling thread writes; NaN for none. */
export function ownCell(cpu: Cpu, cell: number): number {
  const version = cpu.loadUnordered(cell) >>> WRITER_BITS;
  if (version === 0) return EMPTY;
  const copy = copyOf(cell, version);
  return fromWords(cpu.loadUnordered(copy), cpu.loadUnordered(copy + 1));
}

/** Stores to a cell that only the calling thread writes. */
export function storeOwnCell(cpu: Cpu, cell: number, value: number): void {
  const version = nextVersion(cpu.loadUnordered(cell) >>> WRITER_BITS);
  const copy = copyOf(cell, version);
  // Each a release: pairs with the acquires in `readCell`. No store of this version comes before that of the last one's number.
  cpu.storeReleaseLight(copy, lowWord(value));
  cpu.storeReleaseLight(copy + 1, highWord(value));
  cpu.storeReleaseLight(cell, version << WRITER_BITS);
}

/** Adds to a cell that only the calling thread writes, and that is 0 where there is none. */
export function addToOwnCell(cpu: Cpu, cell: number, amount: number): void {
  const version = cpu.loadUnordered(cell) >>> WRITER_BITS;
  const copy = copyOf(cell, version);
  // Zeros in one that was never written.
  const before = fromWords(cpu.loadUnordered(copy), cpu.loadUnordered(copy + 1));
  storeOwnCell(cpu, cell, clamped(before + amount));
}

/** A thread that writes to cells of several threads: a CPU number plus one, and the word that says which cell it claims. */
export interface Writer {
  readonly id: number;
  readonly claim: number;
}

/** Stores a number, or with NaN none. False: somebody else writes there, and takes long; nothing has changed. */
export function storeCell(cpu: Cpu, cell: number, writer: Writer, value: number): boolean {
  const word = claimCell(cpu, cell, writer);
  if (word < 0) return false;
  publish(cpu, cell, writer, word, value);
  return true;
}

/** Adds to the number, which is 0 where there is none. False as above. */
export function addToCell(cpu: Cpu, cell: number, writer: Writer, amount: number): boolean {
  const version = claimCell(cpu, cell, writer);
  if (version < 0) return false;
  const copy = copyOf(cell, version);
  const high = cpu.load(copy + 1);
  const before = version === 0 || high === EMPTY_HIGH ? 0 : fromWords(cpu.load(copy), high);
  publish(cpu, cell, writer, version, clamped(before + amount));
  return true;
}

/** The version that the cell had, or -1: somebody else has claimed it. */
function claimCell(cpu: Cpu, cell: number, { id, claim }: Writer): number {
  // Illegal to claim before: the reaper looks here.
  cpu.store(claim, cell);
  for (let tries = 0; tries < TRIES; tries++) {
    const word = cpu.condLoad(cell, isUnclaimed, 0, PATIENCE);
    if (!isUnclaimed(word)) break;
    // Fully ordered: after the store above, and what the last writer has written is there.
    if (cpu.cmpxchg(cell, word, word | id) === word) return word >>> WRITER_BITS;
  }
  cpu.storeRelease(claim, 0);
  return -1;
}

function publish(cpu: Cpu, cell: number, { claim }: Writer, version: number, value: number): void {
  const next = nextVersion(version);
  const copy = copyOf(cell, next);
  cpu.store(copy, Number.isNaN(value) ? 0 : lowWord(value));
  cpu.store(copy + 1, Number.isNaN(value) ? EMPTY_HIGH : highWord(value));
  // Pairs with the acquire in `readCell`, and the exchange in `claimCell`.
  cpu.storeRelease(cell, next << WRITER_BITS);
  cpu.storeRelease(claim, 0);
}

/** For the reaper: the thread `id`, which was killed, had this cell claimed, or was about to. The cell is as before its write. */
export function repairCell(cpu: Cpu, cell: number, id: number): void {
  const word = cpu.load(cell);
  // Nobody else changes a word with that thread in it.
  if ((word & WRITER) === id) cpu.cmpxchg(cell, word, word & ~WRITER);
}

function copyOf(cell: number, version: number): number {
  return cell + Cell.copies + (version & 1) * 2;
}

/** Never 0, and in the other copy than the one before. */
function nextVersion(version: number): number {
  return (version + 1) % VERSIONS || 2;
}
