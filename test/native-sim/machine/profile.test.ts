/** What no machine can be is refused, with the field and what it may be. */
import { expect, it } from 'vitest';
import { Machine } from '../../../native-sim/machine/machine.ts';
import { parseProfile, SimError } from '../../../native-sim/machine/profile.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { profile } from './play.ts';

it('every machine that comes with holdfast is one that a user could have written', () => {
  for (const [name, value] of profiles) expect(parseProfile(JSON.parse(JSON.stringify(value)), name)).toEqual(value);
});

const xeon = () => JSON.parse(JSON.stringify(profile('xeon-8')));

it.each<[string, (value: ReturnType<typeof xeon>) => void, RegExp]>([
  [
    'latencies that decrease with distance',
    (p) => {
      p.levels[1].transferNs = 3;
    },
    /levels\[1\]\.transferNs must be a number from 40\.5 to/,
  ],
  [
    'zero lines',
    (p) => {
      p.l1.lines = 0;
    },
    /l1\.lines must be a whole number from 1 to 1048576; received 0/,
  ],
  [
    'no cores',
    (p) => {
      p.cores = 0;
    },
    /cores must be a whole number from 1 to 512; received 0/,
  ],
  [
    'too many cores',
    (p) => {
      p.cores = 513;
    },
    /cores must be a whole number from 1 to 512/,
  ],
  [
    'groups that do not hold each other',
    (p) => {
      p.levels[1].cores = 40;
    },
    /levels\[1\]\.cores must be a multiple of levels\[0\]\.cores \(28\)/,
  ],
  [
    'a last level that does not hold all',
    (p) => {
      p.levels.pop();
    },
    /levels\[1\]\.cores must be at least cores \(224\)/,
  ],
  [
    'an unknown model',
    (p) => {
      p.model = 'tso';
    },
    /model must be one of sc, x86-tso, armv8, alpha, power; received "tso"/,
  ],
  [
    'a misspelt field',
    (p) => {
      p.memoryNS = 3;
    },
    /memoryNS must be one of the fields/,
  ],
  [
    'a negative time',
    (p) => {
      p.memoryNs = -1;
    },
    /memoryNs must be a number from 0\.5 to/,
  ],
  [
    'a time that is no number',
    (p) => {
      p.spinNs = '3';
    },
    /spinNs must be a number from 0\.1 to 1000000; received "3"/,
  ],
  [
    'pairs of exclusives on a machine that has none',
    (p) => {
      p.exclusives = { spurious: 0 };
    },
    /exclusives must be left out under x86-tso; received \{"spurious":0\}/,
  ],
  [
    'exclusives that nearly always fail',
    (p) => {
      p.model = 'armv8';
      p.exclusives = { spurious: 0.6 };
    },
    /exclusives\.spurious must be a number from 0 to 0\.5; received 0\.6/,
  ],
  [
    'an L2 that is faster than L1',
    (p) => {
      p.l2.hitNs = 0.1;
    },
    /l2\.hitNs must be at least l1\.hitNs/,
  ],
  [
    'hops that would make a message arrive before it leaves',
    (p) => {
      p.hopNs = 20;
    },
    /hopNs must be at most/,
  ],
])('%s', (_, spoil, message) => {
  const value = xeon();
  spoil(value);
  expect(() => parseProfile(value, 'mine.json')).toThrow(message);
  expect(() => parseProfile(value, 'mine.json')).toThrow(SimError);
});

it('a profile that is no object, and a machine with more cores than the profile', () => {
  expect(() => parseProfile(3)).toThrow('profile: it must be an object; received 3');
  expect(() => new Machine({ profile: profile('vm-2'), cores: 3, words: 16 })).toThrow(
    'cores must be a whole number from 1 to 2',
  );
});
