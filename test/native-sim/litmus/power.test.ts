/**
 * Power: the verdicts of "Herding cats" and of "A tutorial introduction to the ARM and POWER relaxed memory models", and
 * what each instruction does.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { UnsupportedConstruct } from '../../../native-sim/litmus/errors.ts';
import { assemblyTest, type Between, finals, type Machine, shape, shapes } from './shapes.ts';

const machine: Machine = {
  header: 'PPC',
  address: (location) => ({ x: 'r20', y: 'r21', z: 'r22' })[location]!,
  value: (number) => `r${number}`,
  load: (to, address) => (address.includes(',') ? `lwzx ${to},${address}` : `lwz ${to},0(${address})`),
  store: (from, address) => (address.includes(',') ? `stwx ${from},${address}` : `stw ${from},0(${address})`),
  one: (to) => `li ${to},1`,
};

const betweens: Readonly<Record<string, (second: string) => Between>> = {
  po: () => ({ code: [] }),
  sync: () => ({ code: ['sync'] }),
  lwsync: () => ({ code: ['lwsync'] }),
  eieio: () => ({ code: ['eieio'] }),
  isync: () => ({ code: ['isync'] }),
  addr: (second) => ({ code: ['xor r3,r1,r1'], through: `r3,${machine.address(second)}` }),
  data: () => ({ code: ['xor r3,r1,r1', 'addi r3,r3,1'], storing: 'r3' }),
  ctrl: () => ({ code: ['cmpw r1,r1', 'beq L', 'L:'] }),
  ctrlisync: () => ({ code: ['cmpw r1,r1', 'beq L', 'L: isync'] }),
};

function verdict(name: keyof typeof shapes, between: readonly string[]): string {
  const plain = shapes[name] as (...b: Between[]) => ReturnType<(typeof shapes)['SB']>;
  const none: Between = { code: [] };
  let next = 0;
  const threads = plain(none, none, none).map((thread) => {
    if (thread.length === 1) return thread;
    const made = betweens[between[next++]!]!(thread[2].split(' ')[1]!);
    return [thread[0], made, thread[2]] as const;
  });
  return shape(machine, threads, finals[name]);
}

describe('Power', () => {
  it.each([
    ['SB', 'sync sync', 'Never'],
    ['SB', 'lwsync lwsync', 'Sometimes'],
    ['SB', 'sync lwsync', 'Sometimes'],
    ['MP', 'po addr', 'Sometimes'],
    ['MP', 'lwsync po', 'Sometimes'],
    ['MP', 'lwsync addr', 'Never'],
    ['MP', 'sync addr', 'Never'],
    ['MP', 'eieio addr', 'Never'],
    ['MP', 'isync addr', 'Sometimes'],
    ['MP', 'lwsync lwsync', 'Never'],
    ['MP', 'lwsync eieio', 'Sometimes'],
    ['MP', 'lwsync ctrl', 'Sometimes'],
    ['MP', 'lwsync ctrlisync', 'Never'],
    ['LB', 'po po', 'Sometimes'],
    ['LB', 'data po', 'Sometimes'],
    ['LB', 'data data', 'Never'],
    ['LB', 'addr addr', 'Never'],
    ['LB', 'ctrl ctrl', 'Never'],
    ['LB', 'lwsync data', 'Never'],
    ['WRC', 'addr addr', 'Sometimes'],
    ['WRC', 'lwsync addr', 'Never'],
    ['WRC', 'data lwsync', 'Sometimes'],
    ['ISA2', 'lwsync data addr', 'Never'],
    ['ISA2', 'data data addr', 'Sometimes'],
    ['IRIW', 'addr addr', 'Sometimes'],
    ['IRIW', 'lwsync lwsync', 'Sometimes'],
    ['IRIW', 'sync sync', 'Never'],
    ['IRIW', 'sync lwsync', 'Sometimes'],
    ['RWC', 'sync sync', 'Never'],
    ['RWC', 'lwsync sync', 'Sometimes'],
    ['R', 'sync sync', 'Never'],
    ['R', 'lwsync sync', 'Sometimes'],
    ['S', 'lwsync data', 'Never'],
    ['S', 'lwsync po', 'Sometimes'],
    ['2+2W', 'lwsync lwsync', 'Never'],
    ['2+2W', 'eieio eieio', 'Never'],
    ['2+2W', 'lwsync po', 'Sometimes'],
  ] as const)('%s+%s is %s', (name, between, expected) => {
    expect(verdict(name, between.split(' '))).toBe(expected);
  });

  const writer = ['li r9,1', 'stw r9,0(r20)', 'lwsync', 'stw r9,0(r21)'];
  const state = (threads: number): string =>
    Array.from({ length: threads }, (_, t) => `${t}:r20=x; ${t}:r21=y; ${t}:r22=z;`).join(' ');
  const afterFlag = (...code: string[]): string =>
    checkLitmus(
      assemblyTest('PPC', state(2), [writer, ['li r9,1', 'lwz r1,0(r21)', ...code]], 'exists (1:r1=1 /\\ 1:r6=0)'),
    ).observation;

  const readOn = ['lwz r5,0(r22)', 'xor r7,r5,r5', 'lwzx r6,r7,r20'];

  it('a write that a branch guards may be read early by its own thread (PPOCA), not one with a dependent address', () => {
    expect(afterFlag('cmpw r1,r1', 'beq L', 'L: stw r9,0(r22)', ...readOn)).toBe('Sometimes');
    expect(afterFlag('xor r3,r1,r1', 'stwx r9,r3,r22', ...readOn)).toBe('Never');
  });

  it('two reads of one location are ordered if they read different writes (RDW), not if the same (RSW)', () => {
    const reader = ['lwz r1,0(r21)', 'xor r3,r1,r1', 'lwzx r4,r3,r22', ...readOn];
    const rsw = assemblyTest('PPC', state(2), [writer, reader], 'exists (1:r1=1 /\\ 1:r6=0)');
    expect(checkLitmus(rsw).observation).toBe('Sometimes');
    const other = ['li r9,1', 'stw r9,0(r22)'];
    const end = 'exists (1:r1=1 /\\ 1:r4=0 /\\ 1:r5=1 /\\ 1:r6=0)';
    expect(checkLitmus(assemblyTest('PPC', state(3), [writer, reader, other], end)).observation).toBe('Never');
  });

  it('a read that takes a write which came after an own one waits for that one (detour)', () => {
    const reader = ['lwz r1,0(r21)', 'xor r3,r1,r1', 'addi r3,r3,1', 'stw r3,0(r22)', ...readOn];
    const other = ['li r9,2', 'stw r9,0(r22)'];
    const end = (second: number): string => `exists (1:r1=1 /\\ 1:r5=${second} /\\ z=2 /\\ 1:r6=0)`;
    expect(checkLitmus(assemblyTest('PPC', state(3), [writer, reader, other], end(2))).observation).toBe('Never');
    const independent = ['lwz r1,0(r21)', 'li r3,1', 'stw r3,0(r22)', ...readOn];
    expect(checkLitmus(assemblyTest('PPC', state(3), [writer, independent, other], end(2))).observation).toBe(
      'Sometimes',
    );
  });

  it('the reservation is lost to another write, and used up by one store', () => {
    const increment = ['lwarx r1,r0,r20', 'addi r2,r1,1', 'stwcx. r2,r0,r20', 'bne- L', 'li r7,1', 'L:'];
    const both = [increment, increment];
    const lost = assemblyTest('PPC', state(2), both, 'exists (0:r7=1 /\\ 1:r7=1 /\\ x=1)');
    expect(checkLitmus(lost).observation).toBe('Never');
    expect(checkLitmus(assemblyTest('PPC', state(2), both, 'exists (0:r7=1 /\\ 1:r7=1 /\\ x=2)')).positive).toBe(2);
    const twice = ['lwarx r1,r0,r20', 'li r2,1', 'stwcx. r2,r0,r20', 'li r2,2', 'stwcx. r2,r0,r20'];
    expect(checkLitmus(assemblyTest('PPC', state(1), [twice], 'exists (x=2)')).observation).toBe('Never');
  });

  it('reserved accesses of one thread are seen in order', () => {
    const reserve = (at: string): string[] => [`lwarx r1,r0,${at}`, `stwcx. r9,r0,${at}`, 'bne Fail'];
    const threads = [
      ['li r9,1', ...reserve('r20'), ...reserve('r21'), 'li r7,1', 'Fail:'],
      ['li r9,2', ...reserve('r21'), ...reserve('r20'), 'li r7,1', 'Fail:'],
    ];
    const end = 'exists (0:r7=1 /\\ 1:r7=1 /\\ x=1 /\\ y=2)';
    expect(checkLitmus(assemblyTest('PPC', state(2), threads, end)).observation).toBe('Never');
  });

  it('a store-conditional to another address than the reserved one has no verdict', () => {
    const test = assemblyTest('PPC', state(1), [['lwarx r1,r0,r20', 'stwcx. r1,r0,r21']], 'exists (y=0)');
    expect(() => checkLitmus(test)).toThrow(UnsupportedConstruct);
  });
});

describe('Power instructions', () => {
  it.each([
    ['lis r3,1; ori r3,r3,5', 'r3', 0x10005],
    ['li r3,-1; rlwinm r4,r3,4,30,31', 'r4', 3],
    ['li r3,-1; li r4,0xf0; rlwimi r4,r3,4,30,31', 'r4', 0xf3],
    ['li r3,-1; li r4,0; rlwimi r4,r3,16,0,15; srwi r4,r4,16', 'r4', 0xffff],
    ['li r3,0xf0; slwi r4,r3,4; srwi r4,r4,8', 'r4', 0xf],
    ['li r3,-8; srawi r4,r3,1', 'r4', -4],
    ['li r3,5; neg r4,r3; extsw r4,r4', 'r4', -5],
    ['li r3,5; subf r4,r3,r3; addi r4,r4,7', 'r4', 7],
    ['li r3,3; li r4,4; mullw r5,r3,r4', 'r5', 12],
    ['li r3,-1; cmplwi r3,1; li r4,1; bgt L; li r4,2; L:', 'r4', 1],
    ['li r3,-1; cmpwi cr7,r3,1; li r4,1; bgt cr7,L; li r4,2; L: nop', 'r4', 2],
    ['li r3,3; andi. r4,r3,4; beq L; li r5,1; L: nop', 'r5', 0],
    ['li r0,9; addi r4,r0,1', 'r4', 1],
    ['stwu r0,4(r20); lwz r4,0(r20)', 'r4', 0],
    ['lwz r4,0(r20); b L; li r4,7; L: blr; li r4,8', 'r4', 5],
  ])('%s leaves %s = %d', (code, register, value) => {
    const state = 'int t[2]={5,6}; 0:r20=t;';
    const test = assemblyTest('PPC', state, [code.split('; ')], `forall (0:${register}=${value})`);
    expect(checkLitmus(test).observation).toBe('Always');
  });

  it('accesses of different sizes to one location have no verdict', () => {
    const test = assemblyTest('PPC', '0:r20=x;', [['lbz r1,1(r20)', 'stw r1,0(r20)']], 'exists (x=0)');
    expect(() => checkLitmus(test)).toThrow('unsupported: accesses of mixed size under the model power');
  });

  it('an instruction that is not known is named', () => {
    expect(() => assemblyTest('PPC', '', [['mtlr r0']], 'exists (x=0)')).toThrow('unsupported: instruction mtlr');
  });
});
