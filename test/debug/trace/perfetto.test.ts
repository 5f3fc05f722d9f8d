/** A trace as Perfetto reads it: decoded by a reader of its own, by the numbers of Perfetto's .proto files. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { perfettoTrace, saveTrace, type Trace, type TraceEvent, traceSummary } from '../../../lib/index.ts';
import { all, type Decoded, decode, inner, number, text } from './decode.ts';

const LOCKS = {
  1: { kind: 'mutex', name: 'accounts', address: 64 },
  2: { kind: 'rcu', name: undefined, address: 128 },
  3: { kind: 'workqueue', name: 'mail', address: 192 },
  4: { kind: 'rw-semaphore', name: 'stock', address: 256 },
};

function traceOf(
  events: readonly [time: number, thread: number, point: string, fields: TraceEvent['fields']][],
): Trace {
  return {
    startedAt: '2026-11-26T00:00:00.000Z',
    start: 2 ** 40,
    duration: 1e6,
    threads: [
      { number: 0, threadId: 0, osThread: 77, isAttached: true, recorded: 9, lost: 0 },
      { number: 1, threadId: 4, osThread: 0, isAttached: false, recorded: 9, lost: 3 },
    ],
    events: events.map(([time, thread, point, fields]) => ({ time: 2 ** 40 + time, thread, point, fields })),
    locks: LOCKS,
    stacks: { 5: [{ name: 'answer', file: '/app/worker.js', line: 3, column: 7 }] },
    unrecorded: 2,
    dropped: { locks: 0, stacks: 0 },
    unheard: 0,
    unfinished: 0,
  };
}

/** Thread 1 waits for a mutex of thread 0 in its sleep, and gets it. */
const HANDED_ON = traceOf([
  [100, 0, 'acquire', { lock: 1, mode: 0, task: 32, wait: 0 }],
  [200, 1, 'contention_begin', { lock: 1, mode: 0, task: 96, holder: 1, stack: 5 }],
  [210, 1, 'park', { lock: 1, mode: 0, task: 96 }],
  [300, 0, 'unpark', { thread: 1, task: 96 }],
  [310, 0, 'release', { lock: 1, mode: 0, task: 32, hold: 210 }],
  [400, 1, 'resume', { lock: 1, mode: 0, task: 96, sleep: 190 }],
  [420, 1, 'contention_end', { lock: 1, mode: 0, task: 96, outcome: 1, wait: 220 }],
  [420, 1, 'owner_death', { lock: 1, mode: 0, task: 96 }],
  [430, 1, 'acquire', { lock: 1, mode: 0, task: 96, wait: 220 }],
]);

interface Read {
  readonly tracks: Map<number, { name: string | undefined; parent: number | undefined; tid: number | undefined }>;
  /** `track: + name` for a begin, `track: - time` and so on, in the order of the file. */
  readonly lines: string[];
  readonly events: { time: number; type: number; track: string; name: string | undefined; event: Decoded }[];
}

const TYPES = ['', '+', '-', '.', '#'];

function read(trace: Trace): Read {
  const packets = all(decode(perfettoTrace(trace)), 1);
  const tracks: Read['tracks'] = new Map();
  const events: Read['events'] = [];
  for (const packet of packets) {
    expect(number(packet, 10)).toBe(1);
    const descriptor = inner(packet, 60);
    if (descriptor !== undefined) {
      // Descriptors come first.
      expect(events).toEqual([]);
      const thread = inner(descriptor, 4);
      const process = inner(descriptor, 3);
      const name = text(descriptor, 2) ?? (thread && text(thread, 5)) ?? (process && text(process, 6));
      tracks.set(number(descriptor, 1)!, { name, parent: number(descriptor, 5), tid: thread && number(thread, 2) });
      continue;
    }
    const event = inner(packet, 11)!;
    const track = tracks.get(number(event, 11)!);
    expect(track).toBeDefined();
    const type = number(event, 9)!;
    const time = number(packet, 8)! - 2 ** 40;
    events.push({ time, type, track: track!.name!, name: text(event, 23), event });
  }
  expect(number(packets[0]!, 13)).toBe(1);
  const lines = events.map(({ time, type, track, name, event }) => {
    const what = type === 4 ? (number(event, 30) ?? 0) : (name ?? '');
    return `${time} ${track}: ${TYPES[type]} ${what}`.trim();
  });
  return { tracks, events, lines };
}

test('a wait and a hold are not drawn, or not where they belong', () => {
  const { tracks, lines } = read(HANDED_ON);
  const main = 'thread 0 (main)';
  const other = 'thread 1 (worker 4)';
  expect(lines).toEqual([
    '100 mutex "accounts": + holds mutex "accounts"',
    `200 ${other}: + wait for mutex "accounts"`,
    '200 calls that wait: # 1',
    `210 ${other}: + sleep`,
    `300 ${main}: . wakes thread 1`,
    '310 mutex "accounts": -',
    `400 ${other}: -`,
    `400 ${other}: . woken`,
    `420 ${other}: -`,
    `420 ${other}: . the owner of mutex "accounts" died`,
    '420 calls that wait: # 0',
    // It has not ended: there is no end.
    '430 mutex "accounts": + holds mutex "accounts"',
  ]);
  const named = [...tracks].filter(([, { name }]) => name === 'mutex "accounts"');
  const parents = named.map(([, { parent }]) => tracks.get(parent!)?.name);
  expect(parents).toEqual([main, other]);
  expect([...tracks.values()].find(({ name }) => name === main)?.tid).toBe(77);
});

test('a wake-up has no flow to the thread that is woken, or a wait does not say who held the lock', () => {
  const { events } = read(HANDED_ON);
  const flows = (field: number) =>
    events.filter(({ event }) => event.has(field)).map(({ name, event }) => [name, number(event, field)]);
  expect(flows(47)).toEqual([['wakes thread 1', 1]]);
  expect(flows(48)).toEqual([['woken', 1]]);
  const wait = events.find(({ name }) => name?.startsWith('wait'))!;
  const notes = all(wait.event, 4).map((note) => [text(note, 10), text(note, 6) ?? number(note, 3)]);
  expect(Object.fromEntries(notes)).toEqual({
    lock: 'mutex "accounts"',
    mode: 'alone',
    holder: 'thread 0',
    at: 'answer (/app/worker.js:3:7)',
    outcome: 'owner-died',
  });
});

test('what has begun before the oldest event that is left is lost', () => {
  const { lines } = read(
    traceOf([
      [500, 0, 'release', { lock: 1, mode: 0, task: 32, hold: 400 }],
      [600, 1, 'resume', { lock: 1, mode: 0, task: 96, sleep: 150 }],
      [610, 1, 'contention_end', { lock: 1, mode: 0, task: 96, outcome: 2, wait: 200 }],
      [700, 1, 'workqueue_end', { lock: 3, item: 9, time: 50 }],
    ]),
  );
  expect(lines.filter((line) => !line.includes('#'))).toEqual([
    '100 mutex "accounts": + holds mutex "accounts"',
    '410 thread 1 (worker 4): + wait for mutex "accounts"',
    '450 thread 1 (worker 4): + sleep',
    '500 mutex "accounts": -',
    '600 thread 1 (worker 4): -',
    '610 thread 1 (worker 4): -',
    '650 work items: + item of workqueue "mail"',
    '700 work items: -',
  ]);
});

test('what overlaps lies on one track, or what has no length ends before it begins', () => {
  const { lines } = read(
    traceOf([
      [100, 0, 'acquire', { lock: 4, mode: 3, task: 32, wait: 0 }],
      [150, 0, 'acquire', { lock: 4, mode: 3, task: 64, wait: 0 }],
      [200, 0, 'release', { lock: 4, mode: 3, task: 32, hold: 100 }],
      [200, 0, 'acquire', { lock: 4, mode: 0, task: 32, wait: 0 }],
      [200, 0, 'release', { lock: 4, mode: 0, task: 32, hold: 0 }],
      [250, 0, 'release', { lock: 4, mode: 3, task: 64, hold: 100 }],
    ]),
  );
  expect(lines).toEqual([
    '100 rw-semaphore "stock": + holds rw-semaphore "stock"',
    '150 rw-semaphore "stock", 2: + holds rw-semaphore "stock"',
    '200 rw-semaphore "stock": -',
    '200 rw-semaphore "stock": . holds rw-semaphore "stock"',
    '250 rw-semaphore "stock", 2: -',
  ]);
});

test('periods, callbacks, items and deaths are not drawn', () => {
  const { tracks, lines } = read(
    traceOf([
      [100, 0, 'grace_period_begin', { lock: 2, expedited: 1, number: 8 }],
      [110, 0, 'callback_queue', { lock: 2, pending: 3 }],
      [200, 1, 'grace_period_end', { lock: 2, expedited: 1, number: 8 }],
      [300, 0, 'callback_batch', { lock: 2, count: 4, time: 50 }],
      [310, 0, 'workqueue_queue', { lock: 3, item: 9 }],
      [320, 1, 'workqueue_start', { lock: 3, item: 9 }],
      [330, 0, 'handoff', { lock: 1, thread: 1, task: 96 }],
      [340, 0, 'thread_death', { thread: 1 }],
    ]),
  );
  const periods = 'grace periods of rcu at 128, expedited';
  expect(lines).toEqual([
    `100 ${periods}: + grace period`,
    '110 thread 0 (main): . queues a callback of rcu at 128',
    `200 ${periods}: -`,
    '250 thread 0 (main): + callbacks of rcu at 128',
    '300 thread 0 (main): -',
    '310 thread 0 (main): . queues an item of workqueue "mail"',
    '320 work items: + item of workqueue "mail"',
    '320 work items that run: # 1',
    '330 thread 0 (main): . hands mutex "accounts" over to thread 1',
    '340 thread 0 (main): . thread 1 was killed',
  ]);
  const parent = [...tracks.values()].find(({ name }) => name === periods)?.parent;
  expect(tracks.get(parent!)?.name).toBe('holdfast arena');
});

test('the name of a file decides in which form it is, and the summary says what is missing', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-trace-'));
  try {
    await saveTrace(HANDED_ON, join(folder, 'a.pftrace'));
    await saveTrace(HANDED_ON, join(folder, 'a.json'));
    expect(new Uint8Array(await readFile(join(folder, 'a.pftrace')))).toEqual(perfettoTrace(HANDED_ON));
    expect(JSON.parse(await readFile(join(folder, 'a.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(HANDED_ON)));
    await expect(saveTrace(HANDED_ON, 'a.txt')).rejects.toMatchObject({ code: 'EINVAL' });
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(traceSummary(HANDED_ON)).toBe(
    '9 events of 2 threads in 1 ms\n' +
      '3 older ones were overwritten: more can be kept of each thread\n' +
      '2 were not recorded: more threads than there are rings\n' +
      '  8 of the mutex "accounts"\n',
  );
});
