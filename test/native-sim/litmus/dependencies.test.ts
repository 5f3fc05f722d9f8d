/**
 * Dependencies are what keeps load buffering from happening: a dependency that is missed makes a forbidden outcome
 * allowed, one that is invented makes an allowed outcome forbidden. Each case is load buffering with the construct in
 * question in one thread and a release in the other.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

/** P0 reads x into W0, does `code`, which stores to y; P1 passes y on to x. */
function aarch64(...code: string[]): string {
  const right = ['LDR W0,[X3]', 'MOV W2,#1', 'STLR W2,[X1]'];
  const left = ['LDR W0,[X1]', ...code];
  const rows = left.map((cell, at) => `${cell} | ${right[at] ?? ''} ;`);
  for (let at = left.length; at < right.length; at++) rows.push(` | ${right[at]} ;`);
  const test = `AArch64 LB
{ 0:X1=x; 0:X3=y; 0:X6=z; 0:X7=1; 1:X1=x; 1:X3=y; z=1; }
P0 | P1 ;
${rows.join('\n')}
exists (0:X0=1 /\\ 1:X0=1)`;
  return checkLitmus(readLitmus(test)).observation;
}

describe('AArch64 dependencies from a load to a store', () => {
  const ordered: readonly (readonly [string, string[]])[] = [
    ['data', ['STR W0,[X3]']],
    ['data through arithmetic', ['EOR W2,W0,W0', 'ADD W2,W2,#1', 'STR W2,[X3]']],
    ['address', ['EOR W2,W0,W0', 'STR W7,[X3,W2,SXTW]']],
    ['address of an access in between', ['EOR W2,W0,W0', 'LDR W4,[X6,W2,SXTW]', 'STR W7,[X3]']],
    ['control', ['CBNZ W0,L', 'L: NOP', 'STR W7,[X3]']],
    ['control by flags', ['CMP W0,#5', 'B.NE L', 'L: NOP', 'STR W7,[X3]']],
    ['the value of CSEL', ['CMP W7,#1', 'CSEL W2,W0,W7,EQ', 'STR W2,[X3]']],
    ['the pick of CSEL', ['CMP W0,#5', 'CSEL W2,W7,W7,EQ', 'STR W2,[X3]']],
    ['the operand of LDADD', ['LDADD W0,W2,[X3]']],
    ['the comparison of CAS', ['MOV W2,#0', 'EOR W4,W0,W0', 'CAS W4,W7,[X3]']],
    ['the value of STXR', ['LDXR W2,[X3]', 'STXR W4,W0,[X3]']],
    ['a load barrier', ['DMB LD', 'STR W7,[X3]']],
  ];
  it.each(ordered)('%s orders', (_, code) => {
    expect(aarch64(...code)).toBe('Never');
  });

  const unordered: readonly (readonly [string, string[]])[] = [
    ['nothing', ['STR W7,[X3]']],
    ['a register that is overwritten', ['MOV W0,W0', 'MOV W2,W0', 'MOV W2,#1', 'STR W2,[X3]']],
    ['the side of CSEL that is not taken', ['MOV W2,W0', 'CMP W7,#1', 'CSEL W2,W7,W2,EQ', 'STR W2,[X3]']],
    ['the status of STXR', ['LDXR W2,[X6]', 'STXR W4,W0,[X6]', 'CBNZ W4,L', 'L: STR W7,[X3]']],
    ['a store barrier', ['DMB ST', 'STR W7,[X3]']],
    ['ISB alone', ['ISB', 'STR W7,[X3]']],
  ];
  it.each(unordered)('%s does not order', (_, code) => {
    expect(aarch64(...code)).toBe('Sometimes');
  });
});

/** P0 reads x into r0 and does `code`, which stores to y; P1 passes y on to x. */
function linux(code: string): string {
  const test = `C LB
{}
P0(int *x, int *y, int *z) { int r0; int r1; r0 = READ_ONCE(*x); ${code} }
P1(int *x, int *y) { int r0; r0 = READ_ONCE(*y); smp_store_release(x, 1); }
exists (0:r0=1 /\\ 1:r0=1)`;
  return checkLitmus(readLitmus(test)).observation;
}

describe('kernel dependencies from a load to a store', () => {
  const ordered: readonly (readonly [string, string])[] = [
    ['data', 'WRITE_ONCE(*y, r0);'],
    ['data that does not vary', 'WRITE_ONCE(*y, (r0 ^ r0) + 1);'],
    ['address', 'WRITE_ONCE(*(y + (r0 ^ r0)), 1);'],
    ['control', 'if (r0) WRITE_ONCE(*y, 1);'],
    ['control of the other arm', 'if (!r0) r1 = 0; else { WRITE_ONCE(*y, 1); }'],
    ['control by a comparison of both', 'r1 = READ_ONCE(*z); if (r0 == 1 || r1 == 1) WRITE_ONCE(*y, 1);'],
    ['a marked store and its own reload', 'WRITE_ONCE(*z, r0); r1 = READ_ONCE(*z); WRITE_ONCE(*y, r1);'],
    ['the operand of an atomic', 'atomic_add(r0, y);'],
    ['the sum that an atomic returns', 'r1 = atomic_add_return_relaxed(r0, z); WRITE_ONCE(*y, r1);'],
  ];
  it.each(ordered)('%s orders', (_, code) => {
    expect(linux(code)).toBe('Never');
  });

  const unordered: readonly (readonly [string, string])[] = [
    ['nothing', 'WRITE_ONCE(*y, 1);'],
    ['a control dependency that has ended', 'if (r0) r1 = 1; WRITE_ONCE(*y, 1);'],
    ['a value that is overwritten', 'r1 = r0; r1 = 1; WRITE_ONCE(*y, r1);'],
    ['the old value that an atomic returns', 'r1 = atomic_fetch_add_relaxed(r0, z); WRITE_ONCE(*y, r1 + 1);'],
    ['a compiler barrier', 'barrier(); WRITE_ONCE(*y, 1);'],
    ['a failed compare-and-exchange', 'r1 = cmpxchg(z, 5, 6); WRITE_ONCE(*y, 1);'],
  ];
  it.each(unordered)('%s does not order', (_, code) => {
    expect(linux(code)).toBe('Sometimes');
  });

  it('a full exchange orders what surrounds it, a failed one nothing', () => {
    expect(linux('r1 = cmpxchg(z, 0, 6); WRITE_ONCE(*y, 1);')).toBe('Never');
  });
});

describe('values', () => {
  it('growing sums end, and no chain is lost', () => {
    const test = readLitmus(`C grow
{}
P0(int *x, int *y) { int r0; r0 = READ_ONCE(*x); WRITE_ONCE(*y, r0 + 1); }
P1(int *x, int *y) { int r0; r0 = READ_ONCE(*y); WRITE_ONCE(*x, r0 + 1); }
P2(int *x) { int r0; r0 = READ_ONCE(*x); }
exists (2:r0=2)`);
    const verdict = checkLitmus(test);
    expect(verdict.observation).toBe('Sometimes');
    expect(verdict.states.map((state) => Number(state.values[0]))).toEqual([0, 1, 2]);
  });

  it('a pointer read from memory is followed to where it points', () => {
    const test = readLitmus(`C chase
{ int *p = &a; a = 5; b = 7; }
P0(int **p, int *b) { WRITE_ONCE(*p, b); }
P1(int **p) { int *r0; int r1; r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0); }
exists (1:r0=b /\\ 1:r1=5 \\/ 1:r0=a /\\ 1:r1=7)`);
    expect(checkLitmus(test).observation).toBe('Never');
  });

  it('a loop that is cut short says so', () => {
    const test = readLitmus(`AArch64 spin
{ 0:X1=x; 1:X1=x; }
P0 | P1 ;
L: LDR W0,[X1] | MOV W0,#1 ;
CBZ W0,L | STR W0,[X1] ;
forall (0:X0=1)`);
    expect(checkLitmus(test)).toMatchObject({ ok: true, cut: true });
  });
});

describe('the number of executions', () => {
  const four = (statement: (location: string) => string): string => ['w', 'x', 'y', 'z'].map(statement).join(' ');
  const writer = (thread: number): string =>
    `P${thread}(int *w, int *x, int *y, int *z) { ${four((l) => `WRITE_ONCE(*${l}, ${thread + 1});`)} }\n`;

  it('loses none by giving up on the hopeless half way: every order of four independent pairs of stores', () => {
    const test = readLitmus(`C 4x2W\n{}\n${writer(0)}${writer(1)}exists (w=1)`);
    for (const model of ['sc', 'x86-tso', 'armv8', 'lkmm'] as const) {
      expect(checkLitmus(test, { model })).toMatchObject({ positive: 8, negative: 8 });
    }
  });

  it('loses none where reads are still to be decided: three values and two orders for each of four locations', () => {
    const reader =
      'P2(int *w, int *x, int *y, int *z) { int a; int b; int c; int d; a = READ_ONCE(*w); b = READ_ONCE(*x); c = READ_ONCE(*y); d = READ_ONCE(*z); }\n';
    const test = readLitmus(`C 4x2W+4R\n{}\n${writer(0)}${writer(1)}${reader}exists (2:a=0)`);
    expect(checkLitmus(test)).toMatchObject({ positive: 432, negative: 864 });
  });

  it('a read that is yet to be decided is not one of the initial value', () => {
    const ordered = (locations: string[], statement: (l: string) => string): string =>
      locations.map(statement).join(' smp_mb(); ');
    const test = readLitmus(`C chain
{}
P0(int *w, int *x, int *y, int *z) { ${ordered(['w', 'x', 'y', 'z'], (l) => `WRITE_ONCE(*${l}, 1);`)} }
P1(int *w, int *x, int *y, int *z) { int a; int b; int c; int d; ${ordered(['z', 'y', 'x', 'w'], (l) => `${{ w: 'a', x: 'b', y: 'c', z: 'd' }[l]} = READ_ONCE(*${l});`)} }
exists (1:a=1 /\\ 1:b=1 /\\ 1:c=1 /\\ 1:d=1)`);
    expect(checkLitmus(test)).toMatchObject({ positive: 1, negative: 4 });
  });
});
