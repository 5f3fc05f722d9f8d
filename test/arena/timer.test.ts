import { describe, expect, test } from 'vitest';
import { Arena, kthreadRun, Timer } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { cancelTimer, expireTimer, isTimerActive, nextExpiry, startTimer, timerFired } from '../../lib/sched/timer.ts';
import { kthreaddLife } from '../support/kthreadd.ts';
import { step, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./kthread.threads.ts', import.meta.url).href;

/** Timers of an arena whose threads are stepped. */
function timers(threads: number, count: number) {
  const stage = stepper(threads);
  const all = Array.from({ length: count }, () => new Timer(stage.arenas[0]!, undefined, { action: 'none' }).address);
  const cpus = stage.arenas.map(({ cpu }) => cpu);
  return { ...stage, cpus, all };
}

/** The timers that expire one after the other until `now`. */
function expired(cpu: Arena['cpu'], id: number, now: number): number[] {
  const found: number[] = [];
  for (let timer = expireTimer(cpu, id, now); timer !== 0; timer = expireTimer(cpu, id, now)) {
    found.push(timer);
    timerFired(cpu, id, timer);
  }
  return found;
}

describe('timers', () => {
  test('that expire in another order than that of their deadlines', () => {
    const { cpus, all } = timers(1, 6);
    const cpu = cpus[0]!;
    // Beyond 32 bits, and with low words that are negative as words.
    const deadlines = [5 * 2 ** 32, 7, 2 ** 31 + 1, 3 * 2 ** 32 + 2 ** 31, 2 ** 31, 8];
    expect(all.map((timer, i) => startTimer(cpu, 1, timer, deadlines[i]!))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
    expect(nextExpiry(cpu, 1)).toBe(7);
    expect(expired(cpu, 1, 2 ** 31)).toEqual([all[1], all[5], all[4]]);
    expect(nextExpiry(cpu, 1)).toBe(2 ** 31 + 1);
    expect(expired(cpu, 1, 2 ** 40)).toEqual([all[2], all[3], all[0]]);
    expect(nextExpiry(cpu, 1)).toBe(Number.POSITIVE_INFINITY);
  });

  test('that expire at the deadline that they had before, or twice', () => {
    const { cpus, all } = timers(1, 2);
    const [cpu, [timer, other]] = [cpus[0]!, all as [number, number]];
    startTimer(cpu, 1, other, 20);
    for (const deadline of [10, 30, 15, 25]) startTimer(cpu, 1, timer, deadline);
    expect(expired(cpu, 1, 24)).toEqual([other]);
    expect(expired(cpu, 1, 25)).toEqual([timer]);
    expect(expired(cpu, 1, 100)).toEqual([]);
  });

  test('that expire although they were cancelled', () => {
    const { cpus, all } = timers(1, 2);
    const [cpu, [timer, other]] = [cpus[0]!, all as [number, number]];
    startTimer(cpu, 1, timer, 10);
    startTimer(cpu, 1, other, 10);
    expect(cancelTimer(cpu, 1, timer)).toBe(true);
    expect(cancelTimer(cpu, 1, timer)).toBe(false);
    expect(isTimerActive(cpu, timer)).toBe(false);
    expect(expired(cpu, 1, 10)).toEqual([other]);
  });

  test('an action that starts its timer again, and is taken for the end of it', () => {
    const { cpus, all } = timers(1, 1);
    const [cpu, timer] = [cpus[0]!, all[0]!];
    startTimer(cpu, 1, timer, 10);
    expect(expireTimer(cpu, 1, 10)).toBe(timer);
    expect(isTimerActive(cpu, timer)).toBe(true);
    expect(cancelTimer(cpu, 1, timer)).toBe(false);
    startTimer(cpu, 1, timer, 20);
    timerFired(cpu, 1, timer);
    expect(expired(cpu, 1, 20)).toEqual([timer]);
    expect(isTimerActive(cpu, timer)).toBe(false);
  });

  test('an expiry that was lost with a thread that died in the middle of its action', () => {
    const { cpus, all, die, reap } = timers(2, 1);
    startTimer(cpus[0]!, 1, all[0]!, 10);
    expect(expireTimer(cpus[0]!, 1, 10)).toBe(all[0]);
    die(0);
    expect(reap(1)).toBe('done');
    expect(expired(cpus[1]!, 2, 10)).toEqual([all[0]]);
  });

  const acts = {
    start: { act: (cpu: Arena['cpu'], timer: number) => void startTimer(cpu, 1, timer, 30), deadlines: [15, 30] },
    cancel: { act: (cpu: Arena['cpu'], timer: number) => void cancelTimer(cpu, 1, timer), deadlines: [15, Infinity] },
    expire: { act: (cpu: Arena['cpu']) => void expired(cpu, 1, 16), deadlines: [15, Infinity] },
  };

  test.each(Object.entries(acts))(
    'a tree that is torn by a death in the middle of: %s',
    (_name, { act, deadlines }) => {
      const outcomes = new Set<number>();
      for (let n = 1; ; n++) {
        const { cpus, all, arenas, killBefore, reap } = timers(2, 7);
        // The tree has a node with two children, which is the one that is changed.
        for (const [i, timer] of all.entries()) startTimer(cpus[0]!, 1, timer, [15, 50, 60, 70, 80, 90, 100][i]!);
        if (!killBefore(0, step(n), () => act(cpus[0]!, all[0]!))) break;
        expect(reap(1)).toBe('done');
        outcomes.add(nextExpiry(cpus[1]!, 2) > 30 ? Infinity : nextExpiry(cpus[1]!, 2));
        expect(expired(cpus[1]!, 2, 1000).filter((timer) => timer !== all[0])).toEqual(all.slice(1));
        expect(arenas[1]!.fsck()).toEqual([]);
      }
      expect([...outcomes].sort((a, b) => a - b)).toEqual(deadlines);
    },
  );

  test('that are destroyed while they are to expire', () => {
    const { arenas } = stepper(1);
    const timer = new Timer(arenas[0]!, undefined, { action: 'none' });
    startTimer(arenas[0]!.cpu, 1, timer.address, 10);
    expect(thrown(() => timer.destroy()).code).toBe('EBUSY');
    timer.cancel();
    timer.destroy();
  });

  test('bad deadlines, actions and words', () => {
    const arena = Arena.create({ bytes: 1 << 20 });
    for (const options of [
      {},
      { action: '' },
      { action: 3 },
      { action: 'a', data: 0.5 },
      { action: 'a', data: 2 ** 31 },
    ]) {
      expect(thrown(() => new Timer(arena, undefined, options as never)).code).toBe('EINVAL');
    }
    const timer = new Timer(arena, undefined, { action: 'a' });
    for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', 2 ** 53]) {
      expect(thrown(() => timer.start(ms as never)).code).toBe('EINVAL');
    }
    expect(timer.isActive).toBe(false);
    expect(arena.cpu.load(Header.kthreaddWanted)).toBe(0);
    arena.detach();
  });
});

test('a timer that does not expire because the thread that started it is dead, or kthreadd died of it', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
  const word = arena.alloc(4);
  arena.words.fill(0, word, word + 4);
  // With this task kthreadd, and the next one, loads the module that declares the actions.
  await kthreadRun(arena, THREADS, 'counts', 'loads', { data: word + 2 }).readyAsync();
  const life = kthreaddLife(arena);
  for (const [action, at] of [
    ['test: count', word],
    ['test: count and die', word + 1],
  ]) {
    const { result, exited } = inThread(arena, THREADS, 'startsTimer', action, at, 1);
    await result;
    await exited;
  }
  await until(arena, word, 1);
  await until(arena, word + 1, 2);
  expect(kthreaddLife(arena)).not.toBe(life);
  arena.detach();
});
