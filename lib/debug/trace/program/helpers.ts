/**
 * What a program can call. `off` of the call says which map or format it is about; keys are in r1 to r4, a value in r5, an array's index
 * in r1. Nothing that is called waits, allocates in the arena's heap, or tells of events itself.
 */
import { type Format, isShared, type MapSpec, type ValueType } from './program.ts';

export const Helper = {
  /** The name of a lock: a text. */
  lockName: 0,
  /** What kind of object it is: a text. */
  lockKind: 1,
  /** Where the thread's program is: a stack. It takes some microseconds. */
  stack: 2,
  /** The value of a shared map, 0 where there is none. */
  mapGet: 3,
  mapSet: 4,
  /** Adds to the value, as one step. */
  mapAdd: 5,
  mapDelete: 6,
  /** Adds to what a thread keeps: one of a count, or the value in r5. */
  mapUpdate: 7,
  /** A line of output. */
  print: 8,
  /** The thread that reads the output prints the map, forgets what is in it, or ends the program. */
  printMap: 9,
  clearMap: 10,
  end: 11,
} as const;

export const HELPER_NAMES = Object.keys(Helper);

/** What a call takes and returns; a message where it makes no sense. */
export interface Signature {
  readonly takes: readonly { readonly register: number; readonly type: ValueType; readonly below?: number }[];
  /** Undefined: r0 is 0. */
  readonly returns?: ValueType;
}

export interface Named {
  readonly maps: readonly MapSpec[];
  readonly formats: readonly Format[];
}

const LOCK: Signature = { takes: [{ register: 1, type: 'lock' }], returns: 'text' };
const NOTHING: Signature = { takes: [] };
const VALUE_REGISTER = 5;

export function signatureOf(helper: number, off: number, { maps, formats }: Named): Signature | string {
  switch (helper) {
    case Helper.lockName:
    case Helper.lockKind:
      return LOCK;
    case Helper.stack:
      return { takes: [], returns: 'stack' };
    case Helper.end:
      return NOTHING;
    case Helper.print: {
      const format = formats[off];
      if (format === undefined) return `there is no format ${off}`;
      return { takes: format.arguments.map((type, i) => ({ register: 1 + i, type })) };
    }
  }
  const map = maps[off];
  if (HELPER_NAMES[helper] === undefined) return `there is no helper ${helper}`;
  if (map === undefined) return `there is no map ${off}`;
  return ofMap(helper, map);
}

function ofMap(helper: number, map: MapSpec): Signature | string {
  const named = `the map @${map.name}`;
  if (helper === Helper.printMap || helper === Helper.clearMap) return NOTHING;
  const keys = map.isArray
    ? [{ register: 1, type: 'number' as const, below: map.entries }]
    : map.keys.map((type, i) => ({ register: 1 + i, type }));
  if (helper === Helper.mapDelete) return { takes: keys };
  if (helper === Helper.mapUpdate) {
    if (isShared(map)) return `${named} keeps what is stored, and has nothing to add to`;
    const value = map.value === 'count' ? [] : [{ register: VALUE_REGISTER, type: 'number' as const }];
    return { takes: [...keys, ...value] };
  }
  if (!isShared(map)) return `${named} is a ${map.value} of each thread's, and can't be read or stored to`;
  const { type } = map;
  if (helper === Helper.mapGet) return { takes: keys, returns: type };
  if (helper === Helper.mapAdd && type !== 'number') return `${named} has values that are no numbers`;
  return { takes: [...keys, { register: VALUE_REGISTER, type }] };
}
