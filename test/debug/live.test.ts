/** What an arena that runs says of itself: as data, to Prometheus, by HTTP, and at a terminal. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify, stripVTControlCharacters } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { parse } from 'node-html-parser';
import { Profile } from 'pprof-format';
import { afterEach, describe, expect, inject, test } from 'vitest';
import { difference } from '../../lib/debug/live/difference.ts';
import { metricsText } from '../../lib/debug/live/metrics.ts';
import { arenaState } from '../../lib/debug/live/state.ts';
import type { WorkqueuesState } from '../../lib/debug/live/workqueues.ts';
import { livePage } from '../../lib/debug/reports/live.ts';
import { topText } from '../../lib/debug/reports/top.ts';
import { workqueuesText } from '../../lib/debug/reports/workqueues.ts';
import {
  Arena,
  type ArenaState,
  type HoldfastError,
  holdfastHandler,
  type LockContention,
  Mutex,
  observe,
  Semaphore,
  startProfile,
  type WaitTimes,
  Workqueue,
  type WorkqueueStatistics,
} from '../../lib/index.ts';
import { asleep, inThread, until } from '../support/threads.ts';

const THREADS = new URL('./live.threads.ts', import.meta.url).href;
const TAKERS = new URL('../sched/waits-for.threads.ts', import.meta.url).href;

const clean: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of clean.splice(0).reverse()) await end();
});

/** Two threads that wait for what the other one has, for ever. */
async function deadlocked(arena: Arena) {
  const stage = arena.alloc(1);
  const [a, b] = [
    ['mutex', 'a'],
    ['mutex', 'b'],
  ];
  const threads = [
    inThread(arena, TAKERS, 'takeTwo', a, b, stage, 2),
    inThread(arena, TAKERS, 'takeTwo', b, a, stage, 2),
  ];
  clean.push(() => Promise.all(threads.map(({ worker }) => worker.terminate())));
  await asleep(arena, 2);
}

/** Serves the handler, and returns where. */
async function serving(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  clean.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** One call has waited for the mutex on the event loop. */
async function waitOnce(arena: Arena, name: string): Promise<void> {
  const mutex = new Mutex(arena, name);
  const held = await mutex.acquireAsync();
  const waits = mutex.acquireAsync();
  held.release();
  (await waits).release();
}

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

const lock = (name: string, className: string, sync: Partial<WaitTimes>): LockContention => ({
  lock: name,
  class: className,
  address: 64,
  shared: false,
  event: false,
  sync: { ...none, ...sync },
  async: none,
  held: undefined,
});

const state = (more: Partial<ArenaState> = {}, duration = 1e9, locks: readonly LockContention[] = []): ArenaState => ({
  time: '2026-01-01T00:00:00.000Z',
  arena: { bytes: 1000, used: 250, threads: 2, maxThreads: 64 },
  threads: [{ thread: 0, threadId: 0, osThread: 7, isAlive: true, waitsFor: undefined }],
  waits: [],
  deadlocks: [],
  profile: {
    startedAt: '2026-01-01T00:00:00.000Z',
    duration,
    locks,
    stacks: [],
    unlocks: [],
    waits: [],
    dropped: { waits: 0, samples: 0, acquisitions: 0 },
    unknown: 0,
    unheard: 0,
    unfinished: 0,
  },
  pressure: { avg10: 0.25, avg60: 0.05, avg300: 0.01, total: 5e9 },
  ...more,
});

describe('a deadlock of two threads, seen by a third', () => {
  test('is found once, and no other', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    await deadlocked(arena);
    const { deadlocks, threads, waits } = arenaState(arena);
    expect(deadlocks.length).toBe(1);
    expect(deadlocks[0]?.map(({ object }) => object).sort()).toEqual(['mutex "a"', 'mutex "b"']);
    expect(waits.length).toBe(2);
    expect(threads.map(({ waitsFor }) => waitsFor).sort()).toEqual(['mutex "a"', 'mutex "b"', undefined]);
    expect(threads.every(({ isAlive }) => isAlive)).toBe(true);
    expect(new Set(threads.map(({ threadId }) => threadId)).size).toBe(3);
  });

  test('does not say where each of its threads waits', async () => {
    const arena = Arena.create({ bytes: 4 << 20 });
    const session = startProfile(arena);
    await deadlocked(arena);
    const stuck = () => arenaState(arena, undefined, session).threads.filter(({ waitsFor }) => waitsFor !== undefined);
    // Each tells it once it has slept for some ms.
    while (stuck().some(({ stack }) => stack === undefined)) await new Promise((resolve) => setTimeout(resolve, 5));
    for (const { stack = [] } of stuck()) expect(stack.length).toBeGreaterThan(0);
    const page = livePage(arenaState(arena, undefined, session));
    const [first] = stuck()[0]?.stack ?? [];
    expect(page).toContain(`${first?.file}:${first?.line}:${first?.column})`);
    session.stop();
  });

  test('is none where one of the holders may let a waiter go that does not wait itself', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    const stage = arena.alloc(1);
    const [permit, mutex] = [
      ['semaphore', 's'],
      ['mutex', 'm'],
    ];
    const mine = new Semaphore(arena, 's', { permits: 2 }).acquire();
    const threads = [permit, mutex].map((first) => {
      return inThread<string>(arena, TAKERS, 'takeTwo', first, first === permit ? mutex : permit, stage, 2);
    });
    await asleep(arena, 2);
    expect(arenaState(arena).deadlocks).toEqual([]);
    mine.release();
    expect(await Promise.all(threads.map(({ result }) => result))).toEqual(['taken', 'taken']);
  });
});

describe('metrics', () => {
  test('are lines that Prometheus reads, with counts that add up', () => {
    const histogram = [
      [0, 1],
      [2 ** 10, 2],
      [2 ** 20, 4],
      [2 ** 33, 8],
    ] as const;
    const times = { contentions: 15, total: 3e9, slept: 14, timeouts: 2, histogram };
    const text = metricsText(
      state({ waits: [{ thread: 1, async: false, object: 'mutex "a\\"\n7"', holders: [0] }] }, 1e9, [
        lock('mutex "a 1"', 'mutex "a #"', times),
        lock('mutex "a 2"', 'mutex "a #"', times),
      ]),
    );
    for (const line of text.trimEnd().split('\n')) {
      expect(line).toMatch(/^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+="([^"\\\n]|\\["\\n])*",?)+\})? [0-9.e+-]+)$/);
    }
    expect(text).toContain('holdfast_waiting{class="mutex \\"a\\\\\\"\\n#\\"",mode="sync"} 1\n');
    const labels = 'class="mutex \\"a #\\"",mode="sync",access="exclusive"';
    const bucket = (le: string) => `holdfast_lock_wait_seconds_bucket{${labels},le="${le}"}`;
    expect(text).toContain(`${bucket('0.000001024')} 2\n`);
    expect(text).toContain(`${bucket('0.000008192')} 6\n`);
    expect(text).toContain(`${bucket('0.001048576')} 6\n`);
    expect(text).toContain(`${bucket('0.008388608')} 14\n`);
    expect(text).toContain(`${bucket('8.589934592')} 14\n`);
    expect(text).toContain(`${bucket('+Inf')} 30\n`);
    expect(text).toContain(`holdfast_lock_wait_seconds_sum{${labels}} 6\n`);
    expect(text).toContain(`holdfast_lock_wait_seconds_count{${labels}} 30\n`);
    expect(text).toContain(`holdfast_lock_timeouts_total{${labels}} 4\n`);
  });

  test('of an arena without a profile say nothing about what was waited for', () => {
    const text = metricsText(state({ profile: undefined }));
    expect(text).toContain('holdfast_arena_used_bytes 250\n');
    expect(text).not.toContain('holdfast_lock_wait_seconds');
  });
});

test('the difference of two profiles is what was waited for between them', () => {
  const stack = (contentions: number, delay: number, line: number) => ({
    lock: 'mutex "a"',
    class: 'mutex "a"',
    shared: false,
    event: false,
    thread: 0,
    async: false,
    contentions,
    delay,
    frames: [{ name: 'f', file: '/f.js', line, column: 1 }],
  });
  const before = { ...state().profile!, stacks: [stack(1, 100, 1), stack(5, 500, 2)] };
  const after = { ...state({}, 3e9).profile!, stacks: [stack(4, 700, 1), stack(5, 500, 2), stack(2, 20, 3)] };
  const { stacks, duration, startedAt } = difference(after, before);
  expect(stacks.map(({ contentions, delay }) => [contentions, delay])).toEqual([
    [3, 600],
    [2, 20],
  ]);
  expect([duration, startedAt]).toEqual([2e9, '2026-01-01T00:00:01.000Z']);
});

describe('the handler', () => {
  test('serves the state, the waits, the metrics, the page and a profile', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    using handler = holdfastHandler(arena);
    const url = await serving(handler);
    await waitOnce(arena, '<b>');
    const get = async (path: string) => {
      const response = await fetch(new URL(path, url));
      expect(response.status).toBe(200);
      return response;
    };
    const { profile, arena: summary } = (await (await get('state')).json()) as ArenaState;
    expect(profile?.locks.map(({ lock, async }) => [lock, async.contentions])).toEqual([['mutex "<b>"', 1]]);
    expect(summary).toEqual(arena.toJSON());
    expect(await (await get('waits')).json()).toEqual([]);
    expect(await (await get('objects')).json()).toEqual(JSON.parse(JSON.stringify(arena.list())));
    expect(await (await get('metrics')).text()).toContain('holdfast_lock_wait_seconds_count{class="mutex \\"<b>\\""');
    const page = parse(await (await get('')).text());
    expect(page.querySelector('.verdict')?.text).toBe('nobody waits');
    expect(page.querySelectorAll('tbody th').map(({ text }) => text)).toContain('mutex "<b>"');
    const pprof = Profile.decode(gunzipSync(Buffer.from(await (await get('debug/pprof/block')).arrayBuffer())));
    expect(pprof.sample.map(({ value }) => Number(value[0]))).toEqual([1]);
    const head = await fetch(new URL('metrics', url), { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0);
  });

  test('serves the profile of the next seconds', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    using handler = holdfastHandler(arena);
    const url = await serving(handler);
    await waitOnce(arena, 'before');
    const asked = fetch(new URL('debug/pprof/block?seconds=0.2', url));
    const response = await asked;
    const pprof = Profile.decode(gunzipSync(Buffer.from(await response.arrayBuffer())));
    expect(pprof.sample).toEqual([]);
  });

  test.each([
    ['GET', 'nothing', 404],
    ['POST', 'metrics', 405],
    ['GET', 'debug/pprof/block?seconds=', 400],
    ['GET', 'debug/pprof/block?seconds=61', 400],
    ['GET', 'debug/pprof/block?seconds=x', 400],
  ])('answers %s %s by %i', async (method, path, status) => {
    using handler = holdfastHandler(Arena.create({ bytes: 1 << 20 }));
    const url = await serving(handler);
    expect((await fetch(new URL(path, url), { method })).status).toBe(status);
  });

  test('leaves other paths to whom it is mounted before', async () => {
    using handler = holdfastHandler(Arena.create({ bytes: 1 << 20 }));
    const url = await serving((request, response) => {
      handler(request, response, () => response.end('the application'));
    });
    expect(await (await fetch(new URL('nothing', url))).text()).toBe('the application');
  });

  test('has no profile beside another one, or when it was told so, and none after its end', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    const session = startProfile(arena);
    using handler = holdfastHandler(arena);
    const url = await serving(handler);
    expect(((await (await fetch(new URL('state', url))).json()) as ArenaState).profile).toBeUndefined();
    expect((await fetch(new URL('debug/pprof/block', url))).status).toBe(503);
    session.stop();
    using without = holdfastHandler(arena, { profile: false });
    expect(without).toBeDefined();
    const another = holdfastHandler(arena);
    another.close();
    another.close();
    startProfile(arena).stop();
  });

  test('refuses what is no arena, and options that are none', () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    expect(() => holdfastHandler({} as Arena)).toThrow(/^EINVAL: holdfastHandler\(\) expects an Arena/);
    expect(() => holdfastHandler(arena, { port: 1 } as never)).toThrow(/^EINVAL/);
    expect(() => holdfastHandler(arena, { profile: 1 as never })).toThrow(/^EINVAL: profile is true or false/);
    startProfile(arena).stop();
  });
});

describe('the observer', () => {
  test('answers while the thread that started it is blocked', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    await using observer = await observe(arena);
    const ready = arena.alloc(1);
    const mutex = new Mutex(arena, 'accounts');
    const other = inThread(arena, THREADS, 'askBeside', 'accounts', ready, new URL('waits', observer.url).href);
    await until(arena, ready, 1);
    mutex.lock();
    mutex.unlock();
    const [wait, ...more] = (await other.result) as ArenaState['waits'];
    expect(wait).toMatchObject({ thread: 0, async: false, object: 'mutex "accounts"' });
    expect(more).toEqual([]);
  });

  test('gives its place back, and ends the profile', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const observer = await observe(arena);
    expect(() => startProfile(arena)).toThrow(/^EBUSY/);
    await expect(observe(arena)).rejects.toMatchObject({ code: 'EAGAIN' });
    await observer.close();
    await observer.close();
    startProfile(arena).stop();
    await (await observe(arena, { profile: false })).close();
  });

  test('says why it can not listen, and leaves nothing', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const port = Number(new URL(await serving(() => {})).port);
    await expect(observe(arena, { port })).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await (await observe(arena)).close();
  });

  test.each([
    [{ port: -1 }, /a port is a whole number from 0 to 65535; received -1/],
    [{ port: '80' }, /a port is a whole number/],
    [{ host: '' }, /host is an address/],
    [{ prot: 1 }, /prot/],
  ])('refuses %o', async (options, message) => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 1 });
    const refused = (await observe(arena, options as never).catch((error) => error)) as HoldfastError;
    expect(refused.code).toBe('EINVAL');
    expect(refused.message).toMatch(message);
  });
});

describe('a frame of top', () => {
  const shown = (now: ArenaState, before?: ArenaState, width?: number) =>
    stripVTControlCharacters(topText(now, before, width));

  test('has what was waited for since the last one, most first', () => {
    const [a, b] = ['mutex "a"', 'mutex "b"'];
    const before = state({}, 1e9, [
      lock(a, a, { contentions: 100000, total: 9e8 }),
      lock(b, b, { contentions: 1, total: 1 }),
    ]);
    const now = state({}, 3e9, [
      lock(a, a, { contentions: 100010, total: 9e8 + 2e6 }),
      { ...lock(b, b, { contentions: 2001, total: 1e9 + 1, longest: 5e6 }), address: 64 },
    ]);
    const rows = shown(now, before, 120)
      .split('\n')
      .filter((line) => line.includes('mutex'));
    expect(
      rows.map((row) =>
        row
          .split('│')
          .map((cell) => cell.trim())
          .slice(1, -1),
      ),
    ).toEqual([
      [b, '1,000', '0.50', '5.0 ms', '2,001'],
      [a, '5', '0.00', '0 ns', '100,010'],
    ]);
  });

  test('says a deadlock first', () => {
    const link = (thread: number, object: string, holder: number) => ({
      thread,
      async: false,
      object,
      holders: [holder],
    });
    const cycle = [link(0, 'mutex "a"', 1), link(1, 'mutex "b"', 0)];
    const [first, second] = shown(state({ deadlocks: [cycle], waits: cycle })).split('\n');
    expect(first).toMatch(/^a deadlock · 2 of 64 threads · 25.0% of 1,000 bytes$/);
    expect(second).toBe(
      'deadlock: thread 0 waits for the mutex "a", held by thread 1; thread 1 waits for the mutex "b", held by thread 0',
    );
  });

  test('fits a terminal of 80 columns, and says what it does not show', () => {
    const waits = Array.from({ length: 20 }, (_, i) => ({
      thread: i,
      async: true,
      object: 'semaphore "s"',
      holders: [1, 2],
    }));
    const text = shown(state({ waits, profile: undefined }));
    expect(text).toContain('No profile is kept');
    expect(text).toContain('… and 8 more');
    expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });
});

describe('holdfast top', () => {
  const top = (...args: string[]) => promisify(execFile)(process.execPath, [...inject('command'), 'top', ...args]);

  test('shows an arena once, at a terminal and as JSON', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    using handler = holdfastHandler(arena);
    const url = await serving(handler);
    await waitOnce(arena, 'accounts');
    const [text, json] = await Promise.all([top(url, '--once'), top(url.slice('http://'.length), '--once', '--json')]);
    expect(stripVTControlCharacters(text.stdout)).toMatch(/^nobody waits · 1 of 64 threads/);
    expect(text.stdout).toContain('mutex "accounts"');
    expect((JSON.parse(json.stdout) as ArenaState).threads.length).toBe(1);
  });

  test('shows no workqueue, or a look that the program never gave', async () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    using handler = holdfastHandler(arena);
    const url = await serving(handler);
    expect(await (await fetch(`${url}workqueues`)).json()).toMatchObject({ workqueues: [] });
    new Workqueue(arena, 'images', { maxActive: 7 });
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...inject('command'),
      ...['wq', url, '--once', '--json'],
    ]);
    const state = JSON.parse(stdout) as WorkqueuesState;
    expect(state.workqueues).toMatchObject([{ name: 'images', maxActive: 7, active: 0, ended: 0 }]);
    const [queue] = state.workqueues as [WorkqueueStatistics];
    const later = {
      time: new Date(Date.parse(state.time) + 2000).toISOString(),
      workqueues: [{ ...queue, ended: 10 }],
    };
    const text = stripVTControlCharacters(workqueuesText(later, state));
    expect(text).toMatch(/images .* 10 .* 5 /);
    expect(workqueuesText({ ...state, workqueues: [] }, undefined)).toBe('No workqueue has been made.');
  });

  test('says that nobody answers, and what it does not understand', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const nobody = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    await once(server.close(), 'close');
    const [absent, address, interval] = await Promise.all(
      [[nobody], ['::'], [nobody, '-i', '0']].map((args) => top(...args).catch((error) => error)),
    );
    expect(absent).toMatchObject({ code: 2, stderr: expect.stringMatching(/ does not answer: .*ECONNREFUSED/) });
    expect(address).toMatchObject({ code: 2, stderr: expect.stringContaining('It is an address such as') });
    expect(interval).toMatchObject({ code: 2, stderr: expect.stringContaining('0.1 to 3600') });
  });
});
