/**
 * Each choice of one trace per thread in which every value read is initial or written by someone, and no more atomic
 * read-modify-writes take a value than there are writes of it: each of those is overwritten at once, in memory's order.
 */
import { Kind } from '../models/execution.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace } from './thread-run.ts';
import type { Work } from './work.ts';

interface Summary<T extends Trace> {
  readonly trace: T;
  /** What the trace reads that is not initial, writes, and takes by atomic read-modify-write, as numbers of cells. */
  readonly needs: readonly number[];
  readonly gives: readonly number[];
  readonly takes: readonly number[];
}

/** Cells, "this value at this address", by number. */
class Numbering {
  readonly #numbers = new Map<string, number>();

  of(event: { readonly address: bigint; readonly value: bigint }): number {
    const key = `${event.address}=${event.value}`;
    let number = this.#numbers.get(key);
    if (number === undefined) this.#numbers.set(key, (number = this.#numbers.size));
    return number;
  }

  get size(): number {
    return this.#numbers.size;
  }
}

function summarize<T extends Trace>(trace: T, test: LitmusTest, cells: Numbering, isInitial: Set<number>): Summary<T> {
  const needs = new Set<number>();
  const gives: number[] = [];
  const takes: number[] = [];
  trace.events.forEach((event, at) => {
    if (event.kind === Kind.fence) return;
    const cell = cells.of(event);
    if (event.kind === Kind.write) {
      gives.push(cell);
      // With an access in between, the pair may have a write of its own thread in between too.
      if (event.rmw >= 0 && event.rmw === at - 1) takes.push(cells.of(trace.events[at - 1]!));
    } else if (event.value === test.memory.initialCell(event.address)) isInitial.add(cell);
    else needs.add(cell);
  });
  return { trace, needs: [...needs], gives, takes };
}

export function forEachCombination<T extends Trace>(
  test: LitmusTest,
  byThread: readonly (readonly T[])[],
  work: Work,
  visit: (chosen: readonly T[]) => void,
): void {
  const cells = new Numbering();
  const initial = new Set<number>();
  const summaries = byThread.map((traces) => traces.map((trace) => summarize(trace, test, cells, initial)));
  const supplies = suppliesOf(summaries, cells.size);
  /** How often each cell is written, and taken, by what is chosen so far. */
  const given = new Int32Array(cells.size);
  const taken = new Int32Array(cells.size);
  for (const cell of initial) given[cell]!++;
  const chosen: T[] = [];

  const isHopeful = (needs: readonly number[], supply: Int32Array): boolean =>
    needs.every((cell) => given[cell]! > 0 || supply[cell]! > 0);

  const choose = (thread: number, open: readonly number[], takes: readonly number[]): void => {
    if (thread === summaries.length) {
      visit(chosen);
      return;
    }
    const supply = supplies[thread + 1]!;
    for (const { trace, needs, gives, takes: more } of summaries[thread]!) {
      work.step();
      for (const cell of gives) given[cell]!++;
      for (const cell of more) taken[cell]!++;
      const allTakes = more.length === 0 ? takes : [...takes, ...more];
      const fits = allTakes.every((cell) => taken[cell]! <= given[cell]! + supply[cell]!);
      if (fits && isHopeful(open, supply) && isHopeful(needs, supply)) {
        const stillOpen = [...open, ...needs].filter((cell) => given[cell] === 0);
        chosen.push(trace);
        choose(thread + 1, stillOpen, allTakes);
        chosen.pop();
      }
      for (const cell of gives) given[cell]!--;
      for (const cell of more) taken[cell]!--;
    }
  };
  choose(0, [], []);
}

/** For each thread, how often that one and those after it can write each cell, at most. */
function suppliesOf(summaries: readonly (readonly Summary<Trace>[])[], cells: number): Int32Array[] {
  const supplies = [new Int32Array(cells)];
  for (let thread = summaries.length - 1; thread >= 0; thread--) {
    const most = new Map<number, number>();
    for (const { gives } of summaries[thread]!) {
      for (const cell of gives) {
        const count = gives.reduce((sum, given) => sum + (given === cell ? 1 : 0), 0);
        most.set(cell, Math.max(most.get(cell) ?? 0, count));
      }
    }
    const supply = supplies[0]!.slice();
    for (const [cell, count] of most) supply[cell]! += count;
    supplies.unshift(supply);
  }
  return supplies;
}
