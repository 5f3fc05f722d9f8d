import { describe, expect, test } from 'vitest';
import { Rcu } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

/** Threads of one arena, each with its view of the RCU. */
function domains(threads: number) {
  return { rcus: stepper(threads).arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, ...Rcu[]] };
}

describe('overlapping readers', () => {
  test('never leave a thread without one, and no period waits for those that came later', () => {
    const { rcus } = domains(2);
    let guard = rcus[1].read();
    const cookie = rcus[0].startPoll();
    for (let i = 0; i < 3; i++) {
      const next = rcus[1].read();
      guard.release();
      guard = next;
    }
    expect(rcus[0].pollState(cookie)).toBe(true);
    expect(rcus[1].readLockHeld).toBe(true);
    guard.release();
  });

  test('of both lanes are waited for', () => {
    const { rcus } = domains(2);
    const first = rcus[1].read();
    rcus[0].startPoll();
    const second = rcus[1].read();
    const cookie = rcus[0].startPoll();
    first.release();
    expect(rcus[0].pollState(cookie)).toBe(false);
    second.release();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('of one lane are waited for until the last is out', () => {
    const { rcus } = domains(2);
    const [first, second] = [rcus[1].read(), rcus[1].read()];
    const cookie = rcus[0].startPoll();
    first.release();
    expect(rcus[0].pollState(cookie)).toBe(false);
    second.release();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('stay in a lane that is waited for while the other is not empty', () => {
    const { rcus } = domains(2);
    const first = rcus[1].read();
    rcus[0].startPoll();
    const second = rcus[1].read();
    rcus[0].startPollExpedited();
    const third = rcus[1].read();
    first.release();
    second.release();
    const cookie = rcus[0].startPoll();
    expect(rcus[0].pollState(cookie)).toBe(false);
    third.release();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('and a synchronous one are all waited for', () => {
    const { rcus } = domains(2);
    rcus[1].readLock();
    const guard = rcus[1].read();
    const cookie = rcus[0].startPoll();
    guard.release();
    expect(rcus[0].pollState(cookie)).toBe(false);
    rcus[1].readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('end once', () => {
    const { rcus } = domains(2);
    const [first, second] = [rcus[1].read(), rcus[1].read()];
    first.release();
    expect(thrown(() => first.release()).code).toBe('EPERM');
    first[Symbol.dispose]();
    expect(rcus[1].readLockHeld).toBe(true);
    second[Symbol.dispose]();
    expect(rcus[1].readLockHeld).toBe(false);
  });
});
