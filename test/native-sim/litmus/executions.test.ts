/**
 * Which executions there are at all: none may be lost on the way to the model, and where none is left, that is an error and no
 * verdict.
 */
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import { LitmusLimitExceeded, NoExecution } from '../../../native-sim/litmus/errors.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

const check = (text: string) => checkLitmus(readLitmus(text));

describe('a thread that goes astray', () => {
  it('has still written what it wrote before: the value gets to the others', () => {
    // P1 gets as far as its second store only once P0 has seen the first.
    const verdict = check(`C published-late
{ int *p; int a = 5; }
P0(int **p, int *flag, int *a) { int r0; r0 = READ_ONCE(*flag); if (r0) WRITE_ONCE(*p, a); }
P1(int **p, int *flag) { int *r1; int r2; WRITE_ONCE(*flag, 1); r1 = READ_ONCE(*p); r2 = READ_ONCE(*r1); }
exists (1:r2=5)`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 1 });
  });

  it('always: there is no verdict', () => {
    const text =
      'C null\n{ int *p; }\nP0(int **p) { int *r0; int r1; r0 = READ_ONCE(*p); r1 = READ_ONCE(*r0); }\nexists (0:r1=0)';
    expect(() => check(text)).toThrow(NoExecution);
    expect(() => check(text)).toThrow('no location');
  });

  it('a deadlock is no verdict either', () => {
    const text = 'C deadlock\n{}\nP0(spinlock_t *s) { spin_lock(s); spin_lock(s); }\nexists (s=0)';
    expect(() => check(text)).toThrow('it deadlocks');
  });
});

describe('loops', () => {
  it('one that counts is run to its end', () => {
    const verdict = check(`AArch64 count
{}
P0 ;
MOV W0,#10 ;
L: ADD W1,W1,#1 ;
SUB W0,W0,#1 ;
CBNZ W0,L ;
forall (0:X1=10)`);
    expect(verdict).toMatchObject({ observation: 'Always', cut: false });
  });

  it('in C too, with for, do, break and continue', () => {
    const verdict = check(`C loops
{}
P0(int *x) {
  int i; int sum; int odd; int n;
  sum = 0; odd = 0; n = 0;
  for (i = 0; i < 8; i++) { if (i == 5) break; sum += i; }
  while (n < 6) { n++; if (n & 1) continue; odd++; }
  do { n = n - 1; } while (n > 2);
}
forall (0:sum=10 /\\ 0:i=5 /\\ 0:odd=3 /\\ 0:n=2)`);
    expect(verdict).toMatchObject({ observation: 'Always', cut: false });
  });

  it('what comes after a continue depends on its condition', () => {
    const buffering = (body: string): string =>
      check(`C LB
{}
P0(int *x, int *y) { int r0; int i; for (i = 0; i < 1; i++) { r0 = READ_ONCE(*x); ${body} } }
P1(int *x, int *y) { int r0; r0 = READ_ONCE(*y); smp_store_release(x, 1); }
exists (0:r0=1 /\\ 1:r0=1)`).observation;
    expect(buffering('if (!r0) continue; WRITE_ONCE(*y, 1);')).toBe('Never');
    expect(buffering('if (!r0) i = 0; WRITE_ONCE(*y, 1);')).toBe('Sometimes');
  });
});

describe('a loop that tries a store-conditional until it succeeds', () => {
  it.each([
    ['AArch64', '{ x=1; 0:X0=x; }', ['L: LDXR W1,[X0]', 'MOV W3,#2', 'STXR W4,W3,[X0]', 'CBNZ W4,L']],
    [
      'AArch64, by the flags',
      '{ x=1; 0:X0=x; }',
      ['L: LDXR W1,[X0]', 'MOV W3,#2', 'STXR W4,W3,[X0]', 'CMP W4,#0', 'CSET W5,NE', 'CBNZ W5,L'],
    ],
    ['RISCV', '{ x=1; 0:x6=x; }', ['L: lr.w x5,(x6)', 'ori x7,x0,2', 'sc.w x8,x7,(x6)', 'bne x8,x0,L']],
    ['PPC', '{ x=1; 0:r2=x; }', ['L: lwarx r1,r0,r2', 'li r3,2', 'stwcx. r3,r0,r2', 'bne L']],
  ])('%s: is followed for as many turns as any other, not like one that counts', (what, init, rows) => {
    const text = `${what.split(',')[0]} T\n${init}\nP0 ;\n${rows.map((row) => `${row} ;\n`).join('')}forall (x=2)`;
    expect(check(text)).toMatchObject({ observation: 'Always', positive: 3, cut: true });
  });
});

describe('a loop that never ends as far as it is followed', () => {
  it('says so beside its verdict, which is of no execution at all', () => {
    const verdict = check(`C spin\n{}\nP0(int *x) { while (READ_ONCE(*x) == 0) {} }\nexists (x=0)`);
    expect(verdict).toMatchObject({ observation: 'Never', positive: 0, negative: 0, cut: true });
    expect(verdict.notes).toEqual(['no execution ends within the turns that loops are followed for']);
  });

  it('does not where another way ends', () => {
    const verdict = check(`C wait
{}
P0(int *x) { while (READ_ONCE(*x) == 0) {} }
P1(int *x) { WRITE_ONCE(*x, 1); }
exists (x=1)`);
    expect(verdict).toMatchObject({ observation: 'Always', cut: true, notes: [] });
  });
});

describe('large tests', () => {
  it('a long chain of threads has few executions, and takes no long time', () => {
    const links = Array.from({ length: 9 }, (_, at) => {
      return `P${at}(int *x${at}, int *x${at + 1}) { int t; t = READ_ONCE(*x${at}); WRITE_ONCE(*x${at + 1}, t); }`;
    });
    const verdict = check(`C chain\n{ x0 = 1; }\n${links.join('\n')}\nexists (x9=1)`);
    expect(verdict.observation).toBe('Sometimes');
    expect(verdict.candidates).toBeLessThan(10_000);
  });

  it('a candidate of many events uses up more of the limit than one of few', () => {
    const candidates = (threads: number): number => {
      const links = Array.from({ length: threads }, (_, at) => {
        return `P${at}(int *x${at}, int *x${at + 1}) { int t; t = READ_ONCE(*x${at}); WRITE_ONCE(*x${at + 1}, t); }`;
      });
      const test = readLitmus(`C chain\n{ x0 = 1; }\n${links.join('\n')}\nexists (x${threads}=1)`);
      let most = 0;
      const progress = (_steps: number, seen: number) => {
        most = Math.max(most, seen);
      };
      expect(checkLitmus(test, { progress, steps: 150_000 }).sampled).toBe(true);
      return most;
    };
    // 20 threads have 40 events, 60 have 120: a look at one of the latter costs nine times as many pairs.
    expect(candidates(60)).toBeLessThan(candidates(20) / 3);
  });

  it('six threads that count on one location are ordered by what they read', () => {
    const threads = Array.from({ length: 6 }, (_, at) => {
      return `P${at}(atomic_t *x) { int r0; r0 = atomic_fetch_inc(x); }`;
    });
    const verdict = check(`C count\n{}\n${threads.join('\n')}\nforall (x=6)`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 720 });
  });

  it('what a thread alone writes, it reads as it wrote it last', () => {
    const updates = Array.from({ length: 30 }, (_, at) => `r${at} = atomic_inc_return(x);`).join(' ');
    const verdict = check(`C alone
{}
P0(atomic_t *x, int *y, int *z) { r30 = READ_ONCE(*z); ${updates} WRITE_ONCE(*y, r29); }
P1(int *y, int *z) { int r0; WRITE_ONCE(*z, 1); smp_mb(); r0 = READ_ONCE(*y); }
forall (x=30 /\\ (1:r0=0 \\/ 1:r0=30))`);
    expect(verdict).toMatchObject({ observation: 'Always', positive: 4, sampled: false });
  });

  it('what one thread can do by itself counts towards the limit too', () => {
    const text =
      'AArch64 T\n{ 0:X1=x; }\nP0 | P1 ;\nMOV W0,#40 | MOV W0,#1 ;\nL: LDR W2,[X1] | ADR X1,x ;\nSUBS W0,W0,#1 | STR W0,[X1] ;\nB.NE L | ;\nexists (x=1)';
    expect(() => checkLitmus(readLitmus(text), { steps: 100_000 })).toThrow('too large: more than 100,000 steps');
  });

  it('what a thread reads must come from others: two that count up are followed no further than they can get', () => {
    const up = 'r1 = READ_ONCE(*c); WRITE_ONCE(*c, r1 + 1); ';
    const thread = (at: number): string => `P${at}(int *c) { int r1; ${up}${up}}`;
    const reader = 'P2(int *c) { int r1; int r2; r1 = READ_ONCE(*c); r2 = READ_ONCE(*c); }';
    const test = readLitmus(`C count\n{}\n${thread(0)}\n${thread(1)}\n${reader}\nexists (2:r1=5 \\/ c=5)`);
    expect(checkLitmus(test, { steps: 3_000_000 })).toMatchObject({ observation: 'Never', sampled: false });
  });

  it('work without an end is an error, not a wait', () => {
    const threads = Array.from({ length: 7 }, (_, at) => {
      return `P${at}(int *x) { int r0; int r1; WRITE_ONCE(*x, ${at + 1}); r0 = READ_ONCE(*x); r1 = READ_ONCE(*x); }`;
    });
    let reports = 0;
    // Two threads see two writes in different orders: only coherence tells that this cannot be.
    const end = 'exists (0:r0=3 /\\ 0:r1=4 /\\ 1:r0=4 /\\ 1:r1=3)';
    const test = readLitmus(`C many\n{}\n${threads.join('\n')}\n${end}`);
    expect(() => checkLitmus(test, { progress: () => reports++, steps: 300_000 })).toThrow(LitmusLimitExceeded);
    expect(reports).toBeGreaterThan(0);
  });
});
