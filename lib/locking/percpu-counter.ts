/**
 * PercpuCounter: a count that all threads add to at once, each on a line of its own: kernel lib/percpu_counter.c.
 *
 *   sum (two words), folding | a line for each thread: delta
 *
 *   add    delta += n; when it is as large as a batch:
 *   fold   under the latch: folded := sum + delta | folding := the line | sum := folded | delta := 0 | folding := 0
 *
 * A thread that dies in the middle of `fold` has the latch: with `folding` set the rest is done again, without it nothing was
 * changed. What a dead thread had added is folded by the reaper.
 */
import type { Arena } from '../arena/arena.ts';
import { type ObjectHandle, SharedObject } from '../arena/shared-object.ts';
import { checkOptionNames, HoldfastError, shown } from '../errors.ts';
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import { latch, unlatch } from '../memory/latch.ts';
import { isPresent, ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { maxThreads } from '../sched/slot.ts';

const Words = struct({
  header: ObjectHeader,
  /** Guards what follows. */
  latch: 1,
  /** What was folded: `high` times 2^32, and `low` without a sign. */
  low: 1,
  high: 1,
  foldedLow: 1,
  foldedHigh: 1,
  /** The line that is being folded, or 0. */
  folding: 1,
  pad: LINE_WORDS - ObjectHeader.words - 6,
});
/** One thread's line. Written by its thread, and under the latch. */
const Line = struct({ delta: 1, pad: LINE_WORDS - 1 });

const LOW = 2 ** 32;
/** The kernel's, for up to 16 threads. */
const BATCH = 32;
const LARGEST_BATCH = 2 ** 29;

const KIND = defineKind<Repairer>({
  name: 'percpu-counter',
  words: Words,
  trailing: (cpu) => maxThreads(cpu) * Line.words,
  format: () => {},
  holder: () => 0,
  isBusy: (cpu, counter) => cpu.load(counter + Words.latch) !== 0,
  repair({ cpu, threads, isDead, latch: take }, counter) {
    if (!take(counter + Words.latch, () => {})) return false;
    finishFold(cpu, counter);
    for (let number = 0; number < threads; number++) {
      if (isDead(number + 1)) fold(cpu, counter, lineOf(counter, number));
    }
    unlatch(cpu, counter + Words.latch);
    return true;
  },
});

function lineOf(counter: number, number: number): number {
  return counter + Words.words + number * Line.words;
}

/** Under the latch. */
function fold(cpu: Cpu, counter: number, line: number): void {
  const sum = folded(cpu, counter) + cpu.loadUnordered(line + Line.delta);
  cpu.store(counter + Words.foldedLow, sum | 0);
  cpu.store(counter + Words.foldedHigh, Math.floor(sum / LOW));
  cpu.store(counter + Words.folding, line);
  finishFold(cpu, counter);
}

function finishFold(cpu: Cpu, counter: number): void {
  const line = cpu.load(counter + Words.folding);
  if (line === 0) return;
  cpu.store(counter + Words.low, cpu.load(counter + Words.foldedLow));
  cpu.store(counter + Words.high, cpu.load(counter + Words.foldedHigh));
  cpu.storeUnordered(line + Line.delta, 0);
  cpu.store(counter + Words.folding, 0);
}

/** Under the latch. */
function folded(cpu: Cpu, counter: number): number {
  return cpu.load(counter + Words.high) * LOW + (cpu.load(counter + Words.low) >>> 0);
}

export interface PercpuCounterOptions {
  /** What a thread keeps to itself before it tells the others, 1 to 2^29. @default 32 */
  batch?: number | undefined;
}

/**
 * A count of 53 bits that threads add to without getting in each other's way: most calls of `add` are a plain store.
 *
 * `read` is off by at most a batch for each thread; `sum` is exact once no other thread adds. What a thread has added counts
 * on when it ends, or is killed.
 *
 * Source: kernel lib/percpu_counter.c.
 */
export class PercpuCounter extends SharedObject {
  readonly #cpu: Cpu;
  readonly #line: number;
  readonly #batch: number;

  /** Opens the counter of that name, making it, as 0, if there is none, or that of a handle; with neither, a new one. */
  constructor(arena: Arena, which?: string | ObjectHandle, options: PercpuCounterOptions = {}) {
    checkOptionNames(options, ['batch']);
    const { batch = BATCH } = options;
    if (!Number.isInteger(batch) || batch < 1 || batch > LARGEST_BATCH) {
      throw new HoldfastError('EINVAL', `batch is a whole number from 1 to 2^29, received ${shown(batch)}`);
    }
    super(KIND, arena, which);
    this.#cpu = this.thread.cpu;
    this.#line = lineOf(this.address, this.thread.number);
    this.#batch = batch;
  }

  static from(arena: Arena, handle: ObjectHandle, options?: PercpuCounterOptions): PercpuCounter {
    return new PercpuCounter(arena, handle, options);
  }

  /** Adds a whole number of up to 30 bits, which may be negative. Throws EINVAL for another, and after `arena.detach()`. */
  add(value: number): void {
    this.thread.current();
    // One that is destroyed from here on keeps its memory: this thread has a view of it.
    if (!isPresent(this.#cpu, this.address)) this.checkThere();
    if (!Number.isInteger(value) || Math.abs(value) > LARGEST_BATCH) {
      throw new HoldfastError('EINVAL', `add() takes a whole number of up to 30 bits, received ${shown(value)}`);
    }
    const cpu = this.#cpu;
    const word = this.#line + Line.delta;
    const delta = cpu.loadUnordered(word) + value;
    // Below a batch before, so it fits a word.
    cpu.storeUnordered(word, delta);
    if (Math.abs(delta) >= this.#batch) this.#underLatch(() => fold(cpu, this.address, this.#line));
  }

  inc(): void {
    this.add(1);
  }
  dec(): void {
    this.add(-1);
  }

  /** What all threads have told each other of. `percpu_counter_read`. */
  read(): number {
    return this.#underLatch(() => folded(this.#cpu, this.address));
  }

  /** With what each thread still keeps to itself. It looks at all lines. `percpu_counter_sum`. */
  sum(): number {
    const cpu = this.#cpu;
    return this.#underLatch(() => {
      let sum = folded(cpu, this.address);
      for (let number = 0; number < maxThreads(cpu); number++) sum += cpu.loadUnordered(lineOf(this.address, number));
      return sum;
    });
  }

  /** How the count compares with a number: -1, 0 or 1. Exact only where it is close. `percpu_counter_compare`. */
  compare(value: number): -1 | 0 | 1 {
    const rough = this.read() - value;
    const isClose = Math.abs(rough) <= this.#batch * maxThreads(this.#cpu);
    return Math.sign(isClose ? this.sum() - value : rough) as -1 | 0 | 1;
  }

  protected override get shown(): string {
    return `PercpuCounter(${this.name ?? this.address}, about ${this.read()})`;
  }

  #underLatch<Result>(look: () => Result): Result {
    const word = this.address + Words.latch;
    if (!isPresent(this.#cpu, this.address)) this.checkThere();
    latch(this.#cpu, word, this.thread.id);
    const result = look();
    unlatch(this.#cpu, word);
    return result;
  }
}
