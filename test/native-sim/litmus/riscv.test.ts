/**
 * RISC-V: each of the thirteen rules of preserved program order shown by a test that it forbids, beside one like it that
 * it does not; and what each instruction does.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { assemblyTest, type Between, finals, type Machine, shape, shapes } from './shapes.ts';

const machine: Machine = {
  header: 'RISCV',
  address: (location) => ({ x: 's8', y: 's9', z: 's10' })[location]!,
  value: (number) => `x${number + 10}`,
  load: (to, address) => `lw ${to},0(${address})`,
  store: (from, address) => `sw ${from},0(${address})`,
  one: (to) => `li ${to},1`,
};

const fence = (before: string, after: string) => (): Between => ({ code: [`fence ${before},${after}`] });

const betweens: Readonly<Record<string, (second: string) => Between>> = {
  po: () => ({ code: [] }),
  'rw.rw': fence('rw', 'rw'),
  'rw.w': fence('rw', 'w'),
  'rw.r': fence('rw', 'r'),
  'r.rw': fence('r', 'rw'),
  'r.r': fence('r', 'r'),
  'r.w': fence('r', 'w'),
  'w.rw': fence('w', 'rw'),
  'w.w': fence('w', 'w'),
  'w.r': fence('w', 'r'),
  devices: fence('iorw', 'iorw'),
  bare: () => ({ code: ['fence'] }),
  tso: () => ({ code: ['fence.tso'] }),
  i: () => ({ code: ['fence.i'] }),
  addr: (second) => ({ code: ['xor t0,x11,x11', `add t0,t0,${machine.address(second)}`], through: 't0' }),
  data: () => ({ code: ['xor t0,x11,x11', 'addi t0,t0,1'], storing: 't0' }),
  ctrl: () => ({ code: ['bne x11,zero,L', 'L:'] }),
  ctrlfencei: () => ({ code: ['bnez x11,L', 'L: fence.i'] }),
};

function verdict(name: keyof typeof shapes, between: readonly string[]): string {
  const plain = shapes[name] as (...b: Between[]) => ReturnType<(typeof shapes)['SB']>;
  const none: Between = { code: [] };
  let next = 0;
  const threads = plain(none, none, none).map((thread) => {
    if (thread.length === 1) return thread;
    return [thread[0], betweens[between[next++]!]!(thread[2].split(' ')[1]!), thread[2]] as const;
  });
  return shape(machine, threads, finals[name]);
}

describe('RVWMO', () => {
  it.each([
    ['SB', 'rw.rw rw.rw', 'Never'],
    ['SB', 'w.r w.r', 'Never'],
    ['SB', 'w.rw rw.r', 'Never'],
    ['SB', 'w.w w.r', 'Sometimes'],
    ['SB', 'r.rw w.r', 'Sometimes'],
    ['SB', 'tso rw.rw', 'Sometimes'],
    ['SB', 'bare devices', 'Never'],
    ['MP', 'po rw.rw', 'Sometimes'],
    ['MP', 'w.w r.r', 'Never'],
    ['MP', 'rw.w r.rw', 'Never'],
    ['MP', 'tso tso', 'Never'],
    ['MP', 'w.r r.r', 'Sometimes'],
    ['MP', 'w.w r.w', 'Sometimes'],
    ['MP', 'w.w addr', 'Never'],
    ['MP', 'w.w ctrl', 'Sometimes'],
    ['MP', 'w.w ctrlfencei', 'Sometimes'],
    ['MP', 'w.w i', 'Sometimes'],
    ['LB', 'po po', 'Sometimes'],
    ['LB', 'data po', 'Sometimes'],
    ['LB', 'data data', 'Never'],
    ['LB', 'addr addr', 'Never'],
    ['LB', 'ctrl ctrl', 'Never'],
    ['LB', 'r.w rw.w', 'Never'],
    ['LB', 'r.w r.r', 'Sometimes'],
    ['LB', 'tso tso', 'Never'],
    ['WRC', 'addr addr', 'Never'],
    ['ISA2', 'w.w data addr', 'Never'],
    ['IRIW', 'addr addr', 'Never'],
    ['IRIW', 'addr po', 'Sometimes'],
    ['RWC', 'r.r rw.rw', 'Never'],
    ['RWC', 'r.r po', 'Sometimes'],
    ['R', 'w.w w.r', 'Never'],
    ['R', 'w.w po', 'Sometimes'],
    ['S', 'w.w data', 'Never'],
    ['S', 'w.w po', 'Sometimes'],
    ['2+2W', 'w.w w.w', 'Never'],
    ['2+2W', 'w.w po', 'Sometimes'],
  ] as const)('%s+%s is %s', (name, between, expected) => {
    expect(verdict(name, between.split(' '))).toBe(expected);
  });

  const state = [0, 1, 2].map((t) => `${t}:s2=x; ${t}:s3=y; ${t}:s4=z; ${t}:s5=w;`).join(' ');
  const run = (threads: readonly (readonly string[])[], end: string): string =>
    checkLitmus(assemblyTest('RISCV', state, threads, end)).observation;

  const writer = ['li t1,1', 'sw t1,0(s2)', 'fence w,w', 'sw t1,0(s3)'];
  /** P1 sees the flag in a0, does `code`, and reads x into a2. */
  const messagePassing = (...code: string[]): string =>
    run([writer, ['li t1,1', 'lw a0,0(s3)', ...code]], 'exists (1:a0=1 /\\ 1:a2=0)');
  const readX = (from: string): string[] => [`xor t2,${from},${from}`, 'add t2,t2,s2', 'lw a2,0(t2)'];
  /** The address of z, which depends on the flag. */
  const dependent = ['xor t0,a0,a0', 'add t0,t0,s4'];

  it('rule 1: a write waits for the accesses of its location before it', () => {
    expect(messagePassing('fence r,w', 'sw t1,0(s2)', 'lw a2,0(s2)')).toBe('Never');
    const laterWrite = ['li t1,2', 'lw a0,0(s3)', 'sw t1,0(s3)', 'fence w,w', 'sw t1,0(s2)'];
    const other = ['lw a0,0(s2)', 'fence r,w', 'li t1,1', 'sw t1,0(s3)'];
    expect(run([laterWrite, other], 'exists (0:a0=1 /\\ 1:a0=2)')).toBe('Never');
  });

  it('rule 2: reads of one location that take different writes are ordered, as are no others', () => {
    const reads = [...dependent, 'lw a3,0(t0)', 'lw a4,0(s4)', ...readX('a4')];
    expect(messagePassing(...reads)).toBe('Sometimes');
    const end = 'exists (1:a0=1 /\\ 1:a3=0 /\\ 1:a4=1 /\\ 1:a2=0)';
    expect(run([writer, ['lw a0,0(s3)', ...reads], ['li t1,1', 'sw t1,0(s4)']], end)).toBe('Never');
    expect(messagePassing(...dependent, 'lw a3,0(t0)', 'sw t1,0(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Sometimes');
  });

  it('rule 3: a read waits for the atomic write of its own thread that it takes, not for a plain one', () => {
    expect(messagePassing('fence r,w', 'amoswap.w a3,t1,(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Never');
    expect(messagePassing('fence r,w', 'lr.w a3,(s4)', 'sc.w a5,t1,(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe(
      'Sometimes',
    );
    const succeeded = ['lr.w a3,(s4)', 'sc.w a5,t1,(s4)', 'lw a4,0(s4)', ...readX('a4')];
    const end = 'exists (1:a0=1 /\\ 1:a4=1 /\\ 1:a2=0)';
    expect(run([writer, ['li t1,1', 'lw a0,0(s3)', 'fence r,w', ...succeeded]], end)).toBe('Never');
    expect(messagePassing('fence r,w', 'sw t1,0(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Sometimes');
  });

  it('rules 5 and 6: acquire before all that follows, release after all that is before', () => {
    const acquire = (code: string, flag = 'sw.rl t1,0(s3)'): string =>
      run(
        [
          ['li t1,1', 'sw t1,0(s2)', flag],
          [code, 'lw a2,0(s2)'],
        ],
        'exists (1:a0=1 /\\ 1:a2=0)',
      );
    expect(acquire('lw.aq a0,0(s3)')).toBe('Never');
    expect(acquire('lw a0,0(s3)')).toBe('Sometimes');
    expect(acquire('lw.aq a0,0(s3)', 'sw t1,0(s3)')).toBe('Sometimes');
    expect(acquire('lr.w.aq a0,(s3)')).toBe('Never');
    expect(acquire('amoor.w.aq a0,x0,(s3)')).toBe('Never');
    expect(acquire('amoor.w.rl a0,x0,(s3)')).toBe('Sometimes');
    expect(acquire('lw.aq a0,0(s3)', 'amoswap.w.rl x0,t1,(s3)')).toBe('Never');
    expect(acquire('lw.aq a0,0(s3)', 'amoswap.w.aq x0,t1,(s3)')).toBe('Sometimes');
  });

  it('rule 7: RCsc accesses stay in order, which plain .aq and .rl do not', () => {
    const both = (first: string, second: string): string => {
      const thread = (to: string, from: string): string[] => [
        'li t1,1',
        first.replace('@', to),
        second.replace('@', from),
      ];
      return run([thread('s2', 's3'), thread('s3', 's2')], 'exists (0:a2=0 /\\ 1:a2=0)');
    };
    expect(both('amoswap.w.rl a0,t1,(@)', 'lr.w.aq a2,(@)')).toBe('Never');
    expect(both('amoswap.w.rl a0,t1,(@)', 'lw.aq a2,0(@)')).toBe('Sometimes');
    expect(both('sw.rl t1,0(@)', 'lr.w.aq a2,(@)')).toBe('Sometimes');
    expect(both('amoswap.w.aqrl a0,t1,(@)', 'lw a2,0(@)')).toBe('Never');
    expect(both('amoswap.w.aq a0,t1,(@)', 'lw a2,0(@)')).toBe('Sometimes');
  });

  it('rule 8: what comes before a load-reserved comes before its store-conditional', () => {
    const pair = ['li t1,1', 'lw a0,0(s2)', 'fence r,r', 'lr.w a1,(s3)', 'sc.w a3,t1,(s3)'];
    const other = ['lw a0,0(s3)', 'fence r,w', 'li t1,1', 'sw t1,0(s2)'];
    expect(run([pair, other], 'exists (0:a0=1 /\\ 1:a0=1)')).toBe('Never');
    const apart = ['li t1,1', 'lw a0,0(s2)', 'fence r,r', 'lr.w a1,(s4)', 'sc.w a3,t1,(s3)'];
    expect(run([apart, other], 'exists (0:a0=1 /\\ 1:a0=1)')).toBe('Sometimes');
  });

  it('rules 9 to 11 begin at a store-conditional too, through the register that tells of success', () => {
    const from = ['li t1,1', 'lr.w a0,(s2)', 'sc.w a1,t1,(s2)', 'xor t2,a1,a1', 'add t2,t2,s3', 'lw a2,0(t2)'];
    const other = ['li t1,1', 'sw t1,0(s3)', 'fence rw,rw', 'lw a3,0(s2)'];
    const end = 'exists (x=1 /\\ 0:a2=0 /\\ 1:a3=0)';
    expect(run([from, other], end)).toBe('Never');
    expect(run([from.map((i) => i.replace('xor t2,a1,a1', 'li t2,0')), other], end)).toBe('Sometimes');
  });

  it('rule 12: what a write depends on comes before the read that takes it', () => {
    expect(messagePassing(...dependent, 'sw t1,0(t0)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Never');
    expect(messagePassing('add t0,a0,x0', 'sw t0,0(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Never');
    expect(messagePassing('bnez a0,L', 'L: sw t1,0(s4)', 'lw a4,0(s4)', ...readX('a4'))).toBe('Sometimes');
  });

  it('rule 13: a write waits for the addresses of the accesses before it', () => {
    const write = (...code: string[]): string => {
      const other = ['lw a0,0(s2)', 'fence r,w', 'li t1,1', 'sw t1,0(s3)'];
      return run([['li t1,1', 'lw a0,0(s3)', ...code, 'sw t1,0(s2)'], other], 'exists (0:a0=1 /\\ 1:a0=1)');
    };
    expect(write(...dependent, 'lw a3,0(t0)')).toBe('Never');
    expect(write('add t0,a0,x0', 'sw t0,0(s4)')).toBe('Sometimes');
  });

  it('a reservation is used up by one store-conditional, which may be of another address', () => {
    const twice = ['li t1,1', 'lr.w a0,(s2)', 'sc.w a1,t1,(s2)', 'li t1,2', 'sc.w a3,t1,(s2)'];
    expect(run([twice], 'exists (x=2)')).toBe('Never');
    expect(run([['li t1,1', 'lr.w a0,(s2)', 'sc.w a1,t1,(s3)']], 'exists (y=1)')).toBe('Sometimes');
    const pair = ['li t1,1', 'lr.w a0,(s2)', 'sc.w a1,t1,(s2)'];
    expect(run([pair, ['li t1,2', 'amoswap.w a0,t1,(s2)']], 'exists (0:a1=0 /\\ 0:a0=0 /\\ 1:a0=0)')).toBe('Never');
  });
});

describe('RISC-V instructions', () => {
  it.each([
    ['li a1,-1; srli a0,a1,60', 15],
    ['li a1,-8; srai a0,a1,1', -4],
    ['li a1,1; slli a0,a1,4; ori a0,a0,1; xori a0,a0,3; andi a0,a0,0x1e', 0x12],
    ['lui a0,1; addi a0,a0,-1', 4095],
    ['li a1,-1; sltiu a0,a1,1; seqz a0,a0', 1],
    ['li a1,-1; slt a0,a1,zero; snez a0,a0; neg a0,a0; not a0,a0', 0],
    ['li a1,0x7fffffff; addiw a0,a1,1', -0x80000000],
    ['li a1,-1; srliw a0,a1,28', 15],
    ['li a1,5; mv a0,a1; sub a0,a0,a1; mul a0,a0,a1', 0],
    ['li a1,-1; li a0,1; bltu a1,zero,L; li a0,2; L: nop', 2],
    ['li a1,-1; li a0,1; blt a1,zero,L; li a0,2; L: nop', 1],
    ['li a0,1; j L; li a0,2; L: ret; li a0,3', 1],
    ['la s2,t; lw a0,4(s2)', -6],
    ['lwu a1,4(s6); srli a0,a1,31', 1],
    ['li a1,7; amoadd.w a2,a1,(s6); lw a0,0(s6)', 12],
    ['li a1,-1; amomax.w a2,a1,(s6); lw a0,0(s6)', 5],
    ['li a1,-1; amomaxu.w a2,a1,(s6); lw a0,0(s6)', -1],
    ['li a1,3; amomin.w.aqrl a0,a1,(s6)', 5],
    ['li a1,3; addi zero,a1,1; mv a0,zero', 0],
  ])('%s leaves a0 = %d', (code, value) => {
    const test = assemblyTest('RISCV', 'int t[2]={5,-6}; 0:s6=t;', [code.split('; ')], `forall (0:a0=${value})`);
    expect(checkLitmus(test).observation).toBe('Always');
  });

  it('registers are shown by number, whatever they are called', () => {
    const test = readLitmus('RISCV T\n{ 0:a0=1; }\nP0 ;\naddi a0,a0,1 ;\nlocations [0:a0;]\nexists (0:x10=2)');
    expect(checkLitmus(test)).toMatchObject({ positive: 1, locations: [{ register: 'x10' }] });
  });

  it.each([
    ['fadd.s fa0,fa1,fa2', 'unsupported: instruction fadd.s'],
    ['auipc a0,2', 'unsupported: instruction auipc'],
    ['mv v1,a0', 'unsupported: register v1'],
  ])('%s is named, not answered', (code, message) => {
    expect(() => assemblyTest('RISCV', '', [[code]], 'exists (x=0)')).toThrow(message);
  });

  it('accesses of different sizes to one location have no verdict', () => {
    const test = assemblyTest('RISCV', '0:s2=x;', [['lb a0,1(s2)', 'sw a0,0(s2)']], 'exists (x=0)');
    expect(() => checkLitmus(test)).toThrow('unsupported: accesses of mixed size under the model rvwmo');
  });
});
