/** The arcs of MESI, and the messages, each by a program that takes it; what MOESI and MESIF do otherwise; evictions. */
import { describe, expect, it } from 'vitest';
import { ARCS, type ArcName, MESSAGES, type MessageName } from '../../../native-sim/machine/counters.ts';
import type { Machine } from '../../../native-sim/machine/machine.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import { type Part, play, profile } from './play.ts';

const X = 0;
const LATER = 10_000;
const LAST = 20_000;

const load = (cpu: TimedCpu) => void cpu.load(X);
const store = (cpu: TimedCpu) => cpu.store(X, 1);
const exchange = (cpu: TimedCpu) => void cpu.xchg(X, 1);

function arcs({ counters }: Machine): Partial<Record<ArcName, number>> {
  return Object.fromEntries(ARCS.map((name, at) => [name, counters.arcs[at]!]).filter(([, count]) => count !== 0));
}

function messages({ counters }: Machine): Partial<Record<MessageName, number>> {
  const counts = MESSAGES.map((name, at): [MessageName, number] => [name, counters.messages[at]!]);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0)) as Partial<Record<MessageName, number>>;
}

const shared: Part[] = [
  [0, 0, load],
  [1, LATER, load],
];

describe('an arc is taken', () => {
  it.each<[string, Part[], Partial<Record<ArcName, number>>]>([
    ['j, b: a store misses, and then modifies', [[0, 0, store]], { j: 1, b: 1 }],
    ['d: a read-modify-write misses', [[0, 0, exchange]], { d: 1 }],
    ['I>E: a load finds no other copy', [[0, 0, load]], { 'I>E': 1 }],
    ['g, k: a load finds an exclusive copy', shared, { 'I>E': 1, g: 1, k: 1 }],
    [
      'f, k: a load finds a modified copy',
      [
        [0, 0, store],
        [1, LATER, load],
      ],
      { j: 1, b: 1, f: 1, k: 1 },
    ],
    [
      'i: a store takes an exclusive copy away',
      [
        [0, 0, load],
        [1, LATER, store],
      ],
      { 'I>E': 1, i: 1, j: 1, b: 1 },
    ],
    [
      'c: a store takes a modified copy away',
      [
        [0, 0, store],
        [1, LATER, store],
      ],
      { j: 2, b: 2, c: 1 },
    ],
    ['h, l: a store to a shared line', [...shared, [0, LAST, store]], { 'I>E': 1, g: 1, k: 1, h: 1, l: 1, b: 1 }],
    [
      'e, l: a read-modify-write of a shared line',
      [...shared, [0, LAST, exchange]],
      { 'I>E': 1, g: 1, k: 1, e: 1, l: 1 },
    ],
  ])('%s', (_, parts, expected) => {
    const machine = play(parts);
    expect(arcs(machine)).toEqual(expected);
    expect(machine.system.inconsistency()).toBeNull();
  });

  it('a: a line is written back and kept', () => {
    const machine = play([[0, 0, store]]);
    expect(machine.system.clean(machine.system.cores[0]!, 0)).toBe(true);
    expect(arcs(machine)).toEqual({ j: 1, b: 1, a: 1 });
    expect(machine.system.clean(machine.system.cores[0]!, 0)).toBe(false);
  });

  it('M>O, O>M: under MOESI a modified line is lent, and reclaimed', () => {
    const on = profile('graviton-64');
    const lent = play(
      [
        [0, 0, store],
        [1, LATER, load],
      ],
      { on },
    );
    expect(arcs(lent)).toEqual({ j: 1, b: 1, 'M>O': 1, k: 1 });
    expect(messages(lent)['write-back']).toBeUndefined();
    expect(
      arcs(
        play(
          [
            [0, 0, store],
            [1, LATER, load],
            [0, LAST, store],
          ],
          { on },
        ),
      )['O>M'],
    ).toBe(1);
    expect(
      arcs(
        play(
          [
            [0, 0, store],
            [1, LATER, load],
            [1, LAST, store],
          ],
          { on },
        ),
      )['O>I'],
    ).toBe(1);
  });

  it('evict: a line leaves a cache that is full, and is written back if it was modified', () => {
    const tiny = { lines: 1, ways: 1, hitNs: 1 };
    const on = profile('alpha-8', { l1: tiny, l2: { ...tiny, hitNs: 2 } });
    const machine = play(
      [
        [
          0,
          0,
          (cpu) => {
            cpu.store(X, 7);
            cpu.mb();
            cpu.load(16);
            expect(cpu.load(X)).toBe(7);
          },
        ],
      ],
      { on },
    );
    expect(arcs(machine).evict).toBe(2);
    expect(messages(machine)['write-back']).toBe(1);
    expect(machine.system.inconsistency()).toBeNull();
  });

  it('a line that another core has taken away leaves its place free: nothing is evicted when it comes back', () => {
    const pair = { lines: 2, ways: 2, hitNs: 1 };
    const on = profile('alpha-8', { l1: pair, l2: { ...pair, hitNs: 2 } });
    const two: Part = [0, 0, (cpu) => void [cpu.load(X), cpu.load(16)]];
    const back = play(
      [
        two,
        ...[1, 3, 5].flatMap((turn): Part[] => [
          [1, turn * LATER, store],
          [0, (turn + 1) * LATER, load],
        ]),
      ],
      { on },
    );
    expect(arcs(back).f).toBe(3);
    expect(arcs(back).evict).toBeUndefined();
    // Another line may take the place, too.
    expect(arcs(play([two, [1, LATER, store], [0, LAST, (cpu) => void cpu.load(32)]], { on })).evict).toBeUndefined();
  });

  it('a full set replaces its places in turn', () => {
    const pair = { lines: 2, ways: 2, hitNs: 1 };
    const order = [0, 16, 32, 48, 32, 48, 0];
    const machine = play([[0, 0, (cpu) => void order.map((address) => cpu.load(address))]], {
      on: profile('alpha-8', { l1: pair, l2: { ...pair, hitNs: 2 } }),
    });
    // 32 and 48 push out 0 and 16, and stay while they are used; 0 comes back.
    expect(arcs(machine)).toEqual({ 'I>E': 5, evict: 3 });
  });
});

describe('a message is sent', () => {
  it('read, read response: one each for a load that misses', () => {
    expect(messages(play([[0, 0, load]]))).toEqual({ read: 1, 'read response': 1 });
  });
  it('read invalidate: for a store that misses, with the line as the answer', () => {
    expect(messages(play([[0, 0, store]]))).toEqual({ 'read invalidate': 1, 'read response': 1 });
  });
  it('write-back: when a modified line is read', () => {
    expect(
      messages(
        play([
          [0, 0, store],
          [1, LATER, load],
        ]),
      )['write-back'],
    ).toBe(1);
  });
  it('invalidate, invalidate acknowledge: one for each sharer', () => {
    const readers = [0, 1, 2, 3].map((core): Part => [core, core * 1000, load]);
    const { invalidate, 'invalidate acknowledge': acknowledge } = messages(play([...readers, [0, LAST, store]]));
    expect({ invalidate, acknowledge }).toEqual({ invalidate: 3, acknowledge: 3 });
  });
});
