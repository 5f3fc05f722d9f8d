/** Queues that every arena has, freezing, and slots, on real threads. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { describe, expect, test } from 'vitest';
import {
  Arena,
  Completion,
  freezeWorkqueues,
  freezeWorkqueuesBusy,
  setUnboundCpumask,
  systemWorkqueue,
  thawWorkqueues,
  unboundCpumask,
  Workqueue,
  workqueueOfflineSlot,
  workqueueOnlineSlot,
  workqueueOnlineSlots,
} from '../../lib/index.ts';
import { f } from './functions.ts';

function newArena(powerEfficient = false): Arena {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2, powerEfficient });
  return arena;
}

const arena = newArena();

async function when(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('system workqueues', () => {
  test('of which one is missing, or otherwise than its name says', async () => {
    const flags = {
      events: ['bound'],
      events_highpri: ['bound', 'highpri'],
      events_long: ['bound'],
      events_unbound: ['unbound'],
      events_freezable: ['bound', 'freezable'],
      events_power_efficient: ['bound', 'powerEfficient'],
      events_freezable_pwr_efficient: ['bound', 'freezable', 'powerEfficient'],
    } as const;
    for (const [name, expected] of Object.entries(flags)) {
      const wq = systemWorkqueue(arena, name as keyof typeof flags);
      expect([wq.name, wq.statistics.flags]).toEqual([name, expected]);
    }
    expect(await systemWorkqueue(arena).run(f.add, 1, 2)).toBe(3);
    expect(() => systemWorkqueue(arena, 'toString' as 'events')).toThrow('EINVAL');
  });

  test('that are bound although the arena is to save power', async () => {
    const saving = newArena(true);
    expect(systemWorkqueue(saving, 'events_power_efficient').statistics.flags).toEqual(['unbound', 'powerEfficient']);
    expect(systemWorkqueue(saving, 'events').statistics.flags).toEqual(['bound']);
    expect(() => new Workqueue(saving, 'x', { powerEfficient: true, unbound: true })).toThrow('EINVAL');
    expect(() => Workqueue.configure(saving, { slots: 2 })).toThrow('EBUSY');
  });
});

describe('freezing', () => {
  test('that lets an item begin, stops a queue that is not freezable, or loses what waits', async () => {
    const wq = new Workqueue(arena, 'freezable', { freezable: true });
    const other = new Workqueue(arena, 'other');
    const running = wq.run(f.blockAsync, 'freeze gate');
    await when(() => wq.counts.active === 1);
    expect(freezeWorkqueues(arena)).toBe(true);
    expect(freezeWorkqueues(arena)).toBe(false);
    expect(freezeWorkqueuesBusy(arena)).toBe(true);
    new Completion(arena, 'freeze gate').completeAll();
    await running;
    await when(() => !freezeWorkqueuesBusy(arena));
    const waiting = wq.run(f.add, 1, 2);
    expect(await other.run(f.add, 2, 2)).toBe(4);
    await when(() => wq.counts.inactive === 1);
    expect(wq.counts.active).toBe(0);
    expect(wq.maxActive).toBe(1024);
    expect(thawWorkqueues(arena)).toBe(true);
    expect(await waiting).toBe(3);
  });
});

describe('slots', () => {
  test('that are gone and get what threads queue, or are the last and go', async () => {
    const wq = new Workqueue(arena, 'bound', { unbound: false });
    const threadsOf = async (call: () => Promise<number>) => [await call(), await call(), await call()];
    // The slot that this thread is local to.
    expect(workqueueOfflineSlot(arena, 0)).toBe(true);
    expect(workqueueOfflineSlot(arena, 0)).toBe(false);
    expect(workqueueOnlineSlots(arena)).toEqual([1]);
    expect(() => workqueueOfflineSlot(arena, 1)).toThrow('EBUSY');
    expect(() => workqueueOfflineSlot(arena, 2)).toThrow('EINVAL');
    const elsewhere = await threadsOf(() => wq.run(f.thread));
    const there = await threadsOf(() => wq.runWith({ slot: 0 }, f.thread));
    expect(elsewhere.some((thread) => there.includes(thread))).toBe(false);
    expect(workqueueOnlineSlot(arena, 0)).toBe(true);
    expect(workqueueOnlineSlot(arena, 0)).toBe(false);
    expect(workqueueOnlineSlots(arena)).toEqual([0, 1]);
  });

  test('that unbound workers are to leave alone, and use', async () => {
    const own = newArena();
    const wq = new Workqueue(own, 'unbound');
    setUnboundCpumask(own, [1]);
    expect(unboundCpumask(own)).toEqual([1]);
    expect(() => setUnboundCpumask(own, [])).toThrow('EINVAL');
    expect(() => setUnboundCpumask(own, [2])).toThrow('EINVAL');
    expect(await Promise.all([1, 2, 3].map((n) => wq.run(f.add, n, 1)))).toEqual([2, 3, 4]);
    setUnboundCpumask(own, [0, 1]);
    expect(unboundCpumask(own)).toEqual([0, 1]);
  });
});

describe('the channel holdfast:workqueue:run', () => {
  test('that tells of calls which are not the subscriber’s, or not how they end', async () => {
    const wq = new Workqueue(arena, 'traced');
    const told: unknown[] = [];
    const note = (event: string) => (message: unknown) => {
      const { workqueue, name, args, result, error } = message as Record<string, unknown>;
      told.push([event, workqueue, name, args, event === 'asyncEnd' ? (result ?? String(error)) : undefined]);
    };
    const channels = ['start', 'asyncEnd'].map(
      (event) => [`tracing:holdfast:workqueue:run:${event}`, note(event)] as const,
    );
    for (const [name, listener] of channels) subscribe(name, listener);
    expect(await wq.run(f.add, 1, 2)).toBe(3);
    await wq.runWith({}, f.fail, 'bad').catch(() => {});
    for (const [name, listener] of channels) unsubscribe(name, listener);
    await wq.run(f.add, 1, 2);
    subscribe(...channels[0]!);
    await wq.run(f.add, 3, 4);
    unsubscribe(...channels[0]!);
    expect(told).toEqual([
      ['start', 'traced', 'add', [1, 2], undefined],
      ['asyncEnd', 'traced', 'add', [1, 2], 3],
      ['start', 'traced', 'fail', ['bad'], undefined],
      ['asyncEnd', 'traced', 'fail', ['bad'], 'TypeError: bad'],
      ['start', 'traced', 'add', [3, 4], undefined],
    ]);
  });
});
