/** Works on real workers, with kthreadd as their clock. */
import { afterAll, describe, expect, test } from 'vitest';
import { Arena, Completion, DelayedWork, Work, Workqueue } from '../../lib/index.ts';
import { thrown } from '../support/threads.ts';
import { f } from './functions.ts';

const arena = Arena.create({ bytes: 8 << 20 });
Workqueue.configure(arena, { slots: 2 });
let names = 0;
const name = () => `work ${names++}`;
const log = () => {
  const at = arena.alloc(16);
  arena.words.fill(0, at, at + 16);
  return at;
};
/** What has been noted at that address. */
const noted = (at: number) => [...arena.words.subarray(at + 1, at + 1 + Atomics.load(arena.words, at))];

afterAll(() => expect(arena.fsck()).toEqual([]));

describe('a work', () => {
  test('whose arguments, function or order in its queue are lost', async () => {
    const wq = new Workqueue(arena, name(), { ordered: true });
    const at = log();
    const first = new Work(arena, undefined, f.note, at, 1);
    const second = new Work(arena, undefined, f.noteAll, { at, values: [2, -3] });
    const third = Work.from(arena, new Work(arena, undefined, f.note, at, 4).handle);
    // None begins before all are queued.
    const gate = new Completion(arena, name());
    void wq.run(f.blockAsync, gate.name!);
    void wq.run(f.note, at, 0);
    expect([wq.queueWork(first), wq.queueWork(second), wq.queueWork(third), wq.queueWork(first)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
    gate.completeAll();
    await third.flushWorkAsync();
    expect(noted(at)).toEqual([0, 1, 2, -3, 4]);
    expect(wq.queueWork(first)).toBe(true);
    await wq.flush();
    expect([first.runs, first.failures, second.runs]).toEqual([2, 0, 1]);
    for (const work of [first, second, third]) work.destroy();
  });

  const unreadable = 'an error that throws when it is looked at';
  test.each([
    ['a thenable that calls back twice', undefined],
    ['a thenable that throws', 'no'],
    ['a thenable with a getter that throws', 'no'],
    ['an error whose stack throws', unreadable],
    ['an error with a getter that throws', 'mine'],
    ['an error that can’t be shown', unreadable],
    ['an error that is nothing', unreadable],
    ['a proxy that was revoked', unreadable],
  ] as const)('or a call which its worker dies of, or ends twice: %s', async (how, message) => {
    const wq = new Workqueue(arena, name());
    const call = wq.run(f.odd, how);
    if (message === undefined) expect(await call).toBe(1);
    else await expect(call).rejects.toThrow(message);
    const it = new Work(arena, undefined, f.odd, how);
    wq.queueWork(it);
    await it.flushWorkAsync();
    expect([it.runs, it.failures]).toEqual([1, message === undefined ? 0 : 1]);
    expect(wq.counts).toEqual({ active: 0, inactive: 0, ended: 2 });
    it.destroy();
  });

  test('that anybody can make something else of, or queue where it can’t be', async () => {
    const at = log();
    const known = name();
    const work = new Work(arena, known, f.note, at, 1);
    expect(new Work(arena, known, f.note, at, 9).address).toBe(work.address);
    const codeOf = (act: () => unknown) => thrown(act).code;
    expect(codeOf(() => new Work(arena, known, f.add, 1, 2))).toBe('EINVAL');
    expect(codeOf(() => new Work(arena, name(), () => {}))).toBe('EINVAL');
    expect(codeOf(() => new Work(arena, name()))).toBe('EINVAL');
    expect(codeOf(() => new Work(arena, name(), f.echo, () => {}))).toBe('EINVAL');
    expect(codeOf(() => new Work({} as never, name(), f.echo, 1))).toBe('EINVAL');
    const wq = new Workqueue(arena, name());
    const delayed = new DelayedWork(arena, name(), f.note, at, 1);
    expect(codeOf(() => wq.queueWork({} as never))).toBe('EINVAL');
    expect(codeOf(() => wq.queueWorkOn(1, work))).toBe('EINVAL');
    expect(codeOf(() => wq.queueDelayedWork(work as never, 1))).toBe('EINVAL');
    expect(codeOf(() => wq.queueDelayedWork(delayed, -1))).toBe('EINVAL');
    expect(codeOf(() => wq.modDelayedWork(delayed, Number.NaN))).toBe('EINVAL');
    const other = Arena.create({ bytes: 1 << 20 });
    expect(codeOf(() => wq.queueWork(new Work(other, 'elsewhere', f.add, 1, 2)))).toBe('EINVAL');
    other.detach();
    await wq.close();
    expect(codeOf(() => wq.queueWork(work))).toBe('EINVAL');
    expect(codeOf(() => wq.queueDelayedWork(delayed, 5))).toBe('EINVAL');
    expect([work.workBusy, delayed.workBusy]).toEqual([
      { pending: false, running: false },
      { pending: false, running: false },
    ]);
    expect(noted(at)).toEqual([]);
    work.destroy();
    delayed.destroy();
  });

  test('whose failure, or whose worker’s death, is nobody’s', async () => {
    const wq = new Workqueue(arena, name(), { ordered: true });
    const [fails, failsLater, kills] = [
      new Work(arena, undefined, f.fail, 'as it should'),
      new Work(arena, undefined, f.failLater, 'as it should'),
      new Work(arena, undefined, f.exit),
    ];
    for (const work of [fails, failsLater, kills]) wq.queueWork(work);
    await kills.flushWorkAsync();
    expect([fails, failsLater, kills].map(({ runs, failures }) => [runs, failures])).toEqual([
      [1, 1],
      [1, 1],
      [1, 1],
    ]);
    wq.queueWork(fails);
    await wq.flush();
    expect(fails.failures).toBe(2);
  });

  test('that blocks its flusher, which is a worker, and keeps the slot; or waits for itself', async () => {
    const [one, other] = [new Workqueue(arena, name()), new Workqueue(arena, name(), { ordered: true })];
    const at = log();
    const work = new Work(arena, name(), f.note, at, 1);
    // Each on a worker that sleeps: others run the work, and both flushers.
    await Promise.all(Array.from({ length: 3 }, () => one.run(f.queueAndFlush, other.name, work.name!)));
    expect(noted(at).length).toBeGreaterThan(0);
    // Behind its own flusher.
    await expect(other.run(f.queueAndFlush, other.name, work.name!)).rejects.toMatchObject({ code: 'EDEADLK' });
    await expect(other.run(f.queueAndFlushAsync, other.name, work.name!)).rejects.toMatchObject({ code: 'EDEADLK' });
    await work.flushWorkAsync();
    const itself = new Work(arena, name(), f.flushMyself, `work ${names - 1}`, at);
    one.queueWork(itself);
    await itself.flushWorkAsync();
    expect([itself.failures, noted(at).at(-1)]).toEqual([0, 35]);
  });
});

describe('a delayed work', () => {
  test('that is never queued by kthreadd, or twice', async () => {
    const wq = new Workqueue(arena, name());
    const at = log();
    const work = new DelayedWork(arena, undefined, f.note, at, 1);
    expect(wq.queueDelayedWork(work, 2)).toBe(true);
    while (work.runs === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    // In an hour, then at once.
    expect([wq.queueDelayedWork(work, 3.6e6), wq.queueDelayedWork(work, 0)]).toEqual([true, false]);
    expect(wq.modDelayedWork(work, 0)).toBe(true);
    // Whether it waits is not known: the work may be through already.
    await work.flushWorkAsync();
    expect(work.runs).toBe(2);
    expect(wq.queueDelayedWork(work, 3.6e6)).toBe(true);
    await work.flushDelayedWorkAsync();
    expect(work.runs).toBe(3);
    expect(wq.queueDelayedWork(work, 3.6e6)).toBe(true);
    expect(await work.cancelWorkAsync()).toBe(true);
    expect(wq.modDelayedWork(work, 0)).toBe(false);
    await work.flushWorkAsync();
    work.disableWork();
    expect([wq.modDelayedWork(work, 0), wq.modDelayedWork(work, 1), wq.queueDelayedWork(work, 0)]).toEqual([
      false,
      false,
      false,
    ]);
    expect(work.runs).toBe(4);
    expect(noted(at)).toEqual([1, 1, 1, 1]);
    work.destroy();
  });
});

test('a queue that is drained takes no work but from its own items, or ends before those', async () => {
  const wq = new Workqueue(arena, name());
  const at = log();
  const [work, last] = [new Work(arena, name(), f.note, at, 1), new Work(arena, undefined, f.note, at, 2)];
  const gate = new Completion(arena, name());
  const chained = wq.run(f.queueBehind, gate.name!, wq.name, work.name!);
  const drained = wq.drain();
  expect(thrown(() => wq.queueWork(last)).code).toBe('EBUSY');
  gate.completeAll();
  await drained;
  expect(noted(at)).toEqual([1]);
  expect(await chained).toBe(true);
});
