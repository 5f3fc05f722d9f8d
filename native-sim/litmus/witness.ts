/**
 * Looks for one execution that satisfies a condition, or that does not, in a test that has too many to list. What cannot
 * end like that is left as soon as it can be told: by the values that registers and locations may yet end with, of which there
 * are fewer with every trace that is chosen.
 */
import { Kind, type Model } from '../models/execution.ts';
import { finalRegister, forEachExecution } from './candidates.ts';
import type { Possible } from './combinations.ts';
import { type FinalLocation, holds, mayBe, type PossibleValues } from './condition.ts';
import type { Dialect } from './dialect.ts';
import type { LitmusTest } from './test-file.ts';
import type { Trace } from './thread-run.ts';
import type { Work } from './work.ts';

const found = Symbol('found');

/** The values of `shown` in an execution in which the condition is `wanted`; undefined: there is none. */
export function findWitness(
  test: LitmusTest,
  model: Model,
  dialect: Dialect,
  wanted: boolean,
  shown: readonly FinalLocation[],
  work: Work,
): readonly bigint[] | undefined {
  const { condition, filter } = test;
  let values: readonly bigint[] | undefined;
  const isPromising = (traces: Possible<Trace>): boolean => {
    const possible = possibleValues(test, traces);
    return mayBe(wanted, condition, possible) && (filter === undefined || mayBe(true, filter, possible));
  };
  try {
    forEachExecution(
      test,
      model,
      dialect,
      (final) => {
        if (holds(condition, final) !== wanted || (filter !== undefined && !holds(filter, final))) return;
        values = shown.map(final);
        throw found;
      },
      work,
      { isPromising },
    );
  } catch (thrown) {
    if (thrown !== found) throw thrown;
  }
  return values;
}

function possibleValues(test: LitmusTest, traces: Possible<Trace>): PossibleValues {
  return (location) => {
    if (location.kind === 'register') {
      const { thread, register } = location;
      return traces(thread).map((trace) => finalRegister(test, trace, thread, register));
    }
    return finalInMemory(test, traces, location.address);
  };
}

/** The initial value, where some thread may not write, and all that may be written. */
function finalInMemory(test: LitmusTest, traces: Possible<Trace>, address: bigint): readonly bigint[] | undefined {
  const { memory } = test;
  if (!memory.isOneCell(address)) return undefined;
  const values = new Set<bigint>();
  let isSurelyWritten = false;
  for (let thread = 0; thread < test.threads.length; thread++) {
    const writing = traces(thread).map((trace) => {
      const writes = trace.events.filter((event) => event.kind === Kind.write && event.address === address);
      for (const { value } of writes) values.add(value);
      return writes.length > 0;
    });
    isSurelyWritten ||= writing.every((writes) => writes);
  }
  if (!isSurelyWritten) values.add(memory.initialCell(address));
  return [...values].map((value) => memory.finalValue(address, () => value));
}
