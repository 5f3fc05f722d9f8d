/** Windows of lock runs, put to the axiomatic models: what the machine did between threads is what its model allows. */
import { expect, it } from 'vitest';
import { Window } from '../../../native-sim/machine/history.ts';
import { Machine } from '../../../native-sim/machine/machine.ts';
import { armv8 } from '../../../native-sim/models/armv8.ts';
import { power } from '../../../native-sim/models/power.ts';
import { sc } from '../../../native-sim/models/sc.ts';
import { x86Tso } from '../../../native-sim/models/x86-tso.ts';
import { lockKind, lockNames } from '../../../native-sim/scale/locks.ts';
import { profile } from './play.ts';

const THREADS = 4;

/** A run of `lock`, followed from `from` ns on. */
function windowOf(name: string, lock: string, from: number, events: number): Window {
  const kind = lockKind(lock);
  const machine = new Machine({ profile: profile(name), cores: THREADS, words: kind.words(THREADS) + 256, seed: from });
  const setup = { machine, threads: THREADS, spins: Number.POSITIVE_INFINITY, perCohort: 2 };
  const { open } = kind.prepare(setup, 0);
  const cell = machine.system.memory.length - 16;
  for (let me = 0; me < THREADS; me++) {
    const cpu = machine.cpu(me);
    machine.spawn(
      () => {
        const held = open(me);
        held.enter(false);
        cpu.write(cell, cpu.read(cell) + 1);
        held.leave(false);
        return true;
      },
      me,
      me * 40,
    );
  }
  machine.run(from);
  const window = new Window(machine, events);
  for (let until = from; !window.isFull || !window.isSettled; ) machine.run((until += 200));
  return window;
}

const MODELS = { 'sc-8': sc, 'intel-48': x86Tso, 'graviton-64': armv8, 'graviton-64-llsc': armv8 } as const;

it.each(lockNames)('%s', { timeout: 120_000 }, (lock) => {
  for (const [name, model] of Object.entries(MODELS)) {
    for (const from of [1000, 30_000]) {
      const window = windowOf(name, lock, from, 600);
      expect(window.size).toBe(600);
      expect(window.violation(model), `${name}, ${from} ns`).toBeNull();
    }
  }
});

// The model of POWER takes longer for an event than the others.
it.each(lockNames)('%s on POWER', { timeout: 120_000 }, (lock) => {
  const window = windowOf('power7-16', lock, 20_000, 150);
  expect(window.size).toBe(150);
  expect(window.violation(power)).toBeNull();
});
