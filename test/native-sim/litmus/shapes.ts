/**
 * Classic shapes of litmus tests, put together from the code between the two accesses of each thread, for machines whose
 * code is a table.
 */
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

/** Code of each thread, one instruction a string. */
export function assemblyTest(header: string, state: string, threads: readonly (readonly string[])[], end: string) {
  const rows = Math.max(...threads.map((code) => code.length));
  const table = Array.from({ length: rows }, (_, row) => `${threads.map((code) => code[row] ?? '').join(' | ')} ;`);
  const names = threads.map((_, thread) => `P${thread}`).join(' | ');
  return readLitmus(`${header} T\n{ ${state} }\n${names} ;\n${table.join('\n')}\n${end}`);
}

export interface Machine {
  readonly header: string;
  /** How a register that holds an address is called, and one that holds a value. */
  address(location: string): string;
  value(number: number): string;
  load(to: string, address: string): string;
  store(from: string, address: string): string;
  one(to: string): string;
}

/**
 * What stands between two accesses: instructions, and a store or load that instead of the plain one does its second
 * access, where the first needs to be depended on.
 */
export interface Between {
  readonly code: readonly string[];
  /** The register that addresses the second access, if not that of its location. */
  readonly through?: string;
  /** The register that the second access stores. */
  readonly storing?: string;
}

/** `R x 1`: read x, and see 1 in the end; `W x 1`: write 1 to x. One thread: two accesses with something between. */
export type Thread = readonly [first: string, between: Between, second: string] | readonly [only: string];

export function shape(machine: Machine, threads: readonly Thread[], final: readonly string[] = []): string {
  const locations = ['x', 'y', 'z'];
  const state = threads.flatMap((_, thread) => {
    return locations.map((location) => `${thread}:${machine.address(location)}=${location};`);
  });
  const seen: string[] = [...final];
  const codes = threads.map((thread, number) => {
    const code = [machine.one(machine.value(9))];
    const [first, between, second] = thread;
    const access = (text: string, at: number, how?: Between): void => {
      const [kind, location, value] = text.split(' ') as [string, string, string];
      const address = how?.through ?? machine.address(location);
      if (kind === 'W') {
        code.push(machine.store(how?.storing ?? machine.value(value === '2' ? 8 : 9), address));
        return;
      }
      code.push(machine.load(machine.value(at), address));
      seen.push(`${number}:${machine.value(at)}=${value}`);
    };
    access(first, 1);
    if (between !== undefined && second !== undefined) {
      code.push(...between.code);
      access(second, 2, between);
    }
    return code;
  });
  const twos = threads.map((_, number) => `${number}:${machine.value(8)}=2;`);
  const test = assemblyTest(machine.header, [...state, ...twos].join(' '), codes, `exists (${seen.join(' /\\ ')})`);
  return checkLitmus(test).observation;
}

export const shapes = {
  SB: (a: Between, b: Between): Thread[] => [
    ['W x 1', a, 'R y 0'],
    ['W y 1', b, 'R x 0'],
  ],
  MP: (a: Between, b: Between): Thread[] => [
    ['W x 1', a, 'W y 1'],
    ['R y 1', b, 'R x 0'],
  ],
  LB: (a: Between, b: Between): Thread[] => [
    ['R x 1', a, 'W y 1'],
    ['R y 1', b, 'W x 1'],
  ],
  WRC: (a: Between, b: Between): Thread[] => [['W x 1'], ['R x 1', a, 'W y 1'], ['R y 1', b, 'R x 0']],
  ISA2: (a: Between, b: Between, c: Between): Thread[] => [
    ['W x 1', a, 'W y 1'],
    ['R y 1', b, 'W z 1'],
    ['R z 1', c, 'R x 0'],
  ],
  IRIW: (a: Between, b: Between): Thread[] => [['W x 1'], ['R x 1', a, 'R y 0'], ['W y 1'], ['R y 1', b, 'R x 0']],
  RWC: (a: Between, b: Between): Thread[] => [['W x 1'], ['R x 1', a, 'R y 0'], ['W y 1', b, 'R x 0']],
  /** To be asked with y=2 in the end. */
  R: (a: Between, b: Between): Thread[] => [
    ['W x 1', a, 'W y 1'],
    ['W y 2', b, 'R x 0'],
  ],
  /** With x=2 in the end. */
  S: (a: Between, b: Between): Thread[] => [
    ['W x 2', a, 'W y 1'],
    ['R y 1', b, 'W x 1'],
  ],
  /** With x=2 and y=2 in the end. */
  '2+2W': (a: Between, b: Between): Thread[] => [
    ['W x 2', a, 'W y 1'],
    ['W y 2', b, 'W x 1'],
  ],
};

export const finals: Readonly<Record<string, readonly string[]>> = {
  R: ['y=2'],
  S: ['x=2'],
  '2+2W': ['x=2', 'y=2'],
};
