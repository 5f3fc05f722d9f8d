import { expect, test } from 'vitest';
import { RealCpu } from '../../lib/machine/real.ts';
import { Watchdog } from '../../lib/torture/watchdog.ts';
import { ABSENT, Actor, actorAddress, DONE, stageWords, WAITING } from '../../lib/torture/words.ts';

const STANDSTILL = 40;
const STRANDED = 120;
const STARTING = 600;

/** Two seats, whose first acquirers wait for the lock; the others are done. */
function setup() {
  const cpu = new RealCpu(new Int32Array(new SharedArrayBuffer(4 * stageWords(2))));
  const watchdog = new Watchdog({ cpu, address: 0, describe: () => 'the lock' });
  const seats = [0, 1].map((seat) => ({ seat, isPerforming: true, isDoomed: false }));
  for (const { seat } of seats) {
    for (const actor of [0, 1, 2]) cpu.store(actorAddress(0, seat, actor) + Actor.phase, actor === 0 ? WAITING : DONE);
  }
  /** What the watchdog says first in so many ticks, and in which. */
  const tick = (times: number, move = (_tick: number) => {}) => {
    for (let tick = 1; tick <= times; tick++) {
      move(tick);
      const fault = watchdog.tick(seats);
      if (fault !== undefined) return { tick, fault };
    }
    return undefined;
  };
  const turn = (seat: number) => cpu.fetchAdd(actorAddress(0, seat, 0) + Actor.turn, 1);
  const phase = (seat: number, phase: number) => cpu.store(actorAddress(0, seat, 0) + Actor.phase, phase);
  return { seats, tick, turn, phase };
}

test('a standstill that is reported early, late or never', () => {
  const { tick, turn } = setup();
  expect(tick(1)).toBe(undefined);
  expect(tick(STANDSTILL - 1)).toBe(undefined);
  expect(tick(1, () => turn(1))).toBe(undefined);
  const found = tick(STANDSTILL);
  expect(found?.tick).toBe(STANDSTILL);
  expect(found?.fault).toMatch(/^standstill: thread 0's synchronous acquirer waits .*, thread 1's .* \(the lock\)$/);
});

test('one acquirer that gets nowhere while the other does', () => {
  const { tick, turn } = setup();
  expect(tick(1)).toBe(undefined);
  const found = tick(2 * STRANDED, () => turn(1));
  expect(found?.tick).toBe(STRANDED);
  expect(found?.fault).toMatch(/^stranded: thread 0's synchronous acquirer waits for the lock/);
});

test('a wait for a worker that is being killed, taken for a standstill', () => {
  const { seats, tick } = setup();
  const [victim] = seats;
  expect(tick(1)).toBe(undefined);
  expect(tick(STANDSTILL - 1)).toBe(undefined);
  Object.assign(victim!, { isPerforming: false, isDoomed: true });
  expect(tick(STRANDED)).toBe(undefined);
  // It is gone, and who waited still does.
  Object.assign(victim!, { isDoomed: false });
  expect(tick(STANDSTILL)?.tick).toBe(1);
});

test('a worker that never starts, for which all others have long been done', () => {
  const { tick, phase } = setup();
  phase(0, ABSENT);
  phase(1, DONE);
  expect(tick(1)).toBe(undefined);
  const found = tick(2 * STARTING);
  expect(found?.tick).toBe(STARTING);
  expect(found?.fault).toMatch(/^stranded: thread 0 has not started/);
});
