/**
 * Code as a value: branches through registers, calls and returns, labels that are stored and compared.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { LitmusSyntaxError, UnsupportedConstruct } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';
import { formatVerdict } from '../../../native-sim/litmus/report.ts';

const verdictOn = (text: string) => checkLitmus(readLitmus(text));

function messageOf(text: string, kind: typeof LitmusSyntaxError | typeof UnsupportedConstruct): string {
  try {
    verdictOn(text);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(kind);
    return (thrown as Error).message;
  }
  return 'a verdict';
}

describe('calls', () => {
  it('BL and BLR leave the address after them for RET, which ends a thread that nobody called', () => {
    const verdict = verdictOn(`AArch64 calls
{ 0:X1=x; 0:X9=P0:Twice; }
P0 ;
MOV W2,#1 ;
BL Twice ;
BLR X9 ;
ADD W2,W2,#1 ;
STR W2,[X1] ;
B End ;
Twice: ;
ADD W2,W2,W2 ;
RET ;
MOV W2,#100 ;
End: ;
forall (x=5 /\\ 0:X2=5)`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 1 });
    expect(verdictOn('AArch64 end\n{}\nP0 ;\nMOV W0,#1 ;\nRET ;\nMOV W0,#2 ;\nforall (0:X0=1)').ok).toBe(true);
  });

  it('RET goes where the register it names says', () => {
    const text = 'AArch64 T\n{ 0:X5=P0:L; }\nP0 ;\nRET X5 ;\nMOV W0,#1 ;\nL: ADD W0,W0,#2 ;\nforall (0:X0=2)';
    expect(verdictOn(text).ok).toBe(true);
  });
});

describe('a branch over so many bytes', () => {
  it.each([
    ['back', 'ADD W1,W1,#2 ; SUBS W0,W0,#1 ; CBNZ W0,.-8 ; NOP', 6],
    ['forth', 'MOV W1,#1 ; B .+8 ; MOV W1,#2 ; ADD W1,W1,#4', 5],
    ['on a condition', 'CMP W0,#3 ; B.EQ .+8 ; MOV W1,#2 ; ADD W1,W1,#4', 4],
  ])('%s: counts the instructions of the thread, not the rows of the table', (_, code, value) => {
    const rows = code.split(' ; ').flatMap((instruction) => [`${instruction} | NOP ;`, ' | NOP ;']);
    const text = `AArch64 T\n{ 0:X0=3; }\nP0 | P1 ;\n${rows.join('\n')}\nforall (0:X1=${value})`;
    expect(verdictOn(text)).toMatchObject({ observation: 'Always', cut: false });
  });
});

describe('labels', () => {
  it('a thread runs the code of another, whose branches mean the labels beside them', () => {
    const verdict = verdictOn(`AArch64 elsewhere
{ 0:X1=P1:There; 0:X8=P0:Back; 1:X8=P1:End; }
P0 | P1 ;
BR X1 | MOV W9,#10 ;
Back: ADD W9,W9,#1 | There: ADD W9,W9,#2 ;
B End | B On ;
On: MOV W9,#99 | MOV W9,#99 ;
End: | On: ADD W9,W9,#4 ;
 | BR X8 ;
 | End: ;
forall (0:X9=7 /\\ 1:X9=16)`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 1 });
  });

  it('a branch means the label of its own thread before that of another', () => {
    const text =
      'AArch64 T\n{}\nP0 | P1 ;\nL: MOV W0,#1 | B L ;\n | MOV W0,#2 ;\n | L: ADD W0,W0,#3 ;\nforall (1:X0=3)';
    expect(verdictOn(text).ok).toBe(true);
  });

  it('an address of code travels through memory, and is shown by its label', () => {
    const verdict = verdictOn(`AArch64 travel
{ uint64_t y=P1:B; 0:X3=y; 1:X3=y; }
P0 | P1 ;
ADR X0,A | LDR X0,[X3] ;
STR X0,[X3] | BR X0 ;
 | A: MOV W2,#1 ;
 | B End ;
 | B: MOV W2,#2 ;
 | End: ;
forall ((1:X2=1 /\\ 1:X0=P1:A) \\/ (1:X2=2 /\\ 1:X0=label:"P1:B"))`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 2 });
    expect(formatVerdict(verdict)).toContain('1:X0=label:"P1:B"; 1:X2=2;');
  });

  it('an address of code that has no label is shown by its distance from the beginning', () => {
    const text = 'AArch64 T\n{}\nP0 ;\nBL F ;\nF: NOP ;\nMOV X1,X30 ;\nADD X1,X1,#4 ;\nforall (0:X1=0)';
    expect(formatVerdict(verdictOn(text))).toContain('0:X1=P0+8;');
  });

  it('a symbol and a label may be told apart by whether there is such a label', () => {
    const text =
      'AArch64 T\n{ x=3; }\nP0 ;\nADR X1,x ;\nLDR W0,[X1] ;\nADR X2,L ;\nL: NOP ;\nforall (0:X0=3 /\\ 0:X2=P0:L)';
    expect(verdictOn(text).ok).toBe(true);
  });

  it('RISC-V takes the address of a label too', () => {
    expect(verdictOn('RISCV T\n{}\nP0 ;\nla x5,L ;\nL: nop ;\nforall (0:x5=P0:L)').ok).toBe(true);
  });
});

describe('a branch through a register', () => {
  const messagePassing = (after: string): string => `AArch64 MP+dmb.st+addr-br-${after}
{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }
P0 | P1 ;
MOV W0,#1 | LDR W0,[X3] ;
STR W0,[X1] | EOR W4,W0,W0 ;
DMB ST | ADR X5,L ;
STR W0,[X3] | ADD X5,X5,W4,SXTW ;
 | BR X5 ;
 | L: ${after} ;
 | LDR W2,[X1] ;
exists (1:X0=1 /\\ 1:X2=0)`;

  it('is a control dependency on what the register was computed from', () => {
    expect(verdictOn(messagePassing('ISB')).observation).toBe('Never');
    expect(verdictOn(messagePassing('NOP')).observation).toBe('Sometimes');
  });

  it('that goes round on what was read is followed as often as any loop, and one that only counts to its end', () => {
    const spin =
      'AArch64 T\n{ 0:X1=x; }\nP0 ;\nL: LDR W0,[X1] ;\nADR X5,L ;\nEOR W4,W0,W0 ;\nADD X5,X5,W4,SXTW ;\nBR X5 ;\nforall true';
    expect(verdictOn(spin)).toMatchObject({ cut: true, positive: 0 });
    const count =
      'AArch64 T\n{ 0:X1=9; }\nP0 ;\nL: SUBS X1,X1,#1 ;\nADR X5,L ;\nADR X6,End ;\nCSEL X5,X5,X6,NE ;\nBR X5 ;\nEnd: ;\nforall (0:X1=0)';
    expect(verdictOn(count)).toMatchObject({ cut: false, ok: true });
  });
});

describe('what cannot be done with code', () => {
  it.each([
    ['read', 'LDR W1,[X0]'],
    ['written', 'STR W1,[X0]'],
  ])('it is not %s', (_, access) => {
    const text = `AArch64 T\n{}\nP0 ;\nADR X0,L ;\nL: ${access} ;\nexists (0:X1=0)`;
    expect(messageOf(text, UnsupportedConstruct)).toBe('unsupported: access to code (instruction fetch)');
  });

  it('a label that is nowhere is reported where it is named', () => {
    expect(messageOf('AArch64 T\n{}\nP0 ;\nBL Away ;\nexists (x=1)', LitmusSyntaxError)).toBe(
      '4:4: expected a label of the test, found "Away"',
    );
    expect(messageOf('AArch64 T\n{ 0:X1=P0:L; }\nP0 ;\nNOP ;\nexists (x=1)', LitmusSyntaxError)).toBe(
      '2:11: expected a label of that thread, found "L"',
    );
    expect(messageOf('AArch64 T\n{}\nP0 ;\nNOP ;\nexists (0:X1=label:"P0:L")', LitmusSyntaxError)).toBe(
      '5:20: expected a label of the test in quotes ("P0:L0"), found "\\"P0:L\\""',
    );
  });

  it('a branch to where no code is leaves no execution', () => {
    expect(() => verdictOn('AArch64 T\n{}\nP0 ;\nBR X1 ;\nexists (x=1)')).toThrow('accesses what is no location');
  });
});
