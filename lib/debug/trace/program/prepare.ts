/** From the text of a program to one that may run. */
import { HoldfastError, shown } from '../../../errors.ts';
import { shownInstruction } from './instructions.ts';
import { programOf } from './language/generator.ts';
import { fail } from './language/source.ts';
import { codeOf, fieldsOf, type Program } from './program.ts';
import { verify } from './verifier.ts';

const LONGEST_SOURCE = 1 << 16;

export interface Prepared {
  readonly program: Program;
  /** The most instructions that an event takes. */
  readonly steps: number;
}

/** Throws EINVAL for what is no program, and for one that the verifier rejects: with line, column and reason. */
export function prepare(source: string): Prepared {
  if (typeof source !== 'string' || source.length > LONGEST_SOURCE) {
    throw new HoldfastError(
      'EINVAL',
      `a trace program is a text of at most ${LONGEST_SOURCE} characters, received ${shown(source)}`,
    );
  }
  const program = programOf(source);
  let steps = 0;
  for (const probe of program.probes) {
    const code = codeOf(program, probe);
    const verdict = verify(code, { ...program, fields: fieldsOf(probe), texts: program.texts.length });
    if ('reason' in verdict) {
      const at = code[verdict.instruction];
      const place = at === undefined ? '' : ` (${shownInstruction(at)})`;
      fail(
        source,
        at?.at ?? 0,
        `the verifier rejects instruction ${verdict.instruction}${place} of ${probe.name}: ${verdict.reason}`,
      );
    }
    steps = Math.max(steps, verdict.steps);
  }
  return { program, steps };
}
