/** Each machine measured as its authors measured theirs: an atomic, and a load and an atomic, on a line of another core. */
import { expect, it } from 'vitest';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { play, profile } from './play.ts';

/** ns from the start of `act` on core 0 to its end, on a line that `other` has modified. */
function measure(name: string, other: number, loadsFirst: boolean): number {
  let taken = 0;
  play(
    [
      [other, 0, (cpu) => void cpu.xchg(0, 1)],
      [
        0,
        10_000,
        (cpu) => {
          const begin = cpu.now();
          if (loadsFirst) cpu.load(0);
          cpu.cmpxchg(0, 1, 2);
          taken = cpu.now() - begin;
        },
      ],
    ],
    { on: profile(name), words: 64 },
  );
  return taken;
}

it.each<[string, string, number, number, number | undefined]>([
  // Xeon 8176: blind CAS, CAS.
  ['xeon-8', 'same socket', 1, 47.5, 102],
  ['xeon-8', 'other socket', 28, 149, 443],
  ['xeon-8', 'across the interconnect', 112, 337, 945],
  // Two Xeon 6242, 46 to 50 and 135 to 146, for the Intel of LiTL, of which no matrix is published.
  ['intel-48', 'same socket', 6, 48, undefined],
  ['intel-48', 'other socket', 12, 140, undefined],
  // Two Power7, 157 to 180 and 430 to 450: an atomic is a load that misses, and a store that has to own the line.
  ['power7-16', 'same socket', 1, 168, undefined],
  ['power7-16', 'other socket', 8, 440, undefined],
  // An Opteron 6172, cycles at 2.1 GHz (David, Guerraoui, Trigonakis 2013): 110, 197, and between one hop's 216 and two hops' 296.
  ['opteron-64', 'same die', 1, 52, undefined],
  ['opteron-64', 'same socket', 8, 94, undefined],
  ['opteron-64', 'other socket', 16, 122, undefined],
  // Two EPYC 7742: the middle of 20 to 30, 90 to 150, 220 to 290.
  ['epyc-128', 'same complex', 1, 25, undefined],
  ['epyc-128', 'same socket', 4, 120, undefined],
  ['epyc-128', 'other socket', 64, 255, undefined],
])('%s, %s: within 15 %% of the published latency', (name, _, other, blind, loaded) => {
  const ratio = measure(name, other, false) / blind;
  expect(ratio).toBeGreaterThan(0.85);
  expect(ratio).toBeLessThan(1.15);
  if (loaded === undefined) return;
  expect(measure(name, other, true) / loaded).toBeGreaterThan(0.85);
  expect(measure(name, other, true) / loaded).toBeLessThan(1.15);
});

it('graviton-64: median 47, least 30, most 58, over all pairs with core 0', () => {
  const times = Array.from({ length: 63 }, (_, other) => measure('graviton-64', other + 1, false)).sort(
    (a, b) => a - b,
  );
  for (const [measured, published] of [
    [times[31]!, 47],
    [times[0]!, 30],
    [times[62]!, 58],
  ] as const) {
    expect(measured / published).toBeGreaterThan(0.85);
    expect(measured / published).toBeLessThan(1.15);
  }
});

it('a farther core is never nearer, and a hit is cheaper than any', () => {
  for (const [name, { levels, l1 }] of profiles) {
    const times = levels.map(({ cores }, at) => measure(name, at === 0 ? cores - 1 : levels[at - 1]!.cores, false));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(times[0]).toBeGreaterThan(l1.hitNs);
  }
});
