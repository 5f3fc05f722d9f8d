/** Strict and debug mode: mistakes of a program that RCU finds sooner, or reports. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Place } from '../../lib/arena/place.ts';
import { Arena, Completion, KmemCache, Rcu, type RcuMisuse, RcuQsbr, type RcuStall, Srcu } from '../../lib/index.ts';
import { MISUSE_CHANNEL } from '../../lib/rcu/checks.ts';
import { AWAITED, INSIDE, OUTSIDE } from '../../lib/rcu/grace-period.ts';
import { domainAt, Line, lineOf } from '../../lib/rcu/layout.ts';
import { STALL_CHANNEL } from '../../lib/rcu/stall.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const written = vi.hoisted(() => [] as string[]);
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  writeSync: (to: number, text: string) => written.push(`${to}: ${text}`),
}));

const misuses: RcuMisuse[] = [];
const stalls: RcuStall[] = [];
const onMisuse = (misuse: unknown) => void misuses.push(misuse as RcuMisuse);
const onStall = (stall: unknown) => void stalls.push(stall as RcuStall);
beforeEach(() => {
  misuses.length = 0;
  stalls.length = 0;
  written.length = 0;
  subscribe(MISUSE_CHANNEL, onMisuse);
  subscribe(STALL_CHANNEL, onStall);
});
afterEach(() => {
  unsubscribe(MISUSE_CHANNEL, onMisuse);
  unsubscribe(STALL_CHANNEL, onStall);
});

const problems = () => misuses.map(({ problem }) => problem);

const FLAVOURS = { Rcu, RcuQsbr } as const;

describe.each(['Rcu', 'RcuQsbr'] as const)('strict mode of %s', (flavour) => {
  function stage() {
    const all = stepper(2);
    const [first, second] = all.arenas.map((arena) => new FLAVOURS[flavour](arena)) as [Rcu, Rcu];
    const lane = lineOf(domainAt(all.real, first.address), 1) + Line.lanes;
    second.strict = true;
    return { ...all, first, second, lane };
  }

  test('begins and ends a period with the outermost unlock', () => {
    const { first, second, lane, real } = stage();
    const before = first.getState();
    second.readLock();
    second.readLock();
    second.readUnlock();
    expect(second.readLockHeld).toBe(true);
    expect(real.load(lane)).toBe(INSIDE);
    expect(first.getState().normal).toBe(before.normal);
    second.readUnlock();
    expect(second.readLockHeld).toBe(false);
    expect(real.load(lane)).toBe(OUTSIDE);
    expect(first.getState().normal).toBe(before.normal + 4);
    expect(thrown(() => second.readUnlock()).code).toBe('EPERM');
  });

  test('reports to a period that waits, and what waited for it is over at once', () => {
    const { first, second, lane, real } = stage();
    second.readLock();
    const cookie = first.startPoll();
    expect(real.load(lane)).toBe(AWAITED);
    second.readUnlock();
    // A state that is not over would be the next one's.
    expect(first.getState().normal).toBeGreaterThan(cookie.normal);
  });

  test('frees what the thread has given to kfree as soon as that may be', () => {
    const { arenas, second } = stage();
    const cache = new KmemCache(arenas[1]!, 'routes', { words: 4, rcu: second });
    second.readLock();
    second.kfree(cache.alloc());
    expect(cache.leaks()).toEqual([]);
    second.readUnlock();
    second.readLock();
    second.readUnlock();
    cache.destroy();
  });

  test('changes outside of readers, for all views of the thread, and ends', () => {
    const { arenas, second, lane, real, first } = stage();
    const view = new FLAVOURS[flavour](arenas[1]!);
    expect(view.strict).toBe(true);
    view.readLock();
    expect(thrown(() => (second.strict = false)).code).toBe('EBUSY');
    second.readUnlock();
    expect(thrown(() => (second.strict = 1 as never)).code).toBe('EINVAL');
    second.strict = false;
    const before = first.getState();
    view.readLock();
    view.readUnlock();
    expect(first.getState().normal).toBe(before.normal);
    expect([OUTSIDE, INSIDE]).toContain(real.load(lane));
    expect(thrown(() => view.readUnlock()).code).toBe('EPERM');
  });
});

test('strict mode ends a period with the last of overlapping readers', () => {
  const { arenas } = stepper(2);
  const rcu = new Srcu(arenas[0]!);
  rcu.strict = true;
  const before = rcu.getState();
  const [one, other] = [rcu.readLock(), rcu.readLock()];
  rcu.readUnlock(one);
  expect(rcu.getState().normal).toBe(before.normal);
  rcu.readUnlock(other);
  expect(rcu.getState().normal).toBe(before.normal + 4);
});

describe.each(['Rcu', 'RcuQsbr'] as const)('debug mode of %s', (flavour) => {
  function stage() {
    const all = stepper(2);
    const [first, second] = all.arenas.map((arena) => new FLAVOURS[flavour](arena)) as [Rcu, Rcu];
    const word = all.arenas[1]!.alloc(1);
    second.assignPointer(word, 77);
    second.debug = true;
    return { ...all, first, second, word };
  }

  test('reports a dereference outside a reader, once for each place, and makes it', () => {
    const { second, word, first } = stage();
    const outside = () => second.dereference(word);
    for (let i = 0; i < 3; i++) expect(outside()).toBe(77);
    expect(problems()).toEqual(['a pointer was dereferenced outside a reader']);
    expect(misuses[0]).toMatchObject({ thread: 1 });
    expect(misuses[0]?.stack).toMatch(/outside.*checks\.test\.ts/);
    expect(written[0]).toMatch(/^2: rcu: WARNING: suspicious RCU usage on thread 1, rcu.* "holdfast\.rcu/);
    second.readLock();
    second.dereference(word);
    second.readLock();
    second.readUnlock();
    second.dereference(word);
    second.readUnlock();
    expect(second.dereferenceCheck(word, true)).toBe(77);
    first.dereference(word);
    expect(misuses).toHaveLength(1);
    expect(second.dereferenceCheck(word, false)).toBe(77);
    expect(misuses).toHaveLength(2);
    second.debug = false;
    second.dereference(word);
    expect(misuses).toHaveLength(2);
  });

  test('reports a sleep inside a reader', () => {
    const { arenas, before: plan, second } = stage();
    const [done, same] = arenas.map((arena) => new Completion(arena, 'done')) as [Completion, Completion];
    const wait = () => {
      plan(1, on('wait'), () => done.complete());
      same.wait();
    };
    wait();
    expect(misuses).toEqual([]);
    second.readLock();
    wait();
    second.readUnlock();
    expect(problems()).toEqual(['a thread sleeps inside a reader']);
    expect(misuses[0]?.stack).toContain('Completion.wait');
    second.debug = false;
    second.readLock();
    new Function('wait', 'wait()')(wait);
    second.readUnlock();
    expect(misuses).toHaveLength(1);
  });

  test('reports four functions at most that are queued while they wait, and runs them', async () => {
    const { second } = stage();
    let runs = 0;
    const again = () => void runs++;
    second.call(() => {});
    expect(misuses).toEqual([]);
    second.call(again);
    for (const i of [1, 2, 3, 4, 5, 6]) {
      // Places differ, so that each would be reported.
      new Function('call', `${'\n'.repeat(i)}call()`)(() => second.call(again));
    }
    await second.barrierAsync();
    expect(problems()).toEqual(Array.from({ length: 4 }, () => 'a callback was queued that waits already'));
    expect(runs).toBe(7);
    second.call(again);
    await second.barrierAsync();
    expect(misuses).toHaveLength(4);
  });

  test('tells in a stall warning where the reader went in', () => {
    const { first, second, killBefore, reap } = stage();
    first.stallTimeout = 1000;
    const goIn = () => second.readLock();
    goIn();
    second.readLock();
    expect(thrown(() => first.synchronize({ timeout: 1200 })).code).toBe('ETIMEDOUT');
    expect(stalls[0]?.threads[0]?.stack).toMatch(/goIn/);
    expect(stalls[0]?.message).toMatch(/rcu: \t1: 0 GPs behind.*\nrcu: \t +at /);
    // The next thread with that number notes nothing.
    killBefore(
      1,
      () => true,
      () => second.readUnlock(),
    );
    expect(reap(0)).toBe('done');
  });
});

test('a thread that overlaps readers says where each lane was entered', () => {
  const { arenas } = stepper(2);
  const [first, second] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
  first.stallTimeout = 1000;
  second.debug = true;
  const takeGuard = () => second.read();
  const guard = takeGuard();
  expect(thrown(() => first.synchronize({ timeout: 1200 })).code).toBe('ETIMEDOUT');
  expect(stalls[0]?.threads[0]?.stack).toMatch(/takeGuard/);
  guard.release();
  second.debug = false;
  const other = second.read();
  expect(thrown(() => first.synchronize({ timeout: 1200 })).code).toBe('ETIMEDOUT');
  expect(stalls[1]?.threads[0]?.stack).toBe('');
  other.release();
});

test('readers of Srcu may sleep, and its notes go with it', () => {
  const { arenas, before } = stepper(2);
  const rcu = new Srcu(arenas[1]!);
  rcu.debug = true;
  const [done, same] = arenas.map((arena) => new Completion(arena, 'done')) as [Completion, Completion];
  const index = rcu.readLock();
  before(1, on('wait'), () => done.complete());
  same.wait();
  rcu.readUnlock(index);
  expect(misuses).toEqual([]);
  const name = `holdfast.rcu-stacks.${rcu.address}`;
  expect(arenas[0]!.objects.has(name)).toBe(true);
  rcu.destroy();
  expect(arenas[0]!.objects.has(name)).toBe(false);
});

test('a thread that leaves inside a reader says so', () => {
  const { arenas } = stepper(2);
  const place = new Place(arenas[0]!.cpu, 0, { spins: 4 });
  const rcu = new Rcu(new Arena(place));
  rcu.debug = true;
  rcu.readLock();
  place.leave();
  expect(problems()).toEqual(['a thread leaves inside a reader']);
});

test('the environment asks for checks', async () => {
  vi.stubEnv('HOLDFAST_RCU', 'strict, debug');
  vi.resetModules();
  const fresh = await import('../../lib/index.ts');
  vi.unstubAllEnvs();
  const arena = fresh.Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  for (const rcu of [new fresh.Rcu(arena), new fresh.RcuQsbr(arena), new fresh.Srcu(arena)]) {
    expect([rcu.strict, rcu.debug]).toEqual([true, true]);
  }
  const { arenas } = stepper(1);
  expect(new Rcu(arenas[0]!).strict).toBe(false);
});
