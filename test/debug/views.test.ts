/** Parts of a profile, classes that the program gives, and histograms for other tools. */
import { inflateSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { hdrLog } from '../../lib/debug/reports/hdr-log.ts';
import {
  Arena,
  type ContentionProfile,
  filterProfile,
  Mutex,
  type ProfileFilter,
  RwSemaphore,
  setLockClass,
  startProfile,
} from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';

/** Each of these waits once, in a function of its name, on thread 0, for what thread 1 holds. */
function contended(names: readonly string[], prepare?: (arenas: readonly Arena[]) => void): ContentionProfile {
  const { arenas, before } = stepper(2, { words: 1 << 19 });
  const [mine, theirs] = arenas as [Arena, Arena];
  prepare?.(arenas);
  const session = startProfile(mine, { holds: true });
  let now = 1e9;
  for (const { cpu } of arenas) cpu.now = () => (now += 1e6);
  for (const name of names) {
    const held = new Mutex(theirs, name);
    held.lock();
    before(0, on('wait'), () => held.unlock());
    const mutex = new Mutex(mine, name);
    new Function('mutex', `return function waitFor_${name.replace(/\W/g, '_')}() { mutex.lock(); mutex.unlock(); }`)(
      mutex,
    )();
  }
  return session.stop();
}

const locksOf = ({ locks }: ContentionProfile) => locks.map(({ lock }) => lock).sort();

test.each<[ProfileFilter, string[], number, number]>([
  [{}, ['mutex "a 1"', 'mutex "a 2"', 'mutex "b"'], 3, 3],
  [{ lock: 'a 1' }, ['mutex "a 1"'], 1, 1],
  [{ lock: 'mutex "a 1"' }, ['mutex "a 1"'], 1, 1],
  [{ lock: 'a #' }, ['mutex "a 1"', 'mutex "a 2"'], 2, 2],
  [{ lock: 'a*' }, ['mutex "a 1"', 'mutex "a 2"'], 2, 2],
  [{ lock: '*' }, ['mutex "a 1"', 'mutex "a 2"', 'mutex "b"'], 3, 3],
  // A point is a point.
  [{ lock: 'a.1' }, [], 0, 0],
  [{ caller: 'waitFor_b' }, ['mutex "b"'], 1, 0],
  [{ caller: 'views.test.ts' }, ['mutex "a 1"', 'mutex "a 2"', 'mutex "b"'], 3, 0],
  [{ thread: 0 }, ['mutex "a 1"', 'mutex "a 2"', 'mutex "b"'], 3, 3],
  // It holds, and gives back.
  [{ thread: 1 }, ['mutex "a 1"', 'mutex "a 2"', 'mutex "b"'], 0, 3],
  [{ thread: 2 }, [], 0, 0],
  [{ thread: 0, lock: 'b' }, ['mutex "b"'], 1, 1],
])('a filter leaves other parts of a profile than it says: %j', (filter, locks, places, pairs) => {
  const profile = contended(['a 1', 'a 2', 'b']);
  const part = filterProfile(profile, filter);
  expect(locksOf(part)).toEqual(locks);
  expect([part.stacks.length, part.waits.length]).toEqual([places, pairs]);
  expect(part.duration).toBe(profile.duration);
});

test.each([[{ lock: 1 }], [{ caller: 1 }], [{ thread: 'x' }], [{ threads: 1 }]])(
  '%j is taken for a filter',
  (filter) => {
    expect(() => filterProfile(contended([]), filter as ProfileFilter)).toThrow('EINVAL');
  },
);

test('a class that the program gives is that of the name, or one that only the thread knows that gave it', () => {
  // Thread 1 gives it, and is not the first to be in the profile.
  const classes = (profile: ContentionProfile) => profile.locks.map(({ class: name }) => name);
  expect(classes(contended(['a 1']))).toEqual(['mutex "a #"']);
  const given = (by: number) => (arenas: readonly Arena[]) =>
    setLockClass(new Mutex(arenas[by] as Arena, 'a 1'), 'ledger');
  expect(classes(contended(['a 1'], given(0)))).toEqual(['mutex "ledger"']);

  const { arenas } = stepper(2, { words: 1 << 19 });
  const [mine, theirs] = arenas as [Arena, Arena];
  const session = startProfile(mine, { holds: true });
  new Mutex(mine, 'a 1').runExclusive(() => {});
  expect(classes(session.read())).toEqual(['mutex "a #"']);
  given(1)(arenas);
  const both = new Mutex(mine, 'other');
  both.lock();
  expect(() => new Mutex(theirs, 'other').lock({ timeout: 0 })).toThrow('ETIMEDOUT');
  new Mutex(theirs, 'a 1').runExclusive(() => {});
  expect(classes(session.stop())).toContain('mutex "ledger"');
});

test('a class stays with the address when another object has it', () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const first = new Mutex(arena);
  setLockClass(first, 'ledger');
  const { address } = first;
  first.destroy();
  const second = new RwSemaphore(arena);
  const session = startProfile(arena, { holds: true });
  if (second.address === address) second.runExclusive(() => {});
  expect(session.stop().locks.every(({ class: name }) => !name.includes('ledger'))).toBe(true);
});

/** What HdrHistogram's own decoder does with a histogram of a log, to two digits: pairs of a value and its count. */
function decode(base64: string): [number, number][] {
  const outer = Buffer.from(base64, 'base64');
  expect(outer.readInt32BE(0)).toBe(0x1c849314);
  expect(outer.readInt32BE(4)).toBe(outer.length - 8);
  const bytes = inflateSync(outer.subarray(8));
  expect([bytes.readInt32BE(0), bytes.readInt32BE(4), bytes.readInt32BE(12)]).toEqual([
    0x1c849313,
    bytes.length - 40,
    2,
  ]);
  const found: [number, number][] = [];
  let index = 0;
  for (let at = 40; at < bytes.length; ) {
    let [value, power] = [0, 1];
    let byte: number;
    do {
      byte = bytes[at++] as number;
      value += (byte & 127) * power;
      power *= 128;
    } while (byte & 128);
    const count = value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    if (count < 0) {
      index -= count;
      continue;
    }
    const bucket = Math.max(0, (index >> 7) - 1);
    const sub = bucket === 0 ? index : (index & 127) + 128;
    found.push([sub * 2 ** bucket, count]);
    index++;
  }
  return found;
}

test('a log of HdrHistogram has other counts, or other values', () => {
  const profile = contended(['a, "1"', 'b']);
  const [lock] = profile.locks;
  const long = {
    ...lock!,
    lock: 'mutex "long"',
    sync: {
      ...lock!.sync,
      longest: 5e9,
      histogram: [
        [0, 7],
        [2 ** 20, 300],
        [2 ** 32, 1],
      ] as const,
    },
  };
  const lines = hdrLog({ ...profile, locks: [...profile.locks, long] }).split('\n');
  expect(lines[0]).toBe('#[Histogram log format version 1.3]');
  const rows = lines.slice(3, -1).map((line) => line.split(','));
  expect(rows.map(([tag]) => tag)).toEqual(
    expect.arrayContaining(['Tag=mutex_a_1_:_waits', 'Tag=mutex_b_:_waits', 'Tag=mutex_long_:_waits']),
  );
  for (const row of rows) expect(row).toHaveLength(5);
  const of = rows.find(([tag]) => tag === 'Tag=mutex_long_:_waits') as string[];
  expect(of[3]).toBe('5000.000');
  // The middles of their buckets, to two digits below; the last one is at most the longest.
  expect(decode(of[4] as string)).toEqual([
    [128, 7],
    [Math.floor((2 ** 20 * 1.125) / 8192) * 8192, 300],
    [Math.floor((2 ** 32 * 1.125) / 2 ** 25) * 2 ** 25, 1],
  ]);
});
