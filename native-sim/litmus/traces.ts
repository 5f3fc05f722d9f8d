/**
 * All that a thread can do by itself, whatever the others write: its traces, one for each combination of values that
 * its reads may return.
 *
 * Which values a location may hold is not known beforehand: it starts with the initial one, and every round adds what
 * the traces of the round before wrote. A value that is made from others through a chain of writes takes as many
 * rounds as the chain is long, and no chain is longer than there are writes; so the rounds end, even where values
 * could grow for ever (`x = y + 1 || y = x + 1`), and no value is left out that an execution without values out of
 * thin air could have. Those are in `thin-air.ts`.
 *
 * Of what the thread itself writes, a read returns the latest or nothing: no model lets it see a write of its own that it has
 * overwritten, or has yet to make, nor the initial value once it has written.
 */
import { Kind } from '../models/execution.ts';
import type { Dialect } from './dialect.ts';
import { LitmusLimitExceeded } from './errors.ts';
import { finerCells } from './memory-map.ts';
import type { LitmusTest } from './test-file.ts';
import { constantsOf, isOneSided } from './thin-air.ts';
import { infeasible, type Oracle, strayed, type ThreadProgram, ThreadRun, type Trace } from './thread-run.ts';
import { unknown } from './unknown.ts';
import type { Work } from './work.ts';

const tracesPerThread = 200_000;
/** In the search for values out of thin air, which only some tests need, and to most of which there is nothing. */
const tracesOutOfThinAir = 20_000;

export interface Traces {
  readonly byThread: readonly (readonly Trace[])[];
  /** Some loop was cut short. */
  readonly cut: boolean;
  /** Some run accessed what is no location. */
  readonly strayed: boolean;
  /** Values out of thin air may be missing: there were too many to look for. */
  readonly incomplete: boolean;
}

/** The values that may be written to each location, each with the thread that alone writes it, or `anybody`. */
type Domain = Map<bigint, Map<bigint, number>>;
const anybody = -1;

/** `withUnknown`: the unknown value, too, may be wherever copies hand it round. */
export function findTraces(test: LitmusTest, dialect: Dialect, work: Work, withUnknown = false): Traces {
  const search: Search = { test, dialect, work };
  for (;;) {
    try {
      return findWithCells(search, withUnknown);
    } catch (thrown) {
      if (thrown !== finerCells) throw thrown;
    }
  }
}

interface Search {
  readonly test: LitmusTest;
  readonly dialect: Dialect;
  readonly work: Work;
}

function findWithCells(search: Search, withUnknown: boolean): Traces {
  const { test, dialect } = search;
  const domain: Domain = new Map();
  let all = grow(search, domain, tracesPerThread);
  let incomplete = false;
  const oneSided = dialect.thinAir && isOneSided(all.flat().map((run) => run.trace));
  if (oneSided || withUnknown) {
    const guesses = [...(oneSided ? constantsOf(test) : []), ...(withUnknown ? [unknown] : [])];
    try {
      all = fromThinAir(search, domain, guesses);
    } catch (thrown) {
      if (!(thrown instanceof LitmusLimitExceeded)) throw thrown;
      incomplete = true;
    }
  }
  return {
    byThread: all.map((runs) => runs.filter((run) => run.end === 'done').map((run) => run.trace)),
    cut: all.some((runs) => runs.some((run) => run.end === 'cut')),
    strayed: all.some((runs) => runs.some((run) => run.end === 'strayed')),
    incomplete,
  };
}

/** Adds to `domain` what can be written, given what is in it, until nothing is new. */
function grow(search: Search, domain: Domain, limit: number): Run[][] {
  const all = allTraces(search, domain, limit);
  for (let round = 0; ; round++) {
    const grown = addWritten(all, domain);
    if (grown.size === 0 || round > longestChain(all)) return all;
    for (const [thread, runs] of all.entries()) {
      const isNews = runs.some(({ trace }) => readsNews(trace, thread, grown));
      if (isNews) all[thread] = tracesOf(search, thread, domain, limit);
    }
  }
}

/** Begins with every guess at every location, and takes away what nobody writes. */
function fromThinAir(search: Search, least: Domain, guesses: readonly bigint[]): Run[][] {
  const { test } = search;
  let domain: Domain = new Map();
  for (const address of test.memory.names().flatMap((name) => test.memory.elementsAt(test.memory.address(name)))) {
    const possible = [test.memory.initialCell(address), ...(least.get(address)?.keys() ?? []), ...guesses];
    domain.set(address, new Map(possible.map((value) => [value, anybody])));
  }
  let all = grow(search, domain, tracesOutOfThinAir);
  for (let round = 0; round <= longestChain(all); round++) {
    const written: Domain = new Map();
    addWritten(all, written);
    const shrunk = [...domain].some(([address, values]) => {
      return [...values].some(([value, writer]) => written.get(address)?.get(value) !== writer);
    });
    if (!shrunk) break;
    domain = written;
    all = allTraces(search, domain, tracesOutOfThinAir);
  }
  return all;
}

/** No value is handed on through more writes than there are. */
function longestChain(all: readonly (readonly Run[])[]): number {
  const writes = all.map((runs) => runs.reduce((most, run) => Math.max(most, countWrites(run.trace)), 0));
  return writes.reduce((sum, count) => sum + count, 0);
}

function countWrites(trace: Trace): number {
  return trace.events.reduce((count, event) => count + (event.kind === Kind.write ? 1 : 0), 0);
}

/** Does it read a location for which others than `thread` have `news`? */
function readsNews({ events }: Trace, thread: number, news: ReadonlyMap<bigint, number>): boolean {
  return events.some((event) => event.kind === Kind.read && (news.get(event.address) ?? thread) !== thread);
}

/**
 * Adds what is written, and tells where that is new, and by whom. A run that came to nothing in the end has still written what it
 * wrote before.
 */
function addWritten(all: readonly (readonly Run[])[], domain: Domain): Map<bigint, number> {
  const news = new Map<bigint, number>();
  for (const [thread, runs] of all.entries()) {
    for (const { kind, address, value } of runs.flatMap(({ trace }) => trace.events)) {
      if (kind !== Kind.write) continue;
      let values = domain.get(address);
      if (values === undefined) domain.set(address, (values = new Map()));
      const writer = values.get(value) ?? thread;
      if (values.has(value) && (writer === thread || writer === anybody)) continue;
      values.set(value, writer === thread ? thread : anybody);
      news.set(address, (news.get(address) ?? thread) === thread ? thread : anybody);
    }
  }
  return news;
}

/** Runs the thread again and again, taking the next choice each time, until all are taken. */
class Chooser implements Oracle {
  readonly #test: LitmusTest;
  readonly #thread: number;
  readonly #domain: Domain;
  readonly #taken: number[] = [];
  readonly #counts: number[] = [];
  #at = 0;

  constructor(test: LitmusTest, thread: number, domain: Domain) {
    this.#test = test;
    this.#thread = thread;
    this.#domain = domain;
  }

  choose(count: number): number {
    if (this.#at === this.#taken.length) {
      this.#taken.push(0);
      this.#counts.push(count);
    }
    return this.#taken[this.#at++]!;
  }

  valuesAt(address: bigint, own: bigint | undefined): readonly bigint[] {
    const values = [own ?? this.#test.memory.initialCell(address)];
    for (const [value, writer] of this.#domain.get(address) ?? []) {
      if (writer !== this.#thread && value !== values[0]) values.push(value);
    }
    return values;
  }

  cell(address: bigint, bytes: number | undefined): number | undefined {
    return this.#test.memory.cell(address, bytes);
  }

  isAddress(value: bigint): boolean {
    return this.#test.memory.isPointer(value);
  }

  /** On to the next combination of choices; false where there is none. */
  advance(): boolean {
    this.#at = 0;
    while (this.#taken.length > 0) {
      const next = this.#taken.pop()! + 1;
      const count = this.#counts.pop()!;
      if (next >= count) continue;
      this.#taken.push(next);
      this.#counts.push(count);
      return true;
    }
    return false;
  }
}

interface Run {
  readonly trace: ThreadRun;
  readonly end: 'done' | 'cut' | 'strayed' | 'infeasible';
}

function allTraces(search: Search, domain: Domain, limit: number): Run[][] {
  return search.test.threads.map((_, thread) => tracesOf(search, thread, domain, limit));
}

function tracesOf({ test, dialect, work }: Search, thread: number, domain: Domain, limit: number): Run[] {
  const runs: Run[] = [];
  const chooser = new Chooser(test, thread, domain);
  const program = test.threads[thread]!;
  do {
    const trace = new ThreadRun(chooser, dialect, program.registers);
    runs.push({ trace, end: runToEnd(program, trace) });
    work.trace(trace.events.length);
    if (runs.length > limit) throw new LitmusLimitExceeded(`traces of P${thread}`, limit);
  } while (chooser.advance());
  return runs;
}

function runToEnd(program: ThreadProgram, trace: ThreadRun): Run['end'] {
  try {
    program.run(trace);
  } catch (thrown) {
    if (thrown === infeasible) return 'infeasible';
    if (thrown === strayed) return 'strayed';
    throw thrown;
  }
  return trace.cut ? 'cut' : 'done';
}
