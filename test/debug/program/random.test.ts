/** Programs that the verifier accepts do no harm, and do the same compiled and interpreted. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compile } from '../../../lib/debug/trace/program/compiler.ts';
import { Helper } from '../../../lib/debug/trace/program/helpers.ts';
import { IMM, Op } from '../../../lib/debug/trace/program/instructions.ts';
import { interpret } from '../../../lib/debug/trace/program/interpreter.ts';
import { LARGEST } from '../../../lib/debug/trace/program/numbers.ts';
import { computed } from '../../../lib/debug/trace/program/values.ts';
import { MOST_STEPS, verify } from '../../../lib/debug/trace/program/verifier.ts';
import { EVENT, instruction, noting, program, SCOPE } from './programs.ts';

const PROGRAMS = 6_000;

test('a program that is accepted and runs too long, out of bounds, or differently when it is compiled', () => {
  let accepted = 0;
  fc.assert(
    fc.property(program, (code) => {
      const verdict = verify(code, SCOPE);
      if ('reason' in verdict) {
        expect(verdict.instruction).toBeLessThan(code.length);
        return;
      }
      accepted++;
      const { time, fields } = EVENT;
      const [interpreted, compiled]: [string[], string[]] = [[], []];
      let steps = 0;
      const run = interpret(code, noting(interpreted), () => {
        if (++steps > verdict.steps) throw new Error(`more than the ${verdict.steps} steps that the verifier has seen`);
      });
      run(time, ...fields);
      expect(steps).toBeLessThanOrEqual(MOST_STEPS);
      compile(code, SCOPE, noting(compiled))?.(time, ...fields);
      expect(compiled).toEqual(interpreted);
      // Out of bounds there is nothing: it would be in an argument.
      for (const call of interpreted) expect(call).not.toMatch(/NaN|undefined|Infinity/);
    }),
    { numRuns: PROGRAMS, seed: 14, verbose: 0 },
  );
  expect(accepted).toBeGreaterThan(PROGRAMS / 10);
});

test('an operation that is another one interpreted, compiled, or in the verifier', () => {
  const numbers = [0, 1, -1, 7, -7, 31, 33, 2 ** 31, 2 ** 32 + 5, -(2 ** 40) - 3, LARGEST, -LARGEST];
  for (let op: number = Op.add; op <= Op.rsh; op++) {
    for (const [a, b] of numbers.flatMap((a) => numbers.map((b) => [a, b] as const))) {
      const set = (dst: number, imm: number) => instruction(Op.mov | IMM, { dst, imm });
      const store = [instruction(Op.call, { imm: Helper.mapSet, off: 0 }), instruction(Op.exit)];
      const code = [set(5, a), set(2, b), instruction(op, { dst: 5, src: 2 }), set(1, 0), ...store];
      const immediate = [set(5, a), instruction(op | IMM, { dst: 5, imm: b }), set(1, 0), ...store];
      for (const program of [code, immediate]) {
        const [interpreted, compiled]: [string[], string[]] = [[], []];
        interpret(program, noting(interpreted))(EVENT.time, ...EVENT.fields);
        compile(program, SCOPE, noting(compiled))?.(EVENT.time, ...EVENT.fields);
        expect(compiled).toEqual([`set 0 0,${computed(op, a, b)}`]);
        expect(interpreted).toEqual(compiled);
      }
    }
  }
});
