/** `--false-sharing`: lines that cores take from each other for different words, by struct and field. */
import { expect, it } from 'vitest';
import { Machine } from '../../../native-sim/machine/machine.ts';
import type { Profile } from '../../../native-sim/machine/profile.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import { runSimCommand, type SimCommandOptions } from '../../../native-sim/scale/command.ts';
import { type RunOptions, runLock } from '../../../native-sim/scale/laboratory.ts';
import { lockNames } from '../../../native-sim/scale/locks.ts';
import { type SharedLine, SharingObserver } from '../../../native-sim/scale/sharing.ts';

const profile = profiles.get('intel-48')!;

/** What two cores do to the first lines of memory in 20 us, each again and again. */
function linesOf(...acts: readonly ((cpu: TimedCpu) => void)[]): SharedLine[] {
  return linesOn(profile, ...acts);
}

function linesOn(on: Profile, ...acts: readonly ((cpu: TimedCpu) => void)[]): SharedLine[] {
  const machine = new Machine({ profile: on, cores: acts.length, words: 64 });
  const sharing = new SharingObserver(machine.system);
  machine.system.observer = sharing;
  for (const [core, act] of acts.entries()) {
    const cpu = machine.cpu(core);
    const step = () => {
      act(cpu);
      cpu.ndelay(50);
      return true;
    };
    machine.spawn(step, core, core * 17);
  }
  machine.run(20_000);
  return sharing.sharing((address) => `word ${address}`).lines;
}

const count = (address: number) => (cpu: TimedCpu) => cpu.store(address, cpu.load(address) + 1);

it('two counters on one line: every transfer is false', () => {
  const [line, ...others] = linesOf(count(3), count(4));
  expect(others).toEqual([]);
  expect(line!.isFalselyShared).toBe(true);
  expect(line!.hitm).toBeGreaterThan(50);
  // But for a core's first request, which cannot be for a line that it lost.
  expect(line!.hitm - line!.falseHitm).toBeLessThanOrEqual(1);
  expect(line!.words.map(({ name, readers, writers }) => ({ name, readers, writers }))).toEqual([
    { name: 'word 3', readers: [0], writers: [0] },
    { name: 'word 4', readers: [1], writers: [1] },
  ]);
});

it('the first request for a line is not false: the core has not lost it', () => {
  let turn = 0;
  const [line] = linesOf(
    (cpu) => cpu.store(0, 1),
    (cpu) => {
      if (turn === 40) cpu.load(1);
      turn++;
    },
  );
  expect(line).toMatchObject({ hitm: 1, falseHitm: 0 });
});

it('an owner that has lent its line, and takes it back, gets it from nobody', () => {
  let turn = 0;
  const [line] = linesOn(
    profiles.get('opteron-64')!,
    (cpu) => cpu.store(0, 1),
    (cpu) => {
      if (turn === 40) cpu.load(0);
      turn++;
    },
  );
  expect(line).toMatchObject({ hitm: 1, falseHitm: 0 });
});

it('on lines of their own they are shared by nobody', () => {
  expect(linesOf(count(0), count(16))).toEqual([]);
});

it('one counter that both increment is truly shared', () => {
  const [line] = linesOf(count(5), count(5));
  expect(line).toMatchObject({ isFalselyShared: false, falseHitm: 0 });
  expect(line!.hitm).toBeGreaterThan(50);
  expect(line!.words).toMatchObject([{ readers: [0, 1], writers: [0, 1] }]);
});

it('a reader beside a writer loses its line too; that the line has one writer does not hide it', () => {
  const [line] = linesOf(count(0), (cpu) => cpu.load(1));
  expect(line!.isFalselyShared).toBe(false);
  expect(line!.falseHitm).toBeGreaterThan(50);
  expect(line!.words[1]).toMatchObject({ readers: [1], writers: [], stores: 0 });
});

it('words that nobody writes are no matter', () => {
  expect(
    linesOf(
      (cpu) => cpu.load(0),
      (cpu) => cpu.load(1),
    ),
  ).toEqual([]);
});

const run = (lock: string, options: Partial<RunOptions> = {}) =>
  runLock({ profile, cores: 4, simulatedNs: 100_000, lock, sharing: true, ...options });

it('to look on changes nothing', () => {
  const { sharing, ...seen } = run('qspinlock');
  expect(sharing!.hitm).toBeGreaterThan(0);
  expect(run('qspinlock', { sharing: false })).toEqual(seen);
});

it.each([
  ['packed-counters', ['packed-counters.count[0]', 'packed-counters.count[3]', 'section.line[0]']],
  ['ticket', ['ticket.next', 'ticket.serving']],
  ['clh', ['clh.tail', 'clh.node[0].locked']],
  ['cohort', ['cohort.node[1].locked', 'cohort.socket[0].tail']],
  ['qspinlock', ['spin-lock.word', 'thread 1: spinQueue.waiter.locked']],
  ['holdfast-mcs', ['mcs-lock.tail', 'thread 0: mcs.waiters[0].next']],
  ['mutex', ['mutex.owner', 'thread 2: osq.own.prev']],
  ['rt-mutex', ['rt-mutex.owner', 'thread 0: mainTask.rtWait.mutex']],
  ['srcu', ['srcu.latch', 'srcu.line[0][0]', 'spin-lock.word']],
])('names of %s', (lock, expected) => {
  const names = run(lock).sharing!.lines.flatMap(({ words }) => words.map(({ name }) => name));
  for (const name of expected)
    expect(
      names.some((other) => other.startsWith(name)),
      name,
    ).toBe(true);
});

it('every lock has names for all its words, and HITMs add up', { timeout: 60_000 }, () => {
  for (const lock of lockNames) {
    const { lines, hitm, falseHitm } = run(lock, { simulatedNs: 20_000 }).sharing!;
    expect(falseHitm, lock).toBeLessThanOrEqual(hitm);
    expect(
      lines.reduce((sum, line) => sum + line.hitm, 0),
      lock,
    ).toBe(hitm);
    for (const line of lines) {
      expect(line.hitm).toBe(line.words.reduce((sum, word) => sum + word.hitm, 0));
      for (const { name } of line.words) expect(name, lock).not.toMatch(/undefined|NaN|\+|-\d|heap\[/);
    }
  }
});

async function command(options: SimCommandOptions): Promise<string> {
  let text = '';
  const falseSharing = { falseSharing: true, cores: [2], simulated: 20_000, ...options };
  await runSimCommand(falseSharing, { out: (more) => (text += more) });
  return text;
}

it('as text: a line, its words, and who uses them', async () => {
  const text = await command({ lock: ['packed-counters'] });
  expect(text).toMatch(/^packed-counters on 2 cores of intel-48: \d+ HITMs, \d+ of them false\n/);
  expect(text).toMatch(/line 0, different writers +\d+ +\d+ +\d+ +\d+ +\d+\.\d %\n/);
  expect(text).toMatch(/ {3}1 packed-counters\.count\[1\] .* r 1 {2}w 1\n/);
});

it('as JSON: beside what else is known of the run', async () => {
  const [result] = JSON.parse(await command({ lock: ['packed-counters'], json: true }));
  expect(result.acquisitions).toBeGreaterThan(0);
  expect(result.sharing.lines[0]).toMatchObject({ isFalselyShared: true, words: [{ word: 0 }, { word: 1 }] });
});

it('is refused where no runs are shown', async () => {
  await expect(command({ compare: true })).rejects.toThrow('false-sharing shows runs of locks');
});
