/** That a thread sleeps is told to rooms above: RCU takes it for a context switch, a workqueue lets another worker run. */
import { describe, expect, test } from 'vitest';
import { Completion, Mutex, SpinLock } from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

function stage() {
  const { arenas, before: rightBefore, real } = stepper(2, { spins: 2 });
  const { thread } = arenas[1]!;
  const heard: string[] = [];
  const hook = (name: string) => ({
    sleeping: (task: number) => void heard.push(`${name} sleeps${task === thread.self ? '' : ', another task'}`),
    running: (task: number) => void heard.push(`${name} runs${task === thread.self ? '' : ', another task'}`),
  });
  return { arenas, rightBefore, real, thread, heard, hook };
}

describe('a hook of voluntary sleeps', () => {
  test('is not called in a lock that sleeps, once for each sleep, in order and back', () => {
    const { arenas, rightBefore, thread, heard, hook } = stage();
    thread.hooks.add(hook('rcu'));
    thread.hooks.add(hook('worker'));
    const mutexes = arenas.map((arena) => new Mutex(arena, 'accounts'));
    mutexes[0]!.lock();
    rightBefore(1, on('wait'), () => mutexes[0]!.unlock());
    mutexes[1]!.lock();
    expect(heard).toEqual(['rcu sleeps', 'worker sleeps', 'worker runs', 'rcu runs']);
  });

  test('is left sleeping by a wait that times out', () => {
    const { arenas, thread, heard, hook } = stage();
    thread.hooks.add(hook('rcu'));
    const done = new Completion(arenas[1]!);
    expect(thrown(() => done.wait({ timeout: 5 })).code).toBe('ETIMEDOUT');
    expect(heard).toEqual(['rcu sleeps', 'rcu runs']);
  });

  test('is told of a spinner that sleeps, which only stands for a CPU that is preempted', () => {
    const { arenas, rightBefore, thread, heard, hook } = stage();
    thread.hooks.add(hook('rcu'));
    const locks = arenas.map((arena) => new SpinLock(arena, 'spin'));
    locks[0]!.lock();
    rightBefore(1, on('wait'), () => locks[0]!.unlock());
    locks[1]!.lock();
    expect(thread.counters.parks).toBe(1);
    expect(heard).toEqual([]);
  });

  test('is told of an asynchronous task, whose thread goes on', async () => {
    const { arenas, thread, heard, hook } = stage();
    thread.hooks.add(hook('rcu'));
    const done = arenas.map((arena) => new Completion(arena, 'done'));
    const waits = done[1]!.waitAsync();
    done[0]!.complete();
    await waits;
    expect(heard).toEqual([]);
  });

  test('is told of a task that was woken before it slept, or after the hook was taken out', () => {
    const { arenas, rightBefore, real, thread, heard, hook } = stage();
    const remove = thread.hooks.add(hook('rcu'));
    const done = arenas.map((arena) => new Completion(arena, 'done'));
    // Woken between the look at its condition and the sleep.
    rightBefore(1, on('load', thread.self), () => done[0]!.complete());
    done[1]!.wait();
    expect(heard).toEqual([]);
    remove();
    rightBefore(1, on('wait'), () => done[0]!.complete());
    done[1]!.wait();
    expect(heard).toEqual([]);
    expect(real.load(thread.self)).toBe(0);
  });
});
