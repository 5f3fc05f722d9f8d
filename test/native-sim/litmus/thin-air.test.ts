/**
 * Values out of thin air: those that the kernel's model allows are found, those that only a circle of copies would
 * justify are left out, and the report says so.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus, type Verdict } from '../../../native-sim/litmus/check.ts';
import type { ModelName } from '../../../native-sim/litmus/dialect.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict, verdictToJson } from '../../../native-sim/litmus/report.ts';

function check(left: string, right: string, condition: string, model?: ModelName): Verdict {
  const test = `C T\n{}\nP0(int *x, int *y) { int r1; int r2; ${left} }
P1(int *x, int *y) { int r1; int r2; ${right} }\n${condition}`;
  return checkLitmus(readLitmus(test), { model });
}

const hidden = 'r1 = 1; if (READ_ONCE(*x) == 0) r1 = 0; WRITE_ONCE(*y, r1);';
const copy = 'r1 = READ_ONCE(*y); WRITE_ONCE(*x, r1);';

describe('values out of thin air', () => {
  it('a branch that ends before the write hides the dependency from the kernel model', () => {
    expect(check(hidden, copy, 'exists (0:r1=1)').observation).toBe('Sometimes');
    expect(check(hidden, `smp_mb(); ${copy}`, 'exists (0:r1=1)').observation).toBe('Sometimes');
  });

  it('but a write inside the branch, or one that takes the value, is ordered', () => {
    expect(check('if (READ_ONCE(*x) == 7) WRITE_ONCE(*y, 7);', copy, 'exists (x=7)').observation).toBe('Never');
    expect(check('r1 = READ_ONCE(*x); WRITE_ONCE(*y, r1);', copy, 'exists (x=1)').observation).toBe('Never');
    expect(check(`smp_mb(); ${hidden.replace('WRITE', 'smp_mb(); WRITE')}`, copy, 'exists (x=1)').observation).toBe(
      'Never',
    );
  });

  it('the hardware models allow none', () => {
    for (const model of ['armv8', 'x86-tso', 'sc'] as const) {
      expect(check(hidden, copy, 'exists (0:r1=1)', model).observation).toBe('Never');
    }
  });

  it('plain accesses under a branch justify each other', () => {
    const guarded = (from: string, to: string): string => `r1 = *${from}; if (r1 == 42) *${to} = 42;`;
    expect(check(guarded('x', 'y'), guarded('y', 'x'), 'exists (x=42 /\\ y=42)').observation).toBe('Sometimes');
  });

  it('a compare-and-exchange that never matched may match a value from nowhere', () => {
    const left = 'r1 = cmpxchg_relaxed(x, 5, 6); r2 = 0; if (r1 == 5) r2 = 5; WRITE_ONCE(*y, r2);';
    expect(check(left, 'r1 = READ_ONCE(*y); WRITE_ONCE(*x, r1);', 'exists (0:r1=5)').observation).toBe('Sometimes');
  });

  it('a circle of copies justifies any value: it is kept as an unknown that equals no number', () => {
    const verdict = check('r1 = *x; *y = r1;', 'r1 = *y; *x = r1;', 'exists (x=1 \\/ 0:r1=42)');
    expect(verdict.observation).toBe('Never');
    expect(verdict.notes).toEqual(['in 1 executions a value comes out of thin air: it is shown as S']);
    const text = formatVerdict(verdict);
    expect(text).toContain('0:r1=S; [x]=S;');
    expect(text).toContain('\nNote in 1 executions');
    expect(verdictToJson(verdict, 'f')).toMatchObject({ notes: verdict.notes });
  });

  it('an unknown may be all that lets the rest happen', () => {
    // Each thread reads the other's copy, for its flag says that it was written: nothing but a circle is left.
    const thread = (mine: string, other: string, flag: string, seen: string): string =>
      `r1 = READ_ONCE(*${seen}); smp_rmb(); if (r1 == 1) r2 = READ_ONCE(*${other}); *${mine} = r2; smp_wmb(); WRITE_ONCE(*${flag}, 1);`;
    const test = `C T\n{}\nP0(int *a, int *b, int *x, int *y) { int r1; int r2; ${thread('b', 'a', 'y', 'x')} }
P1(int *a, int *b, int *x, int *y) { int r1; int r2; ${thread('a', 'b', 'x', 'y')} }
exists (0:r1=1 /\\ 1:r1=1)`;
    expect(checkLitmus(readLitmus(test)).observation).toBe('Sometimes');
  });

  it('what is calculated with an unknown is left out, with a note', () => {
    const verdict = check('r1 = *x; *y = r1 & 1;', 'r1 = *y; *x = r1;', 'exists (x=1)');
    expect(verdict.observation).toBe('Never');
    expect(verdict.notes).toEqual([
      'left out: executions in which a value comes out of thin air and is calculated with',
    ]);
  });

  it('too many to look for: the report says so', () => {
    const reads = Array.from({ length: 12 }, (_, at) => `r1 = READ_ONCE(*a${at}); if (r1 == ${at + 2}) r2 = 1;`);
    const parameters = reads.map((_, at) => `int *a${at}`).join(', ');
    const test = `C T\n{}\nP0(${parameters}, int *x) { int r1; int r2; ${reads.join(' ')} WRITE_ONCE(*x, r2); }
exists (x=1)`;
    expect(checkLitmus(readLitmus(test)).notes).toEqual(['values out of thin air were not looked for: too many']);
  });

  it('no note where there is nothing to note', () => {
    expect(check('WRITE_ONCE(*x, 1);', copy, 'exists (x=1)').notes).toEqual([]);
  });
});
