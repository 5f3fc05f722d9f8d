/**
 * The verdicts that the field agrees on, model by model: SC, x86-TSO, Armv8, Linux kernel. Each row of the table is one
 * column pattern; A is allowed, F forbidden, - not a question for that model. A model that loses or gains an order shows
 * up here by the names of the tests it changes.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { checkLitmus } from '../../../native-sim/litmus/check.ts';
import type { ModelName } from '../../../native-sim/litmus/dialect.ts';
import { readLitmus } from '../../../native-sim/litmus/read.ts';

const directory = new URL('../../../native-sim/litmus/tests/', import.meta.url);
const models: readonly ModelName[] = ['sc', 'x86-tso', 'armv8', 'lkmm'];

const table: Readonly<Record<string, string>> = {
  FAAA: 'SB; SB+rfi; R',
  FAFA: 'SB+rel+acq',
  FFAA:
    'MP; MP+wmb+po; MP+po+rmb; MP+rel+ctrl; LB; S; 2+2W; WRC; ISA2; IRIW; SB+xchg_acquires; seqlock+no-wmb-after-odd; ' +
    'seqlock+no-wmb-before-even; seqlock+no-rmb-after-first; seqlock+no-rmb-before-second',
  FFFA:
    '2+2W+wmbs; R+wmb+mb; WRC+data+rmb; WWC+data+addr; W+RWC+rel+acq+mb; Z6.2+rel+acq+mb; IRIW+acqs; RWC+acq+mb; ' +
    '2+2W+rels',
  FFFF:
    'SB+mbs; SB+xchgs; MP+wmb+rmb; MP+rel+acq; MP+wmb+addr; MP+locks; LB+acq+rel; LB+mb+ctrl; LB+ctrls; LB+datas; ' +
    'S+wmb+acq; S+wmb+addr; R+mbs; WRC+rel+rmb; IRIW+mbs; ISA2+rel+acq; Z6.2+rels; W+RWC+mb+acq+mb; CoRR; CoRW; ' +
    'CoWR; CoWW; fetch-adds; seqlock',
  '---F': 'RCU+reader+gp; RCU-MP; RCU+2readers+2gps; SRCU+nested+gp; SRCU+down+up',
  '---A': 'RCU+2readers+gp; SRCU+other-domain; SRCU+overlap+gp',
};

const rows = Object.entries(table).flatMap(([verdicts, names]) =>
  names.split('; ').map((name) => [name, verdicts] as const),
);

function observed(name: string, model: ModelName): string {
  const test = readLitmus(readFileSync(new URL(`${name}.litmus`, directory), 'utf8'));
  return checkLitmus(test, { model }).positive > 0 ? 'A' : 'F';
}

describe('verdicts under SC, x86-TSO, Armv8 and the LKMM', () => {
  it.each(rows)('%s is %s', (name, verdicts) => {
    const found = models.map((model, at) => (verdicts[at] === '-' ? '-' : observed(name, model)));
    expect(found.join('')).toBe(verdicts);
  });

  it('covers every file there is', () => {
    const files = readdirSync(directory).map((file) => file.replace(/\.litmus$/, ''));
    expect(files.sort()).toEqual(rows.map(([name]) => name).sort());
  });
});

describe('read-modify-writes on Armv8', () => {
  const after = (primitive: string): string => `C SB+${primitive}
{}
P0(int *x, int *y) { int r0; int r1; r1 = ${primitive}(x, 1); r0 = READ_ONCE(*y); }
P1(int *x, int *y) { int r0; int r1; r1 = ${primitive}(y, 1); r0 = READ_ONCE(*x); }
exists (0:r0=0 /\\ 1:r0=0)`;

  /** A later plain store passes the store half of an exclusive exchange that has no barrier after it. */
  const assembly = (exchange: string): string => `AArch64 MP+${exchange}
{ 0:X1=x; 0:X3=y; 1:X1=x; 1:X3=y; }
P0 | P1 ;
MOV W0,#1 | LDR W0,[X3] ;
${exchange === 'SWPAL' ? 'SWPAL W0,W2,[X1]' : 'LDAXR W2,[X1] | ;\nSTLXR W4,W0,[X1] | ;\nCBNZ W4,Out'} | DMB LD ;
STR W0,[X3] | LDR W2,[X1] ;
Out: | ;
exists (1:X0=1 /\\ 1:X2=0)`;

  it('a full exchange is a full barrier whichever way it is made', () => {
    const test = readLitmus(after('xchg'));
    expect(checkLitmus(test, { model: 'armv8', rmw: 'lse' }).observation).toBe('Never');
    expect(checkLitmus(test, { model: 'armv8', rmw: 'llsc' }).observation).toBe('Never');
  });

  it('LDAXR/STLXR lets a later store pass its store half, SWPAL does not', () => {
    expect(checkLitmus(readLitmus(assembly('LDAXR'))).observation).toBe('Sometimes');
    expect(checkLitmus(readLitmus(assembly('SWPAL'))).observation).toBe('Never');
  });

  it('a barrier in the non-shareable domain orders nothing for another core', () => {
    const dekker = (domain: string): string => `AArch64 SB+dmb
{ 0:X1=x; 0:X3=y; 1:X1=y; 1:X3=x; }
P0 | P1 ;
MOV W0,#1 | MOV W0,#1 ;
STR W0,[X1] | STR W0,[X1] ;
DMB ${domain} | DMB ${domain} ;
LDR W2,[X3] | LDR W2,[X3] ;
exists (0:X2=0 /\\ 1:X2=0)`;
    for (const domain of ['ISH', 'OSH', 'SY']) expect(checkLitmus(readLitmus(dekker(domain))).ok).toBe(false);
    expect(checkLitmus(readLitmus(dekker('NSH'))).ok).toBe(true);
    expect(checkLitmus(readLitmus(dekker('ISHLD'))).ok).toBe(true);
  });
});

describe('the JavaScript model', () => {
  const plain = (wmb: string, rmb: string): string => `C MP+plain
{}
P0(int *x, int *y) { *x = 1; ${wmb} WRITE_ONCE(*y, 1); }
P1(int *x, int *y) { int r0; int r1; r0 = READ_ONCE(*y); ${rmb} if (r0) r1 = *x; }
exists (1:r0=1 /\\ 1:r1=0)`;
  const coherence = (load: string): string => `C CoRR+${load}
{}
P0(int *x) { WRITE_ONCE(*x, 1); }
P1(int *x) { int r0; int r1; r0 = ${load}; r1 = ${load}; }
exists (1:r0=1 /\\ 1:r1=0)`;

  it('publishes plain data through an atomic without a race', () => {
    const verdict = checkLitmus(readLitmus(plain('', '')), { model: 'javascript' });
    expect([verdict.observation, verdict.flags]).toEqual(['Never', []]);
  });

  it('reports the race, and no coherence, of a plain access that races', () => {
    const racy = checkLitmus(readLitmus(coherence('*x')), { model: 'javascript' });
    expect([racy.observation, racy.flags]).toEqual(['Sometimes', ['data-race']]);
    const atomic = checkLitmus(readLitmus(coherence('READ_ONCE(*x)')), { model: 'javascript' });
    expect([atomic.observation, atomic.flags]).toEqual(['Never', []]);
  });

  it('knows no fences: wmb and rmb between plain accesses order nothing', () => {
    const test = readLitmus(`C MP+fences
{}
P0(int *x, int *y) { *x = 1; smp_wmb(); *y = 1; }
P1(int *x, int *y) { int r0; int r1; r0 = *y; smp_rmb(); r1 = *x; }
exists (1:r0=1 /\\ 1:r1=0)`);
    expect(checkLitmus(test, { model: 'javascript' }).observation).toBe('Sometimes');
    expect(checkLitmus(test, { model: 'javascript' }).flags).toEqual(['data-race']);
  });

  it('lets two read-modify-writes take one ordinary value', () => {
    // No order between the ordinary write and the exchange of P1 is seen by that exchange, so P0's reads its own write.
    const test = readLitmus(`C two-takers
{}
P0(int *x) { int r0; *x = 1; r0 = cmpxchg(x, 1, 2); }
P1(int *x) { int r0; r0 = cmpxchg(x, 1, 2); }
exists (0:r0=1 /\\ 1:r0=1)`);
    expect(checkLitmus(test, { model: 'javascript' })).toMatchObject({
      observation: 'Sometimes',
      flags: ['data-race'],
    });
    expect(checkLitmus(test, { model: 'armv8' }).observation).toBe('Never');
  });

  it('makes atomics sequentially consistent', () => {
    const test = readLitmus(readFileSync(new URL('SB.litmus', directory), 'utf8'));
    expect(checkLitmus(test, { model: 'javascript' }).observation).toBe('Never');
  });
});
