/**
 * Files as they are in the wild, and files that are not: what is malformed must say where and what was expected, what
 * is not modelled must be named, and neither may ever get a verdict.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { LitmusLimitExceeded, LitmusSyntaxError, UnsupportedConstruct } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';

function thrownBy(text: string): unknown {
  try {
    checkLitmus(readLitmus(text));
  } catch (thrown) {
    return thrown;
  }
  return undefined;
}

function syntaxError(text: string): string {
  const thrown = thrownBy(text);
  expect(thrown).toBeInstanceOf(LitmusSyntaxError);
  return (thrown as Error).message;
}

function unsupported(text: string): string {
  const thrown = thrownBy(text);
  expect(thrown).toBeInstanceOf(UnsupportedConstruct);
  return (thrown as UnsupportedConstruct).message;
}

const body = (statement: string): string => `C T\n{}\nP0(int *x) {\n\tint r0;\n\t${statement}\n}\nexists (x=1)\n`;

describe('malformed files', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    ['an empty file', '', '1:1: expected an architecture and the name of the test, found the end'],
    [
      'an unknown language',
      'Fortran T\n{}\n',
      '1:1: expected an architecture (C, AArch64, X86, X86_64, RISCV, PPC), found "Fortran"',
    ],
    ['no initial state', 'C T\nP0(int *x) {}\n', '2:1: expected "{" to open the initial state, found "P0(int *x) {}"'],
    ['an unclosed initial state', 'C T\n{ x = 1;\n', '3:1: expected "}" to match the "{" at 2:1, found the end'],
    [
      'a bad initial value',
      'C T\n{ x = ; }\nP0(int *x) {}\nexists (x=1)',
      '2:7: expected a number or a symbol, found ";"',
    ],
    ['a missing semicolon', body('r0 = READ_ONCE(*x)'), '6:1: expected ";", found "}"'],
    ['a missing operand', body('r0 = 1 + ;'), '5:11: expected an expression, found ";"'],
    ['an unclosed call', body('r0 = READ_ONCE(*x;'), '5:19: expected "," or ")", found ";"'],
    ['an unclosed function', 'C T\n{}\nP0(int *x) {\n', '4:1: expected "}" to close the function, found the end'],
    ['too few arguments', body('WRITE_ONCE(*x);'), '5:2: expected 2 argument(s) to WRITE_ONCE(), found 1'],
    ['an unclosed condition', 'C T\n{}\nP0(int *x) {}\nexists (x=1', '4:12: expected ")", found the end'],
    [
      'a bad quantifier',
      'C T\n{}\nP0(int *x) {}\nperhaps (x=1)',
      '4:1: expected "exists", "~exists" or "forall", found "perhaps"',
    ],
    [
      'words after the condition',
      'C T\n{}\nP0(int *x) {}\nexists (x=1) )',
      '4:14: expected the end of the file, or an operator of the condition, found ")"',
    ],
    ['an unclosed comment', 'C T\n(* never\n{}\n', '2:1: expected "*)" to end the comment, found end of file'],
    ['a row that is too short', 'AArch64 T\n{}\nP0 | P1 ;\nNOP ;\nexists (x=1)', '4:5: expected "|", found ";"'],
    ['a bad register', 'AArch64 T\n{}\nP0 ;\nLDR K1,[X0] ;\nexists (x=1)', '4:5: expected a register, found "K1"'],
    [
      'a branch to nowhere',
      'AArch64 T\n{}\nP0 ;\nB Away ;\nexists (x=1)',
      '4:3: expected a label of the test, found "Away"',
    ],
    [
      'a condition on an absent thread',
      'C T\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nexists (3:r0=0)',
      '4:9: expected a thread of the test (0 to 0), found "3"',
    ],
    [
      'an element beyond its array in the condition',
      'C T\n{ int a[2] = {1,2}; }\nP0(int *a) {}\nexists (a[1]=2 /\\ a[2]=0)',
      '4:21: expected an element of a (0 to 1), found "2"',
    ],
    [
      'an element of what is no array',
      'C T\n{ x = 1; }\nP0(int *x) {}\nlocations [x[1]]\nexists (x=1)',
      '4:14: expected an element of x (0 to 0), found "1"',
    ],
    [
      'an element by itself in the initial state',
      'C T\n{ int a[2] = {1,2}; a[1] = 3; }\nP0(int *a) {}\nexists (a[1]=3)',
      '2:22: expected "=" (an array has its type before it, and its values in braces), found "["',
    ],
    ['a thread out of order', 'C T\n{}\nP1(int *x) {}\nexists (x=1)', '3:1: expected thread P0, found "P1(int *x) {}"'],
  ];
  it.each(cases)('%s: says where, and what was expected', (_, text, message) => {
    expect(syntaxError(text)).toBe(message);
  });
});

describe('constructs that are not modelled', () => {
  const cases: readonly (readonly [string, string, string])[] = [
    [
      'code that is read',
      'AArch64 T\n{}\nP0 ;\nLDR W1,L0 ;\nL0: NOP ;\nexists (0:X1=0)',
      '4:8: unsupported: access to the code at label L0',
    ],
    ['an instruction as a value', 'PPC T\n{ ins_t x=NOP; }\nP0 ;\n', '2:9: unsupported: extension instruction fetch'],
    [
      'a function of C11',
      'C T\n{}\nP0(atomic_int *x) { atomic_store_explicit(x, 1, memory_order_relaxed); }\nexists (x=1)',
      '3:21: unsupported: function atomic_store_explicit()',
    ],
    [
      'a function that only herd knows',
      'C T\n{}\nP0(int *x) { int r0; r0 = __load{once}(x); }\nexists (x=1)',
      "3:27: unsupported: herd's own function __load{}",
    ],
    ['regions', 'C T\n{}\nP0(int *x) { *x = 1; }\nregions: x:PROP\nexists (x=1)', '4:1: unsupported: regions'],
    [
      'a shadow stack',
      'AArch64 T\nvariant=shadowstack\n{ SS(x,2); 0:GCSPR_EL1=&x[1]; }\nP0 ;\nGCSSS1 X0 ;\nforall true',
      '3:5: unsupported: extension GCS (guarded control stack)',
    ],
    [
      'a signed pointer',
      'AArch64 T\n{ 0:x0=pac(x, da, 42, 7) }\nP0 ;\nxpacd x0 ;\nforall (0:x0=x)',
      '2:11: unsupported: extension PAC (pointer authentication)',
    ],
    [
      'a page table entry',
      'AArch64 T\nVariant=vmsa\n{ [PTE(x)]=(oa:PA(x), valid:0); }\nP0 ;\nNOP ;\nexists (x=0)',
      '3:7: unsupported: extension VMSA (address translation)',
    ],
    [
      'an instruction of instruction fetch',
      'AArch64 T\n{}\nP0 ;\nIC IVAU,X0 ;\nexists (0:X1=0)',
      '4:1: unsupported: instruction IC of extension instruction fetch',
    ],
    ['a language', 'MIPS T\n{}\n', '1:1: unsupported: architecture MIPS'],
    ['a function', body('r0 = rcu_dance(x);'), '5:7: unsupported: function rcu_dance()'],
    ['a statement', body('goto out;'), '5:2: unsupported: "goto" statement'],
    ['an operator', body('r0 = x->next;'), '5:8: unsupported: "->" operator'],
    ['an instruction', 'AArch64 T\n{}\nP0 ;\nCRC32B W0,W1,W2 ;\nexists (x=1)', '4:1: unsupported: instruction CRC32B'],
    [
      'an instruction on capabilities',
      'AArch64 T\n{ }\nP0 ;\nALIGND C0,C1,#4 ;\nexists (0:X0=0)',
      '4:1: unsupported: instruction ALIGND of extension Morello (capabilities)',
    ],
    [
      'an instruction of an extension',
      'AArch64 T\n{}\nP0 ;\nSTG X0,[X1] ;\nexists (x=1)',
      '4:1: unsupported: instruction STG of extension MTE (memory tagging)',
    ],
    [
      'the notation of an extension: tags',
      'AArch64 T\n{ 0:X0=x:red; }\nP0 ;\nNOP ;\nexists (x=1)',
      '2:9: unsupported: extension MTE (memory tagging)',
    ],
    [
      'the notation of an extension: page tables',
      'AArch64 T\n{ [PTE(x)]=(oa:PA(y)); }\nP0 ;\nNOP ;\nexists (x=1)',
      '2:7: unsupported: extension VMSA (address translation)',
    ],
    [
      'nesting without an end',
      `C T\n{}\nP0(int *x) {}\nexists ${'('.repeat(20_000)}x=1${')'.repeat(20_000)}`,
      '4:509: unsupported: more than 500 levels of nesting',
    ],
    [
      'nesting without an end, of expressions',
      body(`r0 = ${'('.repeat(20_000)}1${')'.repeat(20_000)};`),
      '5:506: unsupported: more than 500 levels of nesting',
    ],
    ['a barrier', 'AArch64 T\n{}\nP0 ;\nDMB FOO ;\nexists (x=1)', '4:5: unsupported: DMB FOO'],
  ];
  it.each(cases)('%s: is named, and the verdict withheld', (_, text, message) => {
    expect(unsupported(text)).toBe(message);
  });

  it.each([
    ['reads', 'LDR W0,[X2]', 'NOP'],
    ['writes', 'LDR W0,[X2]', 'STR X1,[X2]'],
  ])('half of an address has no verdict: %s', (_, half, whole) => {
    const initial = whole === 'NOP' ? 'int *p = &x;' : 'uint64_t p;';
    const text = `AArch64 T\n{ ${initial} 0:X2=p; 1:X2=p; 1:X1=x; }\nP0 | P1 ;\n${half} | ${whole} ;\nexists (x=1)`;
    expect(unsupported(text)).toBe('unsupported: an address that is accessed in parts');
  });

  it('a grace period has no verdict under a hardware model', () => {
    const test = readLitmus('C T\n{}\nP0(int *x) { synchronize_rcu(); }\nexists (x=1)');
    expect(() => checkLitmus(test, { model: 'armv8' })).toThrow('synchronize_rcu() under the model armv8');
  });

  it('assembly has no verdict under a model of another machine', () => {
    const test = readLitmus('X86 T\n{}\nP0 ;\nMOV [x],$1 ;\nexists (x=1)');
    expect(() => checkLitmus(test, { model: 'armv8' })).toThrow(UnsupportedConstruct);
  });
});

describe('limits', () => {
  it('too many ways to order one location are an error, not a shorter answer', () => {
    const thread = (n: number): string => `P${n}(int *x) { ${'WRITE_ONCE(*x, 1); '.repeat(4)} }\n`;
    const text = `C T\n{}\n${[0, 1, 2, 3, 4].map(thread).join('')}exists (x=1)`;
    expect(() => checkLitmus(readLitmus(text), { steps: 400_000 })).toThrow(LitmusLimitExceeded);
  });

  it.each(['C T\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\n', 'AArch64 T\n{ 0:X0=x; }\nP0 ;\nSTR WZR,[X0] ;\n'])(
    'a file without a condition asks for nothing',
    (text) => {
      expect(checkLitmus(readLitmus(text))).toMatchObject({ observation: 'Always', ok: true });
    },
  );

  it('a condition of 20,000 terms is no deeper than one of two', () => {
    const test = readLitmus(`C T\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\nforall (${'x=1 /\\ '.repeat(20_000)}x=1)`);
    expect(checkLitmus(test).ok).toBe(true);
  });
});

describe('conditions', () => {
  const states = 'C T\n{}\nP0(int *x) { int r0; r0 = READ_ONCE(*x); }\nP1(int *x) { WRITE_ONCE(*x, 1); }\n';
  const verdict = (condition: string) => checkLitmus(readLitmus(`${states}${condition}`));

  it('"=>" holds where its left side does not', () => {
    expect(verdict('forall (0:r0=1 => x=1)')).toMatchObject({ positive: 2, negative: 0 });
    expect(verdict('forall (x=1 => 0:r0=1)')).toMatchObject({ positive: 1, negative: 1 });
  });

  it('"=>" binds more tightly than "/\\", and to the right', () => {
    // Read as (0:r0=0 /\ 0:r0=1) => false, both states would satisfy it.
    expect(verdict('exists (0:r0=0 /\\ 0:r0=1 => false)')).toMatchObject({ positive: 1, negative: 1 });
    // Read as (false => false) => false, none would.
    expect(verdict('exists (false => false => false)')).toMatchObject({ positive: 2, negative: 0 });
    expect(formatVerdict(verdict('exists ((x=1 /\\ 0:r0=0) => x=2)'))).toContain(
      'Condition exists (([x]=1 /\\ 0:r0=0) => [x]=2)',
    );
  });

  it('both sides of "=>" are shown in the states', () => {
    expect(formatVerdict(verdict('forall (0:r0=0 => x=1)'))).toContain('0:r0=0; [x]=1;');
  });

  it.each(['final (0:r0=1)', '(0:r0=1)', 'exists (0:r0=1) with sc: ~exists; tso: exists;'])(
    'the notation of older tests asks whether one exists: %s',
    (condition) => {
      expect(verdict(condition)).toMatchObject({ observation: 'Sometimes', ok: true });
      expect(verdict(condition).test.quantifier).toBe('exists');
    },
  );
});

describe('the output', () => {
  it('has the form of herd', () => {
    const test = readLitmus(`C SB
(* a comment *)
{ int x = 0; }
P0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y); }
P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x); }
locations [x]
exists (0:r0=0 /\\ ~(1:r0=1 \\/ y=0)) (* Bad outcome. *)`);
    expect(formatVerdict(checkLitmus(test))).toBe(`Test SB Allowed
States 4
0:r0=0; 1:r0=0; [x]=1; [y]=1;
0:r0=0; 1:r0=1; [x]=1; [y]=1;
0:r0=1; 1:r0=0; [x]=1; [y]=1;
0:r0=1; 1:r0=1; [x]=1; [y]=1;
Ok
Witnesses
Positive: 1 Negative: 3
Condition exists (0:r0=0 /\\ not (1:r0=1 \\/ [y]=0))
Observation SB Sometimes 1 3
`);
  });

  it('shows pointers by the name of what they point at, and array elements by index', () => {
    const test = readLitmus(`AArch64 pointers
{ int a[2] = {4,42}; int *p = a; 0:X1=p; 0:X2=a; }
P0 ;
LDR X0,[X1] ;
LDR W3,[X2,#4] ;
ADD X2,X2,#4 ;
STR X2,[X1] ;
forall (0:X0=a /\\ 0:X3=42 /\\ p=a[1])`);
    const verdict = checkLitmus(test);
    expect(verdict.ok).toBe(true);
    expect(formatVerdict(verdict)).toContain('0:X0=a; 0:X3=42; [p]=a[1];');
  });

  it('counts executions outside the filter neither way', () => {
    const test = readLitmus(`C T
{}
P0(int *x) { WRITE_ONCE(*x, 1); }
P1(int *x) { int r0; r0 = READ_ONCE(*x); }
filter (1:r0=1)
forall (1:r0=1)`);
    expect(checkLitmus(test)).toMatchObject({ positive: 1, negative: 0, observation: 'Always', ok: true });
  });

  it('~exists is fine when nothing satisfies it', () => {
    const test = readLitmus('C T\n{}\nP0(int *x) { WRITE_ONCE(*x, 1); }\n~exists (x=0)');
    expect(checkLitmus(test)).toMatchObject({ positive: 0, ok: true, observation: 'Never' });
  });
});
