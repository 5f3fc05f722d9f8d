import { expect, test } from 'vitest';
import { checkLitmus, readLitmus } from '../../../native-sim/litmus/index.ts';

test('an atomic read of an ordinary write that does not happen before it is not put before later atomic writes', () => {
  const racy = readLitmus(`C SB+plain-first
{}
P0(int *x, int *y) { int r0; *x = 1; WRITE_ONCE(*x, 2); r0 = READ_ONCE(*y); }
P1(int *x, int *y) { int r1; WRITE_ONCE(*y, 1); r1 = READ_ONCE(*x); }
exists (0:r0=0 /\\ 1:r1=1)`);
  expect(checkLitmus(racy, { model: 'javascript' }).observation).toBe('Sometimes');
});
