import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { HoldfastError, Rcu, RcuQsbr, type RcuStall, Srcu } from '../../lib/index.ts';
import { latch, tryLatch, unlatch } from '../../lib/memory/latch.ts';
import { OUTSIDE } from '../../lib/rcu/grace-period.ts';
import { domainAt, lineOf, Period, RcuWords } from '../../lib/rcu/layout.ts';
import { STALL_CHANNEL } from '../../lib/rcu/stall.ts';
import { Task } from '../../lib/sched/task.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const written = vi.hoisted(() => [] as string[]);
const stderr = vi.hoisted(() => ({ error: undefined as Error | undefined }));
vi.mock('node:fs', async (original) => ({
  ...(await original<typeof import('node:fs')>()),
  writeSync(to: number, text: string) {
    if (stderr.error !== undefined) throw stderr.error;
    return written.push(`${to}: ${text}`);
  },
}));

const stalls: RcuStall[] = [];
const listen = (stall: unknown) => void stalls.push(stall as RcuStall);
beforeEach(() => {
  stalls.length = 0;
  written.length = 0;
  stderr.error = undefined;
  subscribe(STALL_CHANNEL, listen);
});
afterEach(() => unsubscribe(STALL_CHANNEL, listen));

/** Threads of one arena, with a clock that their waits put forward. */
function domains(threads: number, timeout = 1000) {
  const stage = stepper(threads);
  const rcus = stage.arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, ...Rcu[]];
  rcus[0].stallTimeout = timeout;
  const record = rcus[0].address + RcuWords.normal;
  return { ...stage, rcus, record };
}

/** Thread 0 waits so long, ms, for readers that do not leave. */
function waitFor(rcu: Rcu, timeout: number): void {
  expect(thrown(() => rcu.synchronize({ timeout })).code).toBe('ETIMEDOUT');
}

describe('a period that does not end', () => {
  test('is reported after 21 s unless the program says otherwise, then after three times as long and 3 ms', () => {
    const stage = stepper(2);
    const rcus = stage.arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
    expect(rcus[0].stallTimeout).toBe(21_000);
    rcus[1].readLock();
    waitFor(rcus[0], 20_500);
    expect(stalls).toEqual([]);
    waitFor(rcus[0], 1000);
    expect(stalls).toMatchObject([{ detectedBy: 0, isExpedited: false, threads: [{ thread: 1, isSync: true }] }]);
    expect(stalls[0]?.waited).toBeGreaterThanOrEqual(21_000);
    expect(stalls[0]?.waited).toBeLessThan(21_200);
    waitFor(rcus[0], 62_000);
    expect(stalls).toHaveLength(1);
    waitFor(rcus[0], 1500);
    expect(stalls).toHaveLength(2);
    expect(stalls[1]?.waited).toBeGreaterThanOrEqual(21_000 * 4 + 3);
  });

  test('is reported in the words of the kernel, on the standard error stream', () => {
    const { rcus } = domains(3);
    rcus[2]?.readLock();
    const guard = rcus[1].read();
    waitFor(rcus[0], 1200);
    const [text] = written;
    expect(written).toHaveLength(1);
    expect(text).toMatch(/^2: rcu: INFO: rcu "holdfast.rcu" detected stalls on threads:\n/);
    expect(text).toContain('rcu: \t1: 0 GPs behind, inside readers with a guard');
    expect(text).toContain('rcu: \t2: 0 GPs behind, inside readLock()');
    expect(text).toMatch(/\(detected by thread 0, t=1\d\d\d ms, g=\d+, q=0\)\n$/);
    expect(stalls[0]?.message).toBe(text?.slice(3, -1));
    guard.release();
  });

  test('goes on where nobody can be told: the standard error stream is full, or closed', () => {
    const { rcus, arenas } = domains(2);
    rcus[1].readLock();
    stderr.error = Object.assign(new Error('EAGAIN: resource temporarily unavailable, write'), { code: 'EAGAIN' });
    waitFor(rcus[0], 1200);
    expect(stalls).toHaveLength(1);
    expect(arenas[0]?.fsck()).toEqual([]);
    expect(arenas[0]?.cpu.load((arenas[0]?.thread.self ?? 0) + Task.list)).toBe(0);
    stderr.error = undefined;
    waitFor(rcus[0], 3100);
    expect(written).toHaveLength(1);
  });

  test('says how many periods and callbacks wait behind it', () => {
    const { rcus } = domains(3);
    rcus[1].readLock();
    rcus[0].startPoll();
    // In the middle of that one, so another one is needed.
    rcus[2]?.startPoll();
    rcus[2]?.call(() => {});
    waitFor(rcus[0], 1200);
    expect(stalls).toMatchObject([{ behind: 1, queued: 1 }]);
    rcus[1].readUnlock();
  });

  test('is detected by the thread itself that holds it up', () => {
    const { rcus } = domains(2);
    const guard = rcus[0].read();
    const cookie = rcus[0].startPoll();
    const { cpu } = rcus[0].arena;
    const start = cpu.now();
    for (const ms of [0, 400, 800, 1200]) {
      cpu.now = () => start + ms * 1e6;
      rcus[0].pollState(cookie);
    }
    expect(written[0]).toContain('self-detected stall on thread 0');
    guard.release();
  });

  test('is reported by one of those that wait', () => {
    const stage = domains(3);
    const { rcus, real, record } = stage;
    rcus[1].readLock();
    waitFor(rcus[0], 900);
    const other = () => {
      // Thread 0 has the record: this thread leaves the look to it.
      expect(real.load(record + Period.stallLatch)).not.toBe(0);
      expect(thrown(() => rcus[2]?.synchronize({ timeout: 0 })).code).toBe('ETIMEDOUT');
    };
    stage.before(0, on('store', record + Period.stallDue), other);
    waitFor(rcus[0], 200);
    waitFor(rcus[2] as Rcu, 1000);
    expect(stalls).toHaveLength(1);
    expect(stalls[0]?.detectedBy).toBe(0);
  });

  test('of either pace, and of every flavour', () => {
    const stage = stepper(2);
    for (const open of [
      (n: number) => new Rcu(stage.arenas[n]!),
      (n: number) => new RcuQsbr(stage.arenas[n]!),
      (n: number) => new Srcu(stage.arenas[n]!, 'mine'),
    ]) {
      const [writer, reader] = [open(0), open(1)];
      writer.stallTimeout = 50;
      const guard = reader.read();
      expect(thrown(() => writer.synchronizeExpedited({ timeout: 100 })).code).toBe('ETIMEDOUT');
      expect(thrown(() => writer.synchronize({ timeout: 100 })).code).toBe('ETIMEDOUT');
      guard.release();
    }
    expect(stalls.map(({ isExpedited }) => isExpedited)).toEqual([true, false, true, false, true, false]);
    expect(stalls.map(({ threads }) => threads.map(({ thread }) => thread))).toEqual(Array(6).fill([1]));
    expect(written[0]).toContain('detected expedited stalls');
    expect(written.at(-1)).toContain('srcu "mine"');
  });

  test('and the next one have a time each', () => {
    const { rcus } = domains(2);
    for (let i = 0; i < 4; i++) {
      rcus[1].readLock();
      waitFor(rcus[0], 800);
      rcus[1].readUnlock();
    }
    expect(stalls).toEqual([]);
  });

  test('is not reported where nobody wants to know', () => {
    const { rcus } = domains(2, 0);
    rcus[1].readLock();
    waitFor(rcus[0], 1e5);
    expect(stalls).toEqual([]);
  });

  test('because the process was stopped is none', () => {
    const { rcus, arenas } = domains(2);
    rcus[1].readLock();
    waitFor(rcus[0], 700);
    const { cpu } = arenas[0]!;
    const now = cpu.now();
    let looks = 0;
    // Ten minutes go by in one sleep, or nobody looks.
    cpu.now = () => now + 600e9 + 1e3 * looks++;
    expect(thrown(() => rcus[0].synchronize({ timeout: 0 })).code).toBe('ETIMEDOUT');
    expect(stalls).toEqual([]);
    // The time before and after it counts.
    cpu.now = () => now + 600e9 + 250e6 + 1e3 * looks++;
    expect(thrown(() => rcus[0].synchronize({ timeout: 0 })).code).toBe('ETIMEDOUT');
    expect(stalls).toEqual([]);
    cpu.now = () => now + 600e9 + 400e6 + 1e3 * looks++;
    expect(thrown(() => rcus[0].synchronize({ timeout: 0 })).code).toBe('ETIMEDOUT');
    expect(stalls).toHaveLength(1);
  });

  test('whose readers leave while the warning is made is over before it is written', () => {
    const stage = domains(2);
    const { rcus, record } = stage;
    rcus[1].readLock();
    waitFor(rcus[0], 950);
    const due = on('store', record + Period.stallDue);
    stage.before(0, due, () => rcus[1].readUnlock());
    rcus[0].synchronize();
    expect(written[0]).toContain('Stall ended before state dump');
    expect(stalls).toMatchObject([{ threads: [], starved: undefined }]);
  });

  test('because a thread makes no step says which', () => {
    const stage = domains(2);
    const { rcus, real, arenas } = stage;
    const word = rcus[0].address + RcuWords.latch;
    rcus[1].readLock();
    // The reader has gone without being told, and thread 1 is about to find out when it is preempted.
    stage.before(0, on('wait'), () => {
      real.store(lineOf(domainAt(real, rcus[0].address), 1), OUTSIDE);
      latch(arenas[1]!.cpu, word, 2);
    });
    waitFor(rcus[0], 1200);
    expect(stalls).toMatchObject([{ starved: 1, threads: [] }]);
    expect(written[0]).toContain('All QSes seen');
    expect(written[0]).toContain('starved: thread 1');
    unlatch(arenas[1]!.cpu, word);
    rcus[0].synchronize();
  });

  test('keeps nobody waiting for a record whose holder has died', () => {
    for (let nth = 1; ; nth++) {
      const { rcus, killBefore, reap, real, record } = domains(3, 2);
      const isInRecord = (word: number) => word >= record + Period.stallLatch && word <= record + Period.stallHalf;
      let seen = 0;
      rcus[1].readLock();
      const wait = () => {
        try {
          rcus[0].synchronize({ timeout: 5 });
        } catch (error) {
          if (!(error instanceof HoldfastError)) throw error;
        }
      };
      if (!killBefore(0, ({ address }) => isInRecord(address) && ++seen === nth, wait)) {
        expect(nth).toBeGreaterThan(10);
        break;
      }
      expect(reap(2)).toBe('done');
      expect(tryLatch(real, record + Period.stallLatch, 9)).toBe(true);
    }
  });
});

test('a timeout for warnings that is none is refused', () => {
  const { rcus } = domains(1);
  for (const bad of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '7', undefined]) {
    expect(thrown(() => (rcus[0].stallTimeout = bad as never)).code).toBe('EINVAL');
  }
  expect(rcus[0].stallTimeout).toBe(1000);
});

test('a dump of the tree says which periods there are, what they wait for, and who is inside', () => {
  const { rcus } = domains(40);
  rcus[17]?.readLock();
  rcus[0].startPoll();
  using _ = rcus[3]?.read();
  const lines = rcus[0].dumpTree().split('\n');
  expect(lines[0]).toMatch(/^rcu: normal g=\d+ WAITING, expedited g=\d+ IDLE$/);
  expect(lines[1]).toBe('rcu: rcu_node tree layout dump');
  expect(lines[2]).toMatch(/^rcu: {2}0:\d+ \^0 0x2\/0x0$/);
  expect(lines[3]).toMatch(/^rcu: {2}0:15 \^0 0x0\/0x0 {2}16:31 \^1 0x2\/0x0 {2}32:\d+ \^2 0x0\/0x0/);
  expect(lines.slice(4)).toEqual(['rcu: thread 3: .I.', 'rcu: thread 17: A..']);
});
