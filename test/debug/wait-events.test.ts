/** Waits for locks as events and as spans: what a service hears of, and when. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, describe, expect, test } from 'vitest';
import { Completion, type LockWait, Mutex, type ProfileOptions, spansOfWaits, startProfile } from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

function heardOn(name: string, hears: (wait: LockWait) => void = () => {}): LockWait[] {
  const heard: LockWait[] = [];
  const listen = (message: unknown) => {
    heard.push(message as LockWait);
    hears(message as LockWait);
  };
  subscribe(name, listen);
  ends.push(() => unsubscribe(name, listen));
  return heard;
}

/** Thread 1 waits for thread 0, each look at the clock 20 ms after the last one. */
function stage(options: ProfileOptions = {}) {
  const on3 = stepper(3, { words: 1 << 18 });
  const [mine, theirs] = on3.arenas.map((arena) => new Mutex(arena, 'branch 7')) as [Mutex, Mutex];
  const session = startProfile(on3.arenas[0]!, options);
  ends.push(() => session.stop());
  let now = 0;
  for (const { cpu } of on3.arenas) cpu.now = () => (now += 20e6);
  const waits = () => {
    mine.lock();
    on3.before(1, on('wait'), () => mine.unlock());
    theirs.lock();
    theirs.unlock();
  };
  return { ...on3, mine, theirs, waits };
}

/** Microtasks that are queued have run. */
const later = () => new Promise((resolve) => setImmediate(resolve));

describe('a wait for a lock', () => {
  test('is not told on its channel, or while its call has not come back', async () => {
    const { waits, theirs } = stage();
    // A listener may take locks.
    const heard = heardOn('holdfast:wait', () => theirs.runExclusive(() => {}));
    const before = Date.now();
    waits();
    expect(heard).toEqual([]);
    await later();
    expect(heard).toMatchObject([
      { lock: 'mutex "branch 7"', class: 'mutex "branch #"', thread: 1, holder: 0, async: false, outcome: 'acquired' },
    ]);
    const [{ start, duration }] = heard as [LockWait];
    expect(duration).toBeGreaterThan(0);
    // The clock of this test is ahead of the host's, at which it ended.
    expect(start + duration / 1e6).toBeGreaterThan(before - 1000);
  });

  test('that is short is a long one, or a long one is not', async () => {
    for (const [longWait, times] of [
      [1, 1],
      [100_000, 0],
    ] as const) {
      const { waits } = stage({ longWait });
      const heard = heardOn('holdfast:long-wait');
      waits();
      await later();
      expect(heard).toHaveLength(times);
      for (const end of ends.splice(0)) end();
    }
  });

  test('is one of those that wait until something happens, or is told without a profile', async () => {
    const { arenas, before: rightBefore, theirs, mine } = stage();
    const heard = heardOn('holdfast:wait');
    const [done, theirDone] = arenas.map((arena) => new Completion(arena, 'done')) as [Completion, Completion];
    rightBefore(1, on('wait'), () => done.complete());
    theirDone.wait();
    await later();
    expect(heard).toEqual([]);
    ends.shift()!();
    mine.lock();
    expect(thrown(() => theirs.lock({ timeout: 0 }))).toMatchObject({ code: 'ETIMEDOUT' });
    await later();
    expect(heard).toEqual([]);
  });

  test('that comes to nothing has the outcome of one that has its lock', async () => {
    const { mine, theirs } = stage();
    const heard = heardOn('holdfast:wait');
    mine.lock();
    thrown(() => theirs.lock({ timeout: 0 }));
    const aborted = theirs.lockAsync({ signal: AbortSignal.timeout(1) }).catch(() => {});
    await aborted;
    await later();
    expect(heard.map(({ outcome }) => outcome)).toEqual(['timed-out', 'aborted']);
    expect(heard.map(({ async }) => async)).toEqual([false, true]);
  });

  test('for the lock of a thread that died is not told as that', async () => {
    const { arenas, theirs, before: rightBefore, die, reap } = stage();
    const heard = heardOn('holdfast:owner-died');
    new Mutex(arenas[2]!, 'branch 7').lock();
    rightBefore(1, on('wait'), () => {
      die(2);
      reap(0);
    });
    theirs.lock();
    theirs.makeConsistent();
    theirs.unlock();
    await later();
    expect(heard).toMatchObject([{ outcome: 'owner-died', thread: 1 }]);
  });
});

describe('spans of waits', () => {
  /** As `@opentelemetry/api`, with a context manager on AsyncLocalStorage. */
  function telemetry() {
    const contexts = new AsyncLocalStorage<string>();
    const spans: { name: string; parent: unknown; start: number; end: number; attributes: object }[] = [];
    const api = {
      trace: {
        getTracer: () => ({
          startSpan: (
            name: string,
            { startTime: start, attributes }: { startTime: number; attributes: object },
            parent: unknown,
          ) => ({
            end: (end: number) => void spans.push({ name, parent, start, end, attributes }),
          }),
        }),
      },
      context: { active: () => contexts.getStore() },
    };
    return { api, contexts, spans };
  }

  test('are children of another request, or have no start and end of their own', async () => {
    const { mine, theirs, waits } = stage();
    const { api, contexts, spans } = telemetry();
    const listening = spansOfWaits(api);
    contexts.run('request 1', waits);
    await later();
    const second = contexts.run('request 2', async () => {
      mine.lock();
      const held = theirs.acquireAsync();
      mine.unlock();
      (await held).release();
    });
    await second;
    await later();
    expect(spans.map(({ name, parent }) => [name, parent])).toEqual([
      ['holdfast.wait', 'request 1'],
      ['holdfast.wait', 'request 2'],
    ]);
    for (const { start, end } of spans) expect(end).toBeGreaterThan(start);
    expect(spans[0]!.attributes).toEqual({
      'holdfast.lock': 'mutex "branch 7"',
      'holdfast.class': 'mutex "branch #"',
      'holdfast.mode': 'sync',
      'holdfast.outcome': 'acquired',
      'holdfast.thread': 1,
      'holdfast.holder': 0,
    });
    listening[Symbol.dispose]();
    expect(channel('holdfast:wait').hasSubscribers).toBe(false);
  });

  test('are made of waits that are shorter than what was asked for', async () => {
    const { waits } = stage();
    const { api, spans } = telemetry();
    const listening = spansOfWaits(api, { longerThan: 3_600_000 });
    waits();
    await later();
    listening[Symbol.dispose]();
    expect(spans).toEqual([]);
  });

  test.each([[undefined], [{}], [{ trace: {} }]])('of what is no such module begin: %j', (api) => {
    expect(thrown(() => spansOfWaits(api as never))).toMatchObject({ code: 'EINVAL' });
    expect(channel('holdfast:wait').hasSubscribers).toBe(false);
  });

  test.each([[{ longerThan: -1 }], [{ longerThan: 'x' }], [{ shorterThan: 1 }]])(
    'begin with bad options: %j',
    (options) => {
      expect(thrown(() => spansOfWaits(telemetry().api, options as never))).toMatchObject({ code: 'EINVAL' });
    },
  );
});
