/**
 * Verdicts as herd prints them, and as JSON.
 */
import type { Verdict } from './check.ts';
import type { Condition, FinalLocation } from './condition.ts';
import type { LitmusTest } from './test-file.ts';

const claims = { exists: 'Allowed', '~exists': 'Forbidden', forall: 'Required' } as const;

export function showLocation(location: FinalLocation, test: LitmusTest): string {
  if (location.kind === 'register') return `${location.thread}:${location.register}`;
  const name = test.memory.show(location.address);
  return name.includes('[') ? name : `[${name}]`;
}

export function showCondition(condition: Condition, test: LitmusTest): string {
  switch (condition.kind) {
    case 'true':
    case 'false':
      return condition.kind;
    case 'not':
      return `not (${showCondition(condition.operand, test)})`;
    case 'implies': {
      const side = (operand: Condition): string => {
        const text = showCondition(operand, test);
        return operand.kind === 'equal' || operand.kind === 'not' ? text : `(${text})`;
      };
      return `${side(condition.left)} => ${side(condition.right)}`;
    }
    case 'and':
    case 'or': {
      const side = (operand: Condition): string => {
        const text = showCondition(operand, test);
        const nested = condition.kind === 'and' && operand.kind === 'or';
        return nested ? `(${text})` : text;
      };
      return condition.operands.map(side).join(condition.kind === 'and' ? ' /\\ ' : ' \\/ ');
    }
    case 'equal': {
      const { value } = condition;
      const right = typeof value === 'bigint' ? test.memory.show(value) : showLocation(value, test);
      return `${showLocation(condition.location, test)}=${right}`;
    }
  }
}

/** A state's values, `0:r1=0; [x]=1;`. */
function showState(verdict: Verdict, values: readonly bigint[]): string {
  return verdict.locations
    .map((location, at) => `${showLocation(location, verdict.test)}=${verdict.test.memory.show(values[at]!)};`)
    .join(' ');
}

export function formatVerdict(verdict: Verdict): string {
  const { test } = verdict;
  const satisfied = test.quantifier === '~exists' ? verdict.negative : verdict.positive;
  const dissatisfied = test.quantifier === '~exists' ? verdict.positive : verdict.negative;
  const lines = [
    `Test ${test.name} ${claims[test.quantifier]}`,
    `States ${verdict.states.length}`,
    ...verdict.states.map((state) => showState(verdict, state.values)),
    `${verdict.cut ? 'Loop ' : ''}${verdict.ok ? 'Ok' : 'No'}`,
    'Witnesses',
    `Positive: ${satisfied} Negative: ${dissatisfied}`,
    ...verdict.flags.map((flag) => `Flag ${flag}`),
    ...verdict.notes.map((note) => `Note ${note}`),
    `Condition ${test.quantifier} (${showCondition(test.condition, test)})`,
    `Observation ${test.name} ${verdict.observation} ${verdict.positive} ${verdict.negative}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** What `--json` prints for one test. */
export function verdictToJson(verdict: Verdict, file: string): object {
  const { test } = verdict;
  return {
    file,
    test: test.name,
    architecture: test.architecture,
    model: verdict.model,
    condition: `${test.quantifier} (${showCondition(test.condition, test)})`,
    observation: verdict.observation,
    ok: verdict.ok,
    positive: verdict.positive,
    negative: verdict.negative,
    flags: verdict.flags,
    notes: verdict.notes,
    sampled: verdict.sampled,
    unrolled: verdict.cut,
    candidates: verdict.candidates,
    states: verdict.states.map((state) => ({
      executions: state.executions,
      satisfies: state.satisfies,
      values: Object.fromEntries(
        verdict.locations.map((location, at) => [showLocation(location, test), test.memory.show(state.values[at]!)]),
      ),
    })),
  };
}
