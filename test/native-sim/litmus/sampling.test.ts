/**
 * Tests with too many executions to list: one of each kind is looked for, and what cannot be is left early.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { type Condition, holds, mayBe } from '../../../native-sim/litmus/condition.ts';
import { LitmusLimitExceeded } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';

/** Threads that hand a value on: each may have read too early, so that there are 2 to the power of `length` executions. */
function chain(length: number, condition: string) {
  const links = Array.from({ length }, (_, at) => {
    return `P${at}(int *x${at}, int *x${at + 1}) { int t; t = READ_ONCE(*x${at}); WRITE_ONCE(*x${at + 1}, t); }`;
  });
  return readLitmus(`C chain\n{ x0 = 1; }\n${links.join('\n')}\n${condition}`);
}

const steps = 100_000;

describe('a test that is too large to list', () => {
  it('has the verdict that one execution of each kind gives', () => {
    const verdict = checkLitmus(chain(20, 'exists (x20=1)'), { steps });
    expect(verdict).toMatchObject({ observation: 'Sometimes', positive: 1, negative: 1, ok: true, sampled: true });
    expect(formatVerdict(verdict)).toContain('Note too many executions to list');
    expect(formatVerdict(verdict)).toContain('States 2\n[x20]=0;\n[x20]=1;\n');
  });

  it('is followed from the end to the beginning as well', () => {
    const condition = 'exists (0:t=1 /\\ 10:t=1 /\\ 19:t=1)';
    expect(checkLitmus(chain(20, condition), { steps })).toMatchObject({ observation: 'Sometimes', sampled: true });
  });

  it('is Never where nothing that may be satisfies the condition, and Always where all that may be does', () => {
    expect(checkLitmus(chain(20, 'exists (x20=2)'), { steps })).toMatchObject({
      observation: 'Never',
      positive: 0,
      negative: 1,
      ok: false,
      sampled: true,
    });
    expect(checkLitmus(chain(20, 'forall (x20=1 \\/ x20=0)'), { steps })).toMatchObject({
      observation: 'Always',
      negative: 0,
      ok: true,
    });
    // P0 has no choice but to write x1.
    expect(checkLitmus(chain(20, 'exists (x1=0)'), { steps })).toMatchObject({ observation: 'Never', sampled: true });
  });

  it('knows that a location may keep its first value', () => {
    const condition = 'exists (x20=1 /\\ z=0)';
    expect(checkLitmus(chain(20, condition), { steps })).toMatchObject({ observation: 'Sometimes', sampled: true });
  });

  it('looks only at executions that the filter lets through', () => {
    const verdict = checkLitmus(chain(20, 'filter (10:t=0)\nexists (x20=1)'), { steps });
    expect(verdict).toMatchObject({ observation: 'Never', positive: 0, negative: 1, sampled: true });
  });

  it('has no verdict where looking for one kind takes too long as well', () => {
    // That P0 sees 2 before 1 and P1 sees 1 before 2 breaks coherence, which no trace tells by itself.
    const writers = [2, 3, 4, 5, 6, 7].map((at) => `P${at}(int *x) { WRITE_ONCE(*x, ${at - 1}); }`).join('\n');
    const reader = (at: number): string => `P${at}(int *x) { int r0; int r1; r0 = READ_ONCE(*x); r1 = READ_ONCE(*x); }`;
    const end = 'exists (0:r0=2 /\\ 0:r1=1 /\\ 1:r0=1 /\\ 1:r1=2)';
    const test = readLitmus(`C incoherent\n{}\n${reader(0)}\n${reader(1)}\n${writers}\n${end}`);
    expect(() => checkLitmus(test, { steps: 2000 })).toThrow(LitmusLimitExceeded);
  });

  it('is no excuse for a test that can be listed', () => {
    expect(checkLitmus(chain(4, 'exists (x4=1)'))).toMatchObject({ positive: 1, negative: 7, sampled: false });
  });
});

describe('what a condition may turn out to be', () => {
  const memory = (address: bigint) => ({ kind: 'memory', address }) as const;
  const equal = (at: bigint, value: bigint): Condition => {
    return { kind: 'equal', location: memory(at), value, bits: undefined };
  };
  const both: Condition = { kind: 'equal', location: memory(0n), value: memory(1n), bits: undefined };
  const conditions: Condition[] = [equal(0n, 1n), equal(1n, 2n), both, { kind: 'true' }, { kind: 'false' }];
  for (const left of conditions.slice(0, 3)) {
    for (const right of conditions.slice(0, 5)) {
      conditions.push({ kind: 'and', operands: [left, right] }, { kind: 'or', operands: [left, right] });
      conditions.push({ kind: 'implies', left, right }, { kind: 'not', operand: left });
    }
  }

  it('is never ruled out if some values make it so; of one location, only then ruled in', () => {
    const sets = [[0n], [1n], [2n], [0n, 1n], [1n, 2n], [0n, 2n], [0n, 1n, 2n]];
    for (const condition of conditions) {
      for (const first of sets) {
        for (const second of sets) {
          const possible = (location: { kind: string }) =>
            'address' in location && location.address === 0n ? first : second;
          for (const wanted of [true, false]) {
            const can = first.some((a) =>
              second.some(
                (b) => holds(condition, (at) => (at.kind === 'memory' && at.address === 0n ? a : b)) === wanted,
              ),
            );
            if (can) expect(mayBe(wanted, condition, possible)).toBe(true);
            if (condition.kind === 'equal') expect(mayBe(wanted, condition, possible)).toBe(can);
          }
        }
      }
    }
  });

  it('is anything where a location may hold anything', () => {
    expect(mayBe(true, equal(0n, 5n), () => undefined)).toBe(true);
    expect(mayBe(false, both, () => undefined)).toBe(true);
  });
});
