/** The forms of a contention profile: what each says of one that a test made up. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { parse } from 'node-html-parser';
import { Profile } from 'pprof-format';
import { expect, test } from 'vitest';
import type { ContentionProfile, LockContention, WaitTimes } from '../../lib/debug/profile/read.ts';
import type { Frame } from '../../lib/debug/profile/stacks.ts';
import { collapsedStacks } from '../../lib/debug/reports/collapsed.ts';
import { lockStatText } from '../../lib/debug/reports/lock-stat.ts';
import { pprofOf } from '../../lib/debug/reports/pprof.ts';
import { profileTable, saveProfile } from '../../lib/index.ts';

const none: WaitTimes = {
  contentions: 0,
  total: 0,
  shortest: 0,
  longest: 0,
  p50: 0,
  p99: 0,
  slept: 0,
  timeouts: 0,
  aborts: 0,
  ownerDeaths: 0,
  failed: 0,
  histogram: [],
};

const some = (contentions: number, each: number): WaitTimes => ({
  ...none,
  contentions,
  total: contentions * each,
  shortest: each,
  longest: each,
  p50: each,
  p99: each,
  slept: contentions,
  histogram: [[each, contentions]],
});

const lock = (name: string, className: string, more: Partial<LockContention>): LockContention => ({
  lock: name,
  class: className,
  address: 1024,
  shared: false,
  event: false,
  sync: none,
  async: none,
  held: undefined,
  ...more,
});

const frame = (name: string, line: number): Frame => ({ name, file: '/app/<branch>.js', line, column: 3 });
const stack = (of: LockContention, thread: number, delay: number, frames: readonly Frame[]) => {
  const { lock, class: className, shared, event } = of;
  return { lock, class: className, shared, event, thread, async: false, contentions: 2, delay, frames };
};

const hot = lock('mutex "branch 7"', 'mutex "branch #"', { sync: some(10, 131_072), async: some(1, 1_048_576) });
const cold = lock('mutex "branch 8"', 'mutex "branch #"', { sync: some(1, 1024) });
const readers = lock('rw-semaphore "<b>index"', 'rw-semaphore "<b>index"', { sync: some(3, 2048), shared: true });
const writers = { ...readers, shared: false };
const idle = lock('wait-queue "jobs"', 'wait-queue "jobs"', { sync: some(1, 2 ** 33), event: true });

const profile: ContentionProfile = {
  startedAt: '2026-01-02T03:04:05.678Z',
  duration: 2e9,
  locks: [hot, readers, writers, cold, idle],
  stacks: [
    stack(hot, 1, 900_000, [frame('transfer', 10), frame('', 90)]),
    stack(hot, 2, 100_000, [frame('transfer', 10), frame('', 90)]),
    stack(hot, 1, 50_000, [frame('transfer', 20), frame('', 90)]),
    stack(readers, 1, 6144, [frame('a;b', 30)]),
  ],
  unlocks: [],
  waits: [{ lock: hot.lock, class: hot.class, waiter: 1, holder: 3, contentions: 10, delay: 1e6 }],
  dropped: { waits: 0, samples: 4, acquisitions: 0 },
  unknown: 0,
  unheard: 0,
  unfinished: 0,
};

const lines = (text: string) => stripVTControlCharacters(text).split('\n');

test('a table is wider than the terminal, or leaves out what there is room for', async () => {
  const narrow = lines(await profileTable(profile, 80));
  const wide = lines(await profileTable(profile, 120));
  const drawn = (text: readonly string[]) => text.filter((line) => line.startsWith('│'));
  expect(Math.max(...drawn(narrow).map(({ length }) => length))).toBeLessThanOrEqual(80);
  expect(Math.max(...drawn(wide).map(({ length }) => length))).toBeLessThanOrEqual(120);
  expect(drawn(narrow)[0]).toMatch(/lock +│ waits │ +in all │ longest/);
  expect(drawn(wide)[0]).toMatch(/share .* p50 .* p99 .* slept .* async/);
  expect(drawn(wide)[1]).toMatch(/mutex "branch 7" +│ +11 │ +2\.4 ms │ +99\.\d% │ +131 µs │ +131 µs │ +1\.0 ms/);
});

test('a table shows an event as a lock, a place once for each thread, or nothing of what is missing', async () => {
  const text = lines(await profileTable(profile, 120));
  const events = text.indexOf('Waits until something happens');
  expect(text.findIndex((line) => line.includes('wait-queue "jobs"'))).toBeGreaterThan(events);
  const where = text.indexOf('Where');
  expect(text.slice(where + 1, where + 5)).toEqual([
    '  1.0 ms in about 4 waits for mutex "branch 7"',
    '    transfer (/app/<branch>.js:10:3)',
    '    (top level) (/app/<branch>.js:90:3)',
    '  50 µs in about 2 waits for mutex "branch 7"',
  ]);
  expect(text).toContain('  thread 1 slept 1.0 ms in 10 waits behind thread 3, for mutex "branch 7"');
  expect(text).toContain('4 samples found no room in the tables');
  const empty = { ...profile, locks: [], stacks: [], waits: [] };
  expect(await profileTable(empty)).toContain('No call had to wait in 2.0 s.');
});

test('lock_stat has a row for each lock, or a column in another place', () => {
  const rows = lockStatText(profile).split('\n');
  expect(rows[0]).toBe('lock_stat version 0.4');
  const heads = rows[2]!.trim().slice('class name'.length).trim().split(/ +/);
  const of = (name: string) => rows.find((row) => row.trim().startsWith(name))!;
  const columns = of('mutex "branch #":').trim().slice('mutex "branch #":'.length).trim().split(/ +/);
  expect(heads).toHaveLength(columns.length);
  // Three kinds of waits of two locks.
  expect(Object.fromEntries(heads.map((head, i) => [head, columns[i]]))).toMatchObject({
    contentions: '12',
    'con-bounces': '-',
    'waittime-min': '1.02',
    'waittime-max': '1048.58',
    'waittime-total': '2360.32',
    'waittime-avg': '196.69',
    acquisitions: '-',
    'holdtime-avg': '-',
  });
  expect(of('rw-semaphore "<b>index"-R:')).toContain('6.14');
  expect(of('rw-semaphore "<b>index"-W:')).toContain('6.14');
  expect(rows.find((row) => row.includes('transfer'))).toMatch(/mutex "branch #" +4 +transfer \(/);
});

test('pprof has lost samples, values, labels or places', () => {
  const {
    sample,
    sampleType,
    stringTable,
    location,
    function: functions,
    ...rest
  } = Profile.decode(gunzipSync(pprofOf(profile)));
  const { strings } = stringTable;
  const text = (at: number | bigint) => strings[Number(at)];
  expect(sampleType.map(({ type, unit }) => `${text(type)}/${text(unit)}`)).toEqual([
    'contentions/count',
    'delay/nanoseconds',
  ]);
  const shown = sample.map(({ value, label, locationId }) => ({
    value: value.map(Number),
    labels: Object.fromEntries(label.map(({ key, str, num }) => [text(key), text(str) || Number(num)])),
    calls: locationId.map((id) => {
      const { line } = location.find((each) => each.id === id)!;
      const called = functions.find((each) => each.id === line[0]!.functionId)!;
      return `${text(called.name)} ${text(called.filename)}:${line[0]!.line}`;
    }),
  }));
  expect(shown[0]).toEqual({
    value: [2, 900_000],
    labels: { lock: 'mutex "branch 7"', class: 'mutex "branch #"', mode: 'sync', thread: 1 },
    calls: ['transfer /app/<branch>.js:10', '(top level) /app/<branch>.js:90'],
  });
  expect(shown[2]!.calls[0]).toBe('transfer /app/<branch>.js:20');
  expect(shown[3]!.labels.mode).toBe('sync, shared');
  expect(shown).toHaveLength(4);
  expect(functions).toHaveLength(3);
  expect([rest.timeNanos, rest.durationNanos].map(Number)).toEqual([Date.parse(profile.startedAt) * 1e6, 2e9]);
});

test('collapsed stacks are the wrong way round, or have a frame that is two', () => {
  expect(collapsedStacks(profile).trim().split('\n')).toEqual([
    '(top level) /app/<branch>.js:90;transfer /app/<branch>.js:10;[mutex "branch 7"] 1000000',
    '(top level) /app/<branch>.js:90;transfer /app/<branch>.js:20;[mutex "branch 7"] 50000',
    'a:b /app/<branch>.js:30;[rw-semaphore "<b>index"] 6144',
  ]);
});

test('the page needs a network, has markup from a name, or lacks a lock', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-reports-'));
  const file = join(folder, 'report.html');
  await saveProfile(profile, file);
  const html = await readFile(file, 'utf8');
  await rm(folder, { recursive: true });
  const page = parse(html);
  expect(html).not.toMatch(/https?:/);
  expect(page.querySelector('b')).toBeNull();
  expect(page.querySelector('.verdict')!.text).toBe('mutex "branch 7" costs most');
  expect(page.querySelectorAll('section:first-of-type tbody tr')).toHaveLength(4);
  expect(page.querySelectorAll('details')).toHaveLength(3);
  expect(page.querySelectorAll('.histogram')).toHaveLength(6);
});

test('a file is written in no form, or in another than its name says', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-reports-'));
  const read = async (name: string) => {
    await saveProfile(profile, join(folder, name));
    return readFile(join(folder, name));
  };
  expect(JSON.parse(String(await read('a.json')))).toEqual(profile);
  expect(String(await read('a.txt'))).toContain('Locks that were waited for');
  expect(String(await read('a.lock_stat'))).toContain('lock_stat version');
  expect(String(await read('a.collapsed'))).toContain('transfer');
  expect(Profile.decode(gunzipSync(await read('block.pb.gz'))).sample).toHaveLength(4);
  await expect(saveProfile(profile, join(folder, 'a.csv'))).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(saveProfile(profile, join(folder, 'none', 'a.json'))).rejects.toMatchObject({ code: 'ENOENT' });
  await rm(folder, { recursive: true });
});
