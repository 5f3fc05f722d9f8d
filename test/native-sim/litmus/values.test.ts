/**
 * Values: signs, widths, and accesses of different sizes to one location.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';

/** One AArch64 thread. */
function run(state: string, code: string, end: string) {
  const rows = code.split('; ').map((row) => `${row} ;`);
  return checkLitmus(readLitmus(`AArch64 T\n{ ${state} }\nP0 ;\n${rows.join('\n')}\n${end}`));
}

describe('signs', () => {
  it.each([
    ['a 64-bit register', '', 'MOV X0,#-1', 'forall (0:X0=-1)'],
    ['a 32-bit register', '', 'MOV W0,#-1', 'forall (0:X0=-1 /\\ 0:X0=4294967295)'],
    ['the half of a declared one', 'int64_t 0:X0;', 'MOV W0,#-1', 'forall (0:X0=4294967295 /\\ 0:X0!=-1)'],
    ['a bitwise not', '', 'MVN X0,XZR', 'forall (0:X0=-1)'],
    ['memory of 64 bits', 'int64_t y=-1; 0:X1=y;', 'LDR X0,[X1]', 'forall (0:X0=-1 /\\ y=-1)'],
    ['memory of 8 bits', 'uint8_t y=-1; 0:X1=y;', 'LDRB W0,[X1]', 'forall (0:X0=255 /\\ y=-1 /\\ y=255)'],
    ['memory of 16 bits', 'int16_t y=-2; 0:X1=y;', 'LDRSH W0,[X1]', 'forall (0:X0=-2 /\\ y=-2)'],
  ])('%s', (_, state, code, condition) => {
    expect(run(state, code, condition).observation).toBe('Always');
  });

  it('are shown as the type says', () => {
    const verdict = run('uint8_t u=254; int8_t s=-2; 0:X1=u;', 'STRB WZR,[X1]; MOV X0,#-1', 'locations [u; s; 0:X0;]');
    expect(formatVerdict(verdict)).toContain('0:X0=-1; [s]=-2; [u]=0;');
  });
});

describe('arrays', () => {
  it('are asked for and shown whole', () => {
    const verdict = run('int a[2]={1,-2}; 0:X1=a;', 'STR WZR,[X1]', 'locations [a]\nforall (a={0,-2} /\\ a!={1,-2})');
    expect(verdict.observation).toBe('Always');
    expect(formatVerdict(verdict)).toContain('a[1]=-2;');
  });
});

describe('arithmetic on registers', () => {
  it.each([
    ['MOV W0,#1; MOVK W0,#2,LSL #16', 0x20001],
    ['MOV X1,#-8; ASR X0,X1,#1', -4],
    ['MOV W1,#0x1234; UBFM W0,W1,#4,#11', 0x23],
    ['MOV W1,#0x80; SBFM W0,W1,#0,#7', -128],
    ['MOV W1,#3; UBFM W0,W1,#28,#27', 0x30],
    ['MOV W1,#1; CMP W1,#2; CSINV W0,W1,WZR,EQ', -1],
    ['MOV W1,#1; CMP W1,#2; CSNEG W0,W1,W1,EQ', -1],
    ['MOV W1,#1; ROR W0,W1,#1', -0x80000000],
    ['MOV W1,#5; NEG W0,W1', -5],
    ['MOV W1,#0xff; SXTB W0,W1', -1],
    ['MOV W1,#3; MOV W2,#5; MOV W3,#7; MADD W0,W1,W2,W3', 22],
    ['MOV W1,#3; MOV W2,#5; MOV W3,#7; MSUB W0,W1,W2,W3', -8],
    ['MOV W1,#-3; MOV W2,#5; SMULL X0,W1,W2', -15],
    ['MOV W1,#-1; MOV W2,#1; MOV X3,#1; UMADDL X0,W1,W2,X3', 0x100000000],
    ['MOV W1,#3; MNEG W0,W1,W1', -9],
    ['MOV W1,#1; RBIT W0,W1', -0x80000000],
    ['MOV W1,#0x12; REV W0,W1', 0x12000000],
    ['MOV W1,#0x1234; REV16 W0,W1', 0x3412],
    ['MOV X1,#0x1234; REV32 X0,X1', 0x34120000],
    ['MOV W1,#0xff; CLZ W0,W1', 24],
    ['CLZ W0,WZR', 32],
    ['MOV W1,#-1; CLS W0,W1', 31],
    ['MOV W1,#0xff; CLS W0,W1', 23],
    ['MOV W1,#1; MOV W2,#0x100; EXTR W0,W1,W2,#8', 0x1000001],
    ['MOV W1,#0x1234; UBFX W0,W1,#4,#8', 0x23],
    ['MOV W1,#0xf00; SBFX W0,W1,#8,#4', -1],
    ['MOV W1,#0xff; UBFIZ W0,W1,#8,#4', 0xf00],
    ['MOV W0,#-1; BFI W0,WZR,#4,#4', -241],
    ['MOV W0,#-1; MOV W1,#0xa0; BFXIL W0,W1,#4,#4', -6],
    ['MOV W1,#1; CMP W1,#1; CINC W0,W1,EQ', 2],
    ['MOV W1,#1; CMP W1,#2; CINV W0,W1,EQ', 1],
    ['MOV W1,#1; CMP W1,#2; CNEG W0,W1,NE', -1],
    ['MOV W1,#1; NEGS W2,W1; CSET W0,MI', 1],
    ['MOV W1,#0x1ff; ADD W0,WZR,W1,UXTB #1', 0x1fe],
    ['MOV X1,#0xffff; ADD X0,XZR,W1,SXTH', -1],
  ])('%s gives %d', (code, value) => {
    expect(run('', code, `forall (0:X0=${value})`).observation).toBe('Always');
  });

  it('registers can have names', () => {
    expect(run('x=5; 0:%p=x;', 'LDR W%v,[X%p]; ADD W0,W%v,#1', 'forall (0:%v=5 /\\ 0:X0=6)').observation).toBe(
      'Always',
    );
  });
});

describe('registers that are named instead of numbered', () => {
  const swap = (load: string, store: string, header: string): string => `${header} T
{ %there=x; %P1_there=x; %one=1; }
P0 | P1 ;
${load} %got,0(%there) | ${store} %one,0(%P1_there) ;
locations [%got]
exists (%got=1 /\\ %one=1)`;

  it.each([
    ['RISCV', swap('lw', 'sw', 'RISCV')],
    ['PPC', swap('lwz', 'stw', 'PPC')],
  ])('%s: belong to the thread whose code names them, in the state and in the condition', (_, text) => {
    expect(checkLitmus(readLitmus(text))).toMatchObject({ observation: 'Sometimes', positive: 1, negative: 1 });
  });

  it.each([
    ['of two threads', '{ %a=x; }\nP0 | P1 ;\nLDR W0,[X%a] | LDR W0,[X%a] ;\nexists (x=1)', '2:4'],
    ['of none, in the condition', '{}\nP0 ;\nNOP ;\nexists (%a=1)', '5:10'],
  ])('whose they are must be certain: %s', (_, text, place) => {
    const message = `${place}: expected a register that is named in the code of one thread, and only there, found "a"`;
    expect(() => readLitmus(`AArch64 T\n${text}`)).toThrow(message);
  });
});

describe('pairs', () => {
  it('LDP, STP and LDPSW move two values', () => {
    const verdict = run(
      'int a[4]={1,-2,0,0}; 0:X0=a;',
      'LDP W1,W2,[X0]; STP W2,W1,[X0,#8]; LDPSW X3,X4,[X0,#8]',
      'forall (a[2]=-2 /\\ a[3]=1 /\\ 0:X3=-2 /\\ 0:X4=1)',
    );
    expect(verdict.observation).toBe('Always');
  });

  it('CASP compares and writes both words, or neither', () => {
    const code = (low: number): string => `MOV W2,#${low}; MOV W3,#2; MOV W4,#7; MOV W5,#8; CASP W2,W3,W4,W5,[X0]`;
    const state = 'int a[2]={1,2}; 0:X0=a;';
    expect(run(state, code(1), 'forall (a[0]=7 /\\ a[1]=8 /\\ 0:X2=1 /\\ 0:X3=2)').observation).toBe('Always');
    expect(run(state, code(3), 'forall (a[0]=1 /\\ a[1]=2 /\\ 0:X2=1 /\\ 0:X3=2)').observation).toBe('Always');
  });
});

describe('store-exclusives', () => {
  it.each([
    [
      'may succeed at another address than that of the load',
      'LDXR W1,[X0]; STXR W4,W3,[X2]',
      'exists (y=3)',
      'Sometimes',
    ],
    ['are then no pair with the load', 'LDXR W1,[X0]; STXR W4,W3,[X2]; STXR W5,W3,[X0]', 'exists (x=3)', 'Never'],
    ['fail where the load was of another size', 'LDXRH W1,[X0]; STXR W4,W3,[X0]', 'forall (x=1 /\\ 0:X4=1)', 'Always'],
    ['fail once the reservation is given up', 'LDXR W1,[X0]; CLREX; STXR W4,W3,[X0]', 'exists (0:X4=0)', 'Never'],
    ['fail where there was no load', 'STXR W4,W3,[X0]', 'forall (x=1 /\\ 0:X4=1)', 'Always'],
  ])('%s', (_, code, end, observation) => {
    expect(run('x=1; y=2; 0:X0=x; 0:X2=y; 0:X3=3;', code, end).observation).toBe(observation);
  });
});

describe('accesses of mixed size', () => {
  it('a byte of a word', () => {
    expect(run('uint32_t x=0x01020304; 0:X1=x;', 'LDRB W0,[X1,#1]', 'forall (0:X0=3)').observation).toBe('Always');
    expect(run('uint32_t x=0; 0:X1=x;', 'MOV W0,#5; STRB W0,[X1,#2]', 'forall (x=0x50000)').observation).toBe('Always');
    expect(run('int64_t x; 0:X1=x;', 'MOV W0,#1; STR W0,[X1,#4]', 'forall (x=0x100000000)').observation).toBe('Always');
    expect(run('uint8_t t[4]={0,0,0,0}; 0:X1=t;', 'MOV W0,#-1; STR W0,[X1]', 'forall (t[3]=255)').observation).toBe(
      'Always',
    );
  });

  /** P0 stores both bytes of x at once, P1 reads them one after the other. */
  const twoBytes = (first: string, between: string, second: string): string =>
    checkLitmus(
      readLitmus(`AArch64 T
{ uint16_t x; 0:X1=x; 1:X1=x; }
P0 | P1 ;
MOV W0,#0x101 | LDRB W0,[X1${first}] ;
STRH W0,[X1] | ${between} ;
 | LDRB W2,[X1${second}] ;
exists (1:X0=1 /\\ 1:X2=0)`),
    ).observation;

  it('the parts of one store become visible together', () => {
    expect(twoBytes('', 'DMB SY', ',#1')).toBe('Never');
    expect(twoBytes(',#1', 'DMB LD', '')).toBe('Never');
  });

  it('two loads of different parts are not ordered, two of the same part are', () => {
    expect(twoBytes('', 'NOP', ',#1')).toBe('Sometimes');
    expect(twoBytes('', 'NOP', '')).toBe('Never');
  });

  it.each([
    ['0x102', 'Sometimes', 'takes one part from its own thread, the other from another'],
    ['0x101', 'Never', 'and no part that is older than what the other shows'],
  ])('a load of both bytes that ends in %s is %s: it %s', (final, verdict) => {
    const test = readLitmus(`AArch64 T
{ uint16_t x; 0:X1=x; 1:X1=x; }
P0 | P1 ;
MOV W0,#2 | MOV W0,#0x101 ;
STRB W0,[X1] | STRH W0,[X1] ;
LDRH W2,[X1] | ;
exists (0:X2=0x102 /\\ x=${final})`);
    expect(checkLitmus(test).observation).toBe(verdict);
  });

  it('a half-word CAS reads and writes a half of what others write whole', () => {
    const test = readLitmus(`AArch64 T
{ 0:X1=x; 0:X3=y; 1:X0=y; 1:X4=x; }
P0 | P1 ;
MOV W0,#2 | MOV W1,#257 ;
STR W0,[X1] | MOV W2,#514 ;
MOV W2,#257 | CASH W1,W2,[X0] ;
STRH W2,[X3] | MOV W3,#1 ;
 | STR W3,[X4] ;
exists (x=2 /\\ y=0x202 /\\ 1:X1=0x101)`);
    expect(checkLitmus(test)).toMatchObject({ positive: 2, negative: 6 });
  });
});
