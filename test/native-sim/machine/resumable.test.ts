/**
 * Threads that are generators. The textbooks' locks, turned into generators whose steps are single operations, run as
 * they do by replay; and a thread without an end is not run again from its beginning.
 */
import { expect, it } from 'vitest';
import { Machine } from '../../../native-sim/machine/machine.ts';
import type { TimedCpu } from '../../../native-sim/machine/timed-cpu.ts';
import { type Lock, lockKind, lockNames } from '../../../native-sim/scale/locks.ts';
import { type TextbookName, textbook } from '../../../native-sim/scale/textbook.ts';
import { formatTextbook, textbookWords } from '../../../native-sim/scale/textbook-layout.ts';
import { profile } from './play.ts';
import { resumableTextbook } from './resumable.ts';

const CORES = 5;
const UNTIL = 12_000;

type Start = (machine: Machine, cpu: TimedCpu, me: number, place: Parameters<(typeof textbook)['mcs']>[1]) => void;

/** What threads that take `name` again and again get from the machine, word by word and message by message. */
function trace(name: TextbookName, seed: number, start: Start): string {
  const base = 0;
  const words = textbookWords(CORES, name);
  const machine = new Machine({ profile: profile('graviton-64'), cores: CORES, words: words + 16, seed });
  formatTextbook(name, machine.memory, { base, threads: CORES });
  for (let me = 0; me < CORES; me++) {
    const cpu = machine.cpu(me);
    const pause = (turns: number) => cpu.ndelay(turns * 3);
    start(machine, cpu, me, { base, me, threads: CORES, perCohort: 2, pause });
  }
  machine.run(UNTIL);
  const { arcs, messages, operations, spins, sleeps } = machine.counters;
  return [operations, spins, sleeps, ...arcs, ...messages, ...machine.memory].join();
}

it.each(Object.keys(textbook) as TextbookName[])('%s as a generator runs as by replay, for 10 seeds', (name) => {
  const resumable = resumableTextbook();
  const inSection = textbookWords(CORES, name);
  for (let seed = 0; seed < 10; seed++) {
    const replayed = trace(name, seed, (machine, cpu, me, place) => {
      const lock = textbook[name](cpu, place);
      machine.spawn(
        () => {
          lock.lock();
          cpu.store(inSection, cpu.load(inSection) + 1);
          lock.unlock();
          return true;
        },
        me,
        me * 30,
      );
    });
    const resumed = trace(name, seed, (machine, cpu, me, place) => {
      const lock = resumable[name](cpu, place);
      function* body(): Generator<void, void> {
        for (;;) {
          yield* lock.lock();
          const count = yield* cpu.step(() => cpu.load(inSection));
          yield* cpu.step(() => cpu.store(inSection, count + 1));
          yield* lock.unlock();
        }
      }
      machine.spawnBody(body(), me, me * 30);
    });
    expect(resumed, `seed ${seed}`).toBe(replayed);
  }
});

/** Threads take one of the library's locks; `start` says in which steps. */
function libraryTrace(
  name: string,
  seed: number,
  start: (machine: Machine, open: () => Lock, me: number) => void,
): string {
  const kind = lockKind(name);
  const machine = new Machine({ profile: profile('graviton-64'), cores: CORES, words: kind.words(CORES) + 128, seed });
  const setup = { machine, threads: CORES, spins: Number.POSITIVE_INFINITY, perCohort: 2 };
  const { open } = kind.prepare(setup, 0);
  for (let me = 0; me < CORES; me++) start(machine, () => open(me), me);
  machine.run(UNTIL);
  const { arcs, messages, operations, spins, sleeps } = machine.counters;
  return [operations, spins, sleeps, ...arcs, ...messages, ...machine.memory].join();
}

const ofLibrary = lockNames.filter((name) => !(name in textbook));

it.each(ofLibrary)('%s, each of its calls a step of a generator, runs as when an acquisition is one', (name) => {
  for (let seed = 0; seed < 10; seed++) {
    const whole = (open: () => Lock) => {
      const lock = open();
      lock.enter(false);
      lock.leave(false);
      return true;
    };
    const replayed = libraryTrace(name, seed, (machine, open, me) => {
      machine.spawn(() => whole(open), me, me * 30);
    });
    const resumed = libraryTrace(name, seed, (machine, open, me) => {
      const cpu = machine.cpu(me);
      // A view that keeps something from its lock to its unlock is new in each run of a step: there both are one.
      const first = open();
      const isKept = open() === first;
      function* body(): Generator<void, void> {
        for (;;) {
          if (isKept) yield* cpu.step(() => open().enter(false));
          yield* cpu.step(() => (isKept ? open().leave(false) : whole(open)));
        }
      }
      machine.spawnBody(body(), me, me * 30);
    });
    expect(resumed, `seed ${seed}`).toBe(replayed);
  }
});

it('a thread without an end: after 100,000 operations it is no farther back than at first', () => {
  const machine = new Machine({ profile: profile('vm-2'), cores: 2, words: 64 });
  const longest = [0, 0];
  let taken = 0;
  for (const me of [0, 1]) {
    const cpu = machine.cpu(me);
    function* body(): Generator<void, void> {
      for (let turn = 0; turn < 50_000; turn++) {
        yield* cpu.step(() => cpu.fetchAdd(0, 1));
        longest[me] = Math.max(longest[me]!, thread.log.length);
        taken++;
      }
    }
    const thread = machine.spawnBody(body(), me);
  }
  machine.run();
  expect(machine.memory[0]).toBe(100_000);
  expect(taken).toBe(100_000);
  // Both wait for the line again and again, and there is never more than one operation to run again.
  expect(machine.counters.replays).toBeGreaterThan(10_000);
  expect(longest).toEqual([1, 1]);
});
