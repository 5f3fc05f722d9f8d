/** What a trace program is: its code, and what the code names. It lies in shared memory in this form; see `layout.ts`. */
import { POINTS } from '../points.ts';
import { type Instruction, THREAD, TIME } from './instructions.ts';

/**
 * What a register holds. Numbers can be computed with; the others can be compared, be keys, be printed and be passed to helpers only, so
 * that no program makes up a lock.
 *
 *   lock    a number of the trace's table of locks, 0 for none
 *   stack   a number of its table of stacks, 0 for none
 *   text    a number of the program's own table of texts, 0 for none
 */
export type ValueType = 'number' | 'lock' | 'stack' | 'text';

/** What a map keeps for each key. `number`: what was stored last, whichever thread did. The others are added to. */
export type MapValue = 'number' | 'count' | 'sum' | 'avg' | 'min' | 'max' | 'stats' | 'hist' | 'lhist';

export const MOST_KEYS = 4;
export const MOST_MAPS = 16;
/** Arguments of a line of output. */
export const MOST_ARGUMENTS = 5;

export interface MapSpec {
  /** '' for `@`. */
  readonly name: string;
  /** What its keys are made of; none for a map of one value, and for an array. */
  readonly keys: readonly ValueType[];
  /** An array's key is a whole number below `entries`: the verifier sees to that, so a program never looks for it. */
  readonly isArray: boolean;
  readonly entries: number;
  readonly value: MapValue;
  /** Of the values of a `number` map. */
  readonly type: ValueType;
  /** Buckets of an `lhist` map. */
  readonly linear?: { readonly min: number; readonly max: number; readonly step: number };
}

/** A line of output: pieces of text, and between two of them an argument. */
export interface Format {
  readonly pieces: readonly string[];
  readonly arguments: readonly ValueType[];
  /** By argument: `d`, `x` or `s`, and before it how wide it is at least: less than 0 to be on the left. */
  readonly as: readonly { readonly form: 'd' | 'x' | 's'; readonly width: number }[];
}

export type Probe = {
  /** As the source has it. */
  readonly name: string;
  /** Its instructions in the program's. */
  readonly start: number;
  readonly length: number;
} & (
  | { readonly on: 'point'; readonly point: number }
  | { readonly on: 'begin' | 'end' }
  | { readonly on: 'interval'; readonly ms: number }
);

export interface Program {
  readonly probes: readonly Probe[];
  readonly code: readonly Instruction[];
  readonly maps: readonly MapSpec[];
  readonly formats: readonly Format[];
  readonly texts: readonly string[];
}

/** A map whose values all threads add to has a part for each of them; what is stored is in one place. */
export function isShared({ value }: MapSpec): boolean {
  return value === 'number';
}

/** The fields that a probe's code may load: their types, by `imm` of the instruction. */
export function fieldsOf(probe: Probe): Readonly<Record<number, { type: ValueType; most: number }>> {
  const fields: Record<number, { type: ValueType; most: number }> = {
    [TIME]: { type: 'number', most: Number.MAX_SAFE_INTEGER },
    [THREAD]: { type: 'number', most: 2 ** 10 - 1 },
  };
  if (probe.on !== 'point') return fields;
  for (const [i, { type }] of (POINTS[probe.point]?.fields ?? []).entries()) {
    const isNumber = type === 'u32' || type === 'u64';
    fields[i] = {
      type: isNumber ? 'number' : type,
      most: type === 'u64' ? Number.MAX_SAFE_INTEGER : 2 ** 32 - 1,
    };
  }
  return fields;
}

export function codeOf({ code }: Program, { start, length }: Probe): readonly Instruction[] {
  return code.slice(start, start + length);
}
