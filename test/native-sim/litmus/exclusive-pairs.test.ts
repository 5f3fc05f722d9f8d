/** AArch64's exclusive pairs, LDXP and STXP: one access of twice a register's width. */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { assemblyTest } from './shapes.ts';

const state = 'int64_t t[2]; 0:X1=t; 1:X1=t; int64_t 0:X2; int64_t 0:X3; int64_t 1:X2; int64_t 1:X3;';
const run = (threads: readonly (readonly string[])[], end: string) =>
  checkLitmus(assemblyTest('AArch64', state, threads, end));

const swap = (first: number, second: number) => [
  `MOV X4,#${first}`,
  `MOV X5,#${second}`,
  'LDXP X2,X3,[X1]',
  'STXP W6,X4,X5,[X1]',
];

describe('an exclusive pair', () => {
  it('is stored as a whole, after what was loaded as a whole: of two that succeed one has seen the other', () => {
    const end = `forall ((0:X6=0 /\\ 1:X6=0) =>
  ((0:X2=0 /\\ 0:X3=0 /\\ 1:X2=1 /\\ 1:X3=2) \\/ (0:X2=3 /\\ 0:X3=4 /\\ 1:X2=0 /\\ 1:X3=0)))`;
    // Both succeed, in two orders; one does, before or after the other's load; none does.
    expect(run([swap(1, 2), swap(3, 4)], end)).toMatchObject({ observation: 'Always', positive: 7 });
    const torn = 'exists (1:X6=0 /\\ 0:X6=0 /\\ ~((t[0]=1 /\\ t[1]=2) \\/ (t[0]=3 /\\ t[1]=4)))';
    expect(run([swap(1, 2), swap(3, 4)], torn).observation).toBe('Never');
  });

  it('may be read half way by a pair that is not exclusive', () => {
    const verdict = run([swap(1, 2), ['LDP X2,X3,[X1]']], 'exists (0:X6=0 /\\ 1:X2=1 /\\ 1:X3=0)');
    expect(verdict.observation).toBe('Sometimes');
    const whole = run([swap(1, 2), ['LDXP X2,X3,[X1]']], 'exists (0:X6=0 /\\ 1:X2=1 /\\ 1:X3=0)');
    expect(whole.observation).toBe('Never');
  });

  it('acquires and releases', () => {
    const data = 'int64_t t[2]; 0:X1=t; 1:X1=t; 0:X8=y; 1:X8=y;';
    const publish = (store: string) => [
      'MOV W9,#1',
      'STR W9,[X8]',
      'MOV X4,#1',
      'LDXP X2,X3,[X1]',
      `${store} W6,X4,X4,[X1]`,
    ];
    const look = (load: string) => [`${load} X2,X3,[X1]`, 'LDR W10,[X8]'];
    const verdict = (store: string, load: string): string => {
      const test = assemblyTest('AArch64', data, [publish(store), look(load)], 'exists (1:X3=1 /\\ 1:X10=0)');
      return checkLitmus(test).observation;
    };
    expect(verdict('STLXP', 'LDAXP')).toBe('Never');
    expect(verdict('STXP', 'LDAXP')).toBe('Sometimes');
    expect(verdict('STLXP', 'LDXP')).toBe('Sometimes');
  });

  it('is no pair with an exclusive load or store of another size: the store fails', () => {
    expect(run([['LDXP X2,X3,[X1]', 'STXR W6,X2,[X1]']], 'forall (0:X6=1)').observation).toBe('Always');
    expect(run([['LDXR X2,[X1]', 'STXP W6,X2,X2,[X1]']], 'forall (0:X6=1)').observation).toBe('Always');
  });

  it('of words is as wide as a double word', () => {
    const words = 'int t[2]={5,6}; 0:X1=t;';
    const code = ['LDXP W2,W3,[X1]', 'STXP W6,W3,W2,[X1]'];
    const test = assemblyTest(
      'AArch64',
      words,
      [code],
      'forall (0:X2=5 /\\ 0:X3=6 /\\ (0:X6=1 \\/ (t[0]=6 /\\ t[1]=5)))',
    );
    expect(checkLitmus(test)).toMatchObject({ observation: 'Always', positive: 2 });
  });
});

it.each([
  ['CMP W1,#0', 6],
  ['CMP W1,#1', 8],
])('MRS X0,NZCV reads the flags: %s', (compare, value) => {
  const test = assemblyTest(
    'AArch64',
    'int64_t 0:X0;',
    [[compare, 'MRS X0,NZCV', 'LSR X0,X0,#28']],
    `forall (0:X0=${value})`,
  );
  expect(checkLitmus(test).observation).toBe('Always');
});
