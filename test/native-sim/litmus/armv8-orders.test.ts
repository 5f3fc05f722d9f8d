/**
 * What Armv8 keeps in order inside a thread, beyond what shows in the classic tests. Each case is message passing or load
 * buffering with the construct in question in one thread and an order that nobody doubts in the other; its comment
 * is the path that orders it, in the terms of Arm's model, or why there is none.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

function table(left: readonly string[], right: readonly string[]): string {
  const rows = Array.from({ length: Math.max(left.length, right.length) }, (_, at) => {
    return `${left[at] ?? ''} | ${right[at] ?? ''} ;`;
  });
  return `P0 | P1 ;\n${rows.join('\n')}`;
}

const registers = '1:X1=x; 1:X2=y; 1:X3=z; 1:X4=w; 1:X8=1; 1:X9=2;';

/** P0 writes x, then y with release. P1 sees y in W0, does `code`, and reads x into W6. */
function messagePassing(...code: string[]): string {
  const left = ['MOV W0,#1', 'STR W0,[X1]', 'STLR W0,[X2]'];
  const test = `AArch64 MP\n{ 0:X1=x; 0:X2=y; ${registers} }\n${table(left, ['LDR W0,[X2]', ...code])}
exists (1:X0=1 /\\ 1:X6=0)`;
  return checkLitmus(readLitmus(test)).observation;
}

/** P0 reads x and writes y with release. P1 sees y in W0, and `code` writes x. */
function loadBuffering(...code: string[]): string {
  const left = ['LDR W0,[X1]', 'MOV W3,#1', 'STLR W3,[X2]'];
  const test = `AArch64 LB\n{ 0:X1=x; 0:X2=y; ${registers} }\n${table(left, ['LDR W0,[X2]', ...code])}
exists (0:X0=1 /\\ 1:X0=1)`;
  return checkLitmus(readLitmus(test)).observation;
}

const pick = ['CMP W0,#1', 'CSEL W5,W8,W9,EQ'];
const one = (from: string): string[] => [`EOR W7,${from},${from}`, 'ADD W7,W7,#1'];

describe('dependencies go on through memory', () => {
  it('a picked value that is stored and loaded again still picks what is stored next', () => {
    // pick-dep: CSEL, data to the store, lrs to the load, data to the store of x
    expect(loadBuffering(...pick, 'STR W5,[X3]', 'LDR W6,[X3]', ...one('W6'), 'STR W7,[X1]')).toBe('Never');
  });

  it('and through a second location', () => {
    const twice = ['STR W5,[X3]', 'LDR W6,[X3]', 'STR W6,[X4]', 'LDR W6,[X4]'];
    expect(loadBuffering(...pick, ...twice, ...one('W6'), 'STR W7,[X1]')).toBe('Never');
  });

  it('a pick never orders a later load', () => {
    expect(messagePassing(...pick, 'STR W5,[X3]', 'LDR W7,[X3]', 'EOR W7,W7,W7', 'LDR W6,[X1,W7,SXTW]')).toBe(
      'Sometimes',
    );
  });

  it('but does so with a branch on what came back from memory, and ISB', () => {
    // pick-ctrl-dep; [CSE]; po
    const branch = ['STR W5,[X3]', 'LDR W7,[X3]', 'CBNZ W7,L', 'L: ISB', 'LDR W6,[X1]'];
    expect(messagePassing(...pick, ...branch)).toBe('Never');
  });

  it('not through a store that another one hides', () => {
    const hidden = ['STR W5,[X3]', 'STR W8,[X3]', 'LDR W6,[X3]'];
    expect(loadBuffering(...pick, ...hidden, ...one('W6'), 'STR W7,[X1]')).toBe('Sometimes');
  });
});

describe('what a pick orders before a store', () => {
  it('all that the picked store orders: an acquire of it, and a store behind that', () => {
    // pick-lob: data at the store, lrs to LDAR, [A]; po
    expect(loadBuffering(...pick, 'STR W5,[X3]', 'LDAR W6,[X3]', 'STR W8,[X1]')).toBe('Never');
    expect(loadBuffering(...pick, 'STR W5,[X3]', 'LDR W6,[X3]', 'STR W8,[X1]')).toBe('Sometimes');
  });

  it('the comparison of CAS decides about its store, and about who reads that', () => {
    const code = ['MOV W5,#0', 'CAS W5,W0,[X3]', 'LDR W6,[X3]', 'CBNZ W6,L', 'L: STR W8,[X1]'];
    expect(loadBuffering(...code)).toBe('Never');
  });

  it('a read of CAS is before a store that depends on the value it wrote', () => {
    const test = `AArch64 LB+CAS
{ 0:X1=x; 0:X2=y; 1:X1=x; 1:X2=y; 1:X8=1; 1:X9=2; }
${table(
  ['LDR W0,[X1]', 'DMB SY', 'MOV W3,#1', 'STR W3,[X2]'],
  ['MOV W5,#1', 'CAS W5,W9,[X2]', 'LDR W6,[X2]', 'CBNZ W6,L', 'L: STR W8,[X1]'],
)}
exists (0:X0=1 /\\ 1:X5=1 /\\ 1:X6=2)`;
    expect(checkLitmus(readLitmus(test)).observation).toBe('Never');
  });
});

describe('an acquire of what the same thread wrote with a read-modify-write', () => {
  it('is after the read half', () => {
    // rmw; lrs; [A]
    const code = ['MOV W7,#2', 'SWP W7,W5,[X2]', 'LDAR W7,[X2]', 'LDR W6,[X1]'];
    const left = ['MOV W0,#1', 'STR W0,[X1]', 'STLR W0,[X2]'];
    const test = `AArch64 MP\n{ 0:X1=x; 0:X2=y; 1:X1=x; 1:X2=y; }\n${table(left, code)}\nexists (1:X5=1 /\\ 1:X6=0)`;
    expect(checkLitmus(readLitmus(test)).observation).toBe('Never');
  });

  it('but not after the write half: what ordered that one stays behind', () => {
    expect(messagePassing('CBNZ W0,L', 'L: SWP WZR,WZR,[X3]', 'LDAPR W7,[X3]', 'LDR W6,[X1]')).toBe('Sometimes');
    const exclusive = ['CBNZ W0,L', 'L: LDXR W7,[X3]', 'STXR W5,W8,[X3]', 'LDAR W7,[X3]', 'LDR W6,[X1]'];
    expect(messagePassing(...exclusive)).toBe('Sometimes');
  });
});

describe('branches', () => {
  it('one holds back a load only with an ISB behind it', () => {
    // ctrl; [ISB]; po
    expect(messagePassing('CBNZ W0,L', 'L: ISB', 'LDR W6,[X1]')).toBe('Never');
    expect(messagePassing('CBNZ W0,L', 'L: LDR W6,[X1]')).toBe('Sometimes');
  });
});

describe('atomics', () => {
  it('DMB LD waits for what LDADD read, but not where the register is discarded', () => {
    const passing = (to: string): string => {
      const left = ['MOV W0,#1', 'STR W0,[X1]', 'STLR W0,[X2]'];
      const right = [`LDADD W8,${to},[X2]`, 'DMB LD', 'LDR W6,[X1]'];
      // y is 2 where the one was added to what P0 stored.
      const test = `AArch64 MP\n{ 0:X1=x; 0:X2=y; ${registers} }\n${table(left, right)}\nexists (y=2 /\\ 1:X6=0)`;
      return checkLitmus(readLitmus(test)).observation;
    };
    expect(passing('W5')).toBe('Never');
    expect(passing('WZR')).toBe('Sometimes');
  });

  it('SWPAL is a barrier, a pair of exclusives with acquire and release is none', () => {
    const storeBuffering = (...store: string[]): string => {
      const thread = [...store, 'LDR W6,[X2]'];
      const test = `AArch64 SB
{ 0:X1=x; 0:X2=y; 0:X8=1; 1:X1=y; 1:X2=x; 1:X8=1; }
${table(thread, thread)}
exists (0:X6=0 /\\ 1:X6=0 /\\ 0:X4=0 /\\ 1:X4=0)`;
      return checkLitmus(readLitmus(test)).observation;
    };
    expect(storeBuffering('SWPAL W8,W4,[X1]')).toBe('Never');
    expect(storeBuffering('LDAXR W5,[X1]', 'STLXR W4,W8,[X1]')).toBe('Sometimes');
  });

  it('a release is before a later LDAR, and may be passed by a later LDAPR', () => {
    const storeBuffering = (load: string): string => {
      const left = ['MOV W0,#1', 'STR W0,[X1]', 'DMB SY', 'LDR W6,[X2]'];
      const right = ['STLR W8,[X2]', `${load} W6,[X1]`];
      const test = `AArch64 SB\n{ 0:X1=x; 0:X2=y; ${registers} }\n${table(left, right)}\nexists (0:X6=0 /\\ 1:X6=0)`;
      return checkLitmus(readLitmus(test)).observation;
    };
    expect(storeBuffering('LDAR')).toBe('Never');
    expect(storeBuffering('LDAPR')).toBe('Sometimes');
  });
});

describe('barriers', () => {
  const storeBuffering = (barrier: string): string => {
    const thread = ['MOV W0,#1', 'STR W0,[X1]', barrier, 'LDR W3,[X2]'];
    const test = `AArch64 SB\n{ 0:X1=x; 0:X2=y; 1:X1=y; 1:X2=x; }\n${table(thread, thread)}\nexists (0:X3=0 /\\ 1:X3=0)`;
    return checkLitmus(readLitmus(test)).observation;
  };

  it.each([
    ['DMB ST', 'Sometimes'],
    ['DSB ST', 'Never'],
    ['DSB ISHST', 'Never'],
    ['DSB LD', 'Sometimes'],
    ['DSB SY', 'Never'],
    ['DSB NSH', 'Sometimes'],
  ])('%s between a store and a load: %s', (barrier, verdict) => {
    expect(storeBuffering(barrier)).toBe(verdict);
  });
});

describe('exclusives', () => {
  const states = (code: string, condition: string): string => {
    const rows = code.split('; ').map((row) => `${row} ;`);
    return checkLitmus(readLitmus(`AArch64 T\n{ 0:X0=x; x=1; }\nP0 ;\n${rows.join('\n')}\n${condition}`)).observation;
  };

  it('a second store after one load must fail, whether the first succeeded or not', () => {
    const code = 'MOV W3,#2; MOV W5,#3; LDXR W1,[X0]; STXR W4,W3,[X0]; STXR W6,W5,[X0]';
    expect(states(code, 'exists (0:X6=0)')).toBe('Never');
    expect(states(code, 'exists (0:X4=0)')).toBe('Sometimes');
  });

  it('a plain store of the same thread in between does not forbid the pair', () => {
    expect(states('MOV W3,#2; MOV W5,#3; LDXR W1,[X0]; STR W3,[X0]; STXR W6,W5,[X0]', 'exists (0:X6=0 /\\ x=3)')).toBe(
      'Sometimes',
    );
  });
});
