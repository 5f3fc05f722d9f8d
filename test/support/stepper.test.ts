import { describe, expect, test } from 'vitest';
import { Mutex } from '../../lib/index.ts';
import { Task } from '../../lib/sched/task.ts';
import { Hang, on, step, stepper } from './stepper.ts';

function mutexes(threads: number) {
  const stage = stepper(threads);
  const first = new Mutex(stage.arenas[0]!);
  const others = stage.arenas.slice(1).map((arena) => Mutex.from(arena, first.handle));
  return { ...stage, locks: [first, ...others] as [Mutex, Mutex, ...Mutex[]] };
}

describe('the stepper', () => {
  test('runs another thread right before an operation', () => {
    const { before, cancel, locks } = mutexes(2);
    locks[1].lock();
    before(0, on('wait'), () => locks[1].unlock());
    locks[0].lock();
    expect(cancel(0)).toBe(false);
    expect(locks[0].owner?.thread).toBe(0);
  });

  test('kills a thread before each of its steps, and the reaper recovers the lock', () => {
    let steps = 0;
    for (;;) {
      const { killBefore, reap, locks } = mutexes(2);
      if (!killBefore(0, step(steps + 1), () => locks[0].lock())) break;
      steps++;
      expect(reap(1)).toBe('done');
      locks[1].lock();
      locks[1].unlock();
    }
    expect(steps).toBeGreaterThan(0);
  });

  test('says where a thread would sleep for ever', () => {
    const { locks, arenas } = mutexes(2);
    locks[1].lock();
    expect(() => locks[0].lock()).toThrow(Hang);
    expect(() => locks[0].lock()).toThrow(`word ${arenas[0]!.thread.current() + Task.state}`);
  });

  test('puts the clock forward instead of waiting', () => {
    const { locks, arenas } = mutexes(2);
    locks[1].lock();
    const { cpu } = arenas[0]!;
    const start = cpu.now();
    expect(() => locks[0].lock({ timeout: 3_600_000 })).toThrow('3600000 ms');
    expect(cpu.now() - start).toBeGreaterThanOrEqual(3_600_000 * 1e6);
  });
});
