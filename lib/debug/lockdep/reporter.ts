/**
 * Says what one thread's validator has found: once a pair of classes, whichever thread finds it. A report goes to the standard error
 * stream of the thread that finds it, to the arena's tables, from which any thread reads it, and to the `node:diagnostics_channel`
 * `holdfast:lockdep`.
 */
import { channel } from 'node:diagnostics_channel';
import { tell } from '../../arena/spawn.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { readText, utf8, writeBytes } from '../../memory/text.ts';
import type { Thread } from '../../sched/thread.ts';
import { framesOf, MOST_FRAMES, parseFrames, readFrames } from '../profile/stacks.ts';
import { classLabel } from './classes.ts';
import type { Hold } from './holds.ts';
import {
  type Claim,
  claim,
  claimFor,
  EXCLUDED,
  isClaimed,
  orderAt,
  QUIET,
  REPORT_BYTES,
  REPORTS,
  Report,
  Reported,
  stackPlace,
  stacksIn,
  Tables,
} from './layout.ts';
import { isSuppressed } from './suppress.ts';
import { banner, type Finding, heldLines, type Mention, named, recursion, scenario, stackOf } from './words.ts';

/** What is published on the channel, and what `lockdep.reports()` returns. */
export interface LockdepReport {
  readonly finding: Finding;
  /** The classes of locks that it is about. */
  readonly classes: readonly string[];
  /** The CPU number of the thread that has found it. */
  readonly thread: number;
  readonly text: string;
}

export const LOCKDEP_CHANNEL = 'holdfast:lockdep';
const published = channel(LOCKDEP_CHANNEL);

const MODES = ['exclusive', 'shared', 'shared, recursive'] as const;

/** The lines of a report, with stacks of at most `depth` frames. */
type Lines = (depth: number) => string[];

export class Reporter {
  readonly #cpu: Cpu;
  readonly #thread: number;
  readonly #tables: number;
  /** What was found, and was not told yet. */
  readonly #found: LockdepReport[] = [];

  constructor({ cpu, number }: Thread, tables: number) {
    this.#cpu = cpu;
    this.#thread = number;
    this.#tables = tables;
  }

  /**
   * The order from `other`, which is held, to `hold`, which is wanted, closes a cycle: `path` leads back. `mayCome`: a callback may want
   * it while a section of the thread holds the other.
   */
  circular(hold: Hold, other: Hold, path: readonly number[], held: readonly Hold[], mayCome: boolean): void {
    const labels = path.map((number) => this.#label(number));
    const claimed = this.#claimFor(other, hold, Reported.circle);
    const isNew = this.#report('circular', labels, claimed, (depth) => [
      mayCome
        ? `a callback of thread ${this.#thread} acquires lock:`
        : `thread ${this.#thread} is trying to acquire lock:`,
      named(this.#mention(hold)),
      '',
      mayCome
        ? 'and can come while an asynchronous section of the thread holds lock:'
        : 'but it is already holding lock:',
      named(this.#mention(other)),
      '',
      'which lock already depends on the new lock.',
      '',
      'the existing dependency chain (in reverse order) is:',
      ...path.flatMap((_, i) => this.#link(path, path.length - 1 - i, depth)),
      '',
      `-> #0 (${labels[0]}): taken here`,
      ...this.#stack(hold, depth),
      `   while ${mayCome ? 'a section may hold' : 'holding'} ${this.#label(other.class)}, taken here`,
      ...this.#stack(other, depth),
      '',
      ...scenario(labels),
      '',
      ...this.#heldLines(held),
    ]);
    if (isNew) this.#cpu.fetchOr(orderAt(this.#tables, other.class, hold.class), EXCLUDED);
  }

  /** A lock of the class is held already. */
  recursive(hold: Hold, other: Hold, held: readonly Hold[]): void {
    const label = this.#label(hold.class);
    this.#report('recursive', [label], this.#claimFor(hold, hold, Reported.circle), (depth) => [
      `thread ${this.#thread} is trying to acquire lock:`,
      named(this.#mention(hold)),
      '',
      'but it is already holding lock:',
      named(this.#mention(other)),
      '',
      ...recursion(label, label),
      '',
      ...this.#stacks(hold, other, depth),
      '',
      ...this.#heldLines(held),
    ]);
  }

  /** `hold` may sleep, and `atomic` lets nothing sleep that is taken inside. */
  invalidContext(hold: Hold, atomic: Hold, held: readonly Hold[]): void {
    const labels = [this.#label(atomic.class), this.#label(hold.class)];
    this.#report('context', labels, this.#claimFor(atomic, hold, Reported.context), (depth) => [
      `thread ${this.#thread} is trying to lock:`,
      named(this.#mention(hold)),
      '',
      `which may sleep, inside ${labels[0]}, where nothing may:`,
      ...this.#stacks(hold, atomic, depth),
      '',
      ...this.#heldLines(held),
    ]);
  }

  /** A lock is to be given back by who does not hold it. */
  unbalanced(hold: Hold, held: readonly Hold[]): void {
    this.#once('balance', hold, (depth) => [
      `thread ${this.#thread} is trying to release lock (${this.#label(hold.class)}) at:`,
      ...this.#stack(hold, depth),
      'but it does not hold it.',
      '',
      ...this.#heldLines(held),
    ]);
  }

  /** Those in `later` were taken after `hold`, and are held still. */
  releasedEarly(hold: Hold, later: readonly Hold[]): void {
    this.#once('release-order', hold, () => [
      `thread ${this.#thread} has released ${named(this.#mention(hold))}`,
      'before what it took after it:',
      ...later.map((other) => named(this.#mention(other))),
    ]);
  }

  awaited(hold: Hold, ms: number): void {
    this.#once('await', hold, (depth) => [
      `thread ${this.#thread} held ${named(this.#mention(hold))}`,
      `for ${Math.round(ms)} ms, in which its code awaited. It was taken here:`,
      ...this.#stack(hold, depth),
    ]);
  }

  lostGuard(hold: Hold): void {
    this.#once('guard', hold, (depth) => [
      `thread ${this.#thread} holds ${named(this.#mention(hold))}`,
      'and the guard that was to release it has been collected. It was taken here:',
      ...this.#stack(hold, depth),
    ]);
  }

  exits(held: readonly Hold[]): void {
    const [first] = held;
    if (first === undefined) return;
    this.#once('exit', first, () => [`thread ${this.#thread} ends.`, ...this.#heldLines(held)]);
  }

  /** `what`: what the program expects. */
  notHeld(hold: Hold, what: string, held: readonly Hold[]): void {
    this.#once('not-held', hold, (depth) => [
      `thread ${this.#thread}: ${what} (${this.#label(hold.class)})`,
      ...this.#stack(hold, depth),
      '',
      ...this.#heldLines(held),
    ]);
  }

  /** A report about one class, once for each finding. */
  #once(finding: Finding, hold: Hold, lines: Lines): void {
    const bit = ONCE[finding] ?? 0;
    this.#report(finding, [this.#label(hold.class)], this.#claimFor(hold, hold, bit), lines);
  }

  #claimFor(one: Hold, other: Hold, what: number): Claim {
    return claimFor(this.#tables, one.class, other.class, what);
  }

  /**
   * Says it, unless it was claimed before. Returns whether this thread has said it. It is written before it is claimed: a thread
   * that dies in between leaves a report that another one writes again, and none is lost.
   */
  #report(finding: Finding, classes: readonly string[], claimed: Claim, lines: Lines): boolean {
    const cpu = this.#cpu;
    const tables = this.#tables;
    if (isClaimed(cpu, claimed)) return false;
    if (isSuppressed(cpu, tables, finding, classes)) {
      if (claim(cpu, claimed)) cpu.fetchAddRelaxed(tables + Tables.suppressedCount, 1);
      return false;
    }
    const report = fitting((depth) => ({
      finding,
      classes,
      thread: this.#thread,
      text: banner(finding, lines(depth)),
    }));
    const number = cpu.fetchAddRelaxed(tables + Tables.placesTaken, 1);
    if (number < REPORTS) store(cpu, tables, number, utf8(JSON.stringify(report)));
    if (!claim(cpu, claimed)) {
      if (number < REPORTS) withdraw(cpu, tables, number);
      return false;
    }
    cpu.fetchAddRelaxed(tables + Tables.reportCount, 1);
    this.#found.push(report);
    return true;
  }

  /** Tells what was found. Illegal while the thread adds to the tables: whoever listens may take locks, clear the tables, or take long. */
  tell(): void {
    for (let report = this.#found.shift(); report !== undefined; report = this.#found.shift()) {
      if ((this.#cpu.load(this.#tables + Tables.flags) & QUIET) === 0) tell(report.text);
      published.publish(report);
    }
  }

  #link(path: readonly number[], i: number, depth: number): string[] {
    const [from, to] = [path[i - 1], path[i]];
    if (from === undefined || to === undefined) return [];
    const cpu = this.#cpu;
    const place = stackPlace(this.#tables);
    const stacks = stacksIn(cpu.load(orderAt(this.#tables, from, to)));
    const framesAt = (number: number) => (number < 0 ? [] : readFrames(cpu, place, number));
    return [
      '',
      `-> #${i} (${this.#label(to)}): taken here`,
      ...stackOf(framesAt(stacks.wanted), depth),
      `   while holding ${this.#label(from)}, taken here`,
      ...stackOf(framesAt(stacks.held), depth),
    ];
  }

  #stacks(hold: Hold, other: Hold, depth: number): string[] {
    return [
      `${this.#label(hold.class)}, wanted here`,
      ...this.#stack(hold, depth),
      `${this.#label(other.class)}, taken here`,
      ...this.#stack(other, depth),
    ];
  }

  #heldLines(held: readonly Hold[]): string[] {
    const mentions = held.map((hold) => this.#mention(hold));
    return heldLines(this.#thread, mentions);
  }

  #stack(hold: Hold, depth: number): string[] {
    return stackOf(this.#mention(hold).frames, depth);
  }

  #mention(hold: Hold): Mention {
    const mode = `${MODES[hold.reading]}${hold.form.async ? ', async' : ''}`;
    return { label: this.#label(hold.class), mode, frames: parseFrames(framesOf(hold.trace)) };
  }

  #label(number: number): string {
    return classLabel(this.#cpu, this.#tables, number);
  }
}

/** Bits of the word of a class with itself. Those of ways are never set there. */
const ONCE: Partial<Record<Finding, number>> = {
  balance: 1,
  'release-order': 2,
  await: 4,
  exit: 8,
  'not-held': 16,
  guard: 32,
};

/**
 * The report with stacks as deep as its place has room for: what it says after them, the scenario and the locks that are held, is
 * never cut off for frames. Only one that is too long with a frame a stack loses its end.
 */
function fitting(write: (depth: number) => LockdepReport): LockdepReport {
  for (let depth = MOST_FRAMES; depth > 0; depth = Math.floor(depth / 2)) {
    const report = write(depth);
    if (fits(report)) return report;
  }
  const { text, ...rest } = write(1);
  for (let end = text.length; ; ) {
    end = Math.floor(end * 0.9);
    const report = { ...rest, text: `${text.slice(0, end)}...` };
    if (end === 0 || fits(report)) return report;
  }
}

function fits(report: LockdepReport): boolean {
  return utf8(JSON.stringify(report)).length <= REPORT_BYTES;
}

function store(cpu: Cpu, tables: number, number: number, bytes: Uint8Array): void {
  if (bytes.length > REPORT_BYTES) return;
  const at = tables + Tables.reports + number * Report.words;
  writeBytes(cpu, at + Report.text, bytes);
  // Pairs with the acquire in `readReports`.
  cpu.storeRelease(at + Report.length, bytes.length + 1);
}

function withdraw(cpu: Cpu, tables: number, number: number): void {
  cpu.store(tables + Tables.reports + number * Report.words + Report.length, 0);
}

export function readReports(cpu: Cpu, tables: number): LockdepReport[] {
  for (;;) {
    const session = cpu.loadAcquire(tables + Tables.session);
    // They are being forgotten.
    if ((session & 1) === 1) return [];
    const texts: string[] = [];
    for (let number = 0; number < REPORTS; number++) {
      const at = tables + Tables.reports + number * Report.words;
      const length = cpu.loadAcquire(at + Report.length);
      if (length > 0) texts.push(readText(cpu, at + Report.text, length - 1));
    }
    // Pairs with the barrier in `clear`: texts that are whole, or another look.
    cpu.rmb();
    if (cpu.load(tables + Tables.session) === session) return texts.map((text) => JSON.parse(text) as LockdepReport);
  }
}
