import { expect, test } from 'vitest';
import { Arena, Completion, KmemCache, TasksRcu } from '../../lib/index.ts';
import { AWAITED, INSIDE, OUTSIDE } from '../../lib/rcu/grace-period.ts';
import { domainAt, Line, lineOf } from '../../lib/rcu/layout.ts';
import { on, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./rcu.threads.ts', import.meta.url).href;

const turn = () => new Promise((go) => setImmediate(go));

function domains(threads: number) {
  const stage = stepper(threads);
  const tasks = stage.arenas.map((arena) => new TasksRcu(arena)) as [TasksRcu, TasksRcu, ...TasksRcu[]];
  const lane = (number: number) => lineOf(domainAt(stage.real, tasks[0].address), number) + Line.lanes;
  return { ...stage, tasks, lane };
}

test('a period waits for each thread until it says that nothing is in use', () => {
  const { tasks, lane, real } = domains(2);
  const cookie = tasks[0].startPoll();
  expect([real.load(lane(0)), real.load(lane(1))]).toEqual([AWAITED, AWAITED]);
  tasks[0].quiescent();
  expect(tasks[0].pollState(cookie)).toBe(false);
  tasks[1].quiescent();
  expect(tasks[0].pollState(cookie)).toBe(true);
});

test('a thread that sleeps in a lock, or waits for a period, is not waited for, and is from when it goes on', () => {
  const { tasks, arenas, before, lane, real } = domains(2);
  const [done, same] = arenas.map((arena) => new Completion(arena, 'done')) as [Completion, Completion];
  before(1, on('wait'), () => {
    expect(real.load(lane(1))).toBe(OUTSIDE);
    tasks[0].synchronize();
    tasks[0].synchronizeExpedited();
    done.complete();
  });
  same.wait();
  expect(real.load(lane(1))).toBe(INSIDE);
  const cookie = tasks[0].startPoll();
  tasks[0].quiescent();
  expect(tasks[0].pollState(cookie)).toBe(false);
});

test('a thread that sleeps when a period waits for it says so', () => {
  const { tasks, arenas, before } = domains(2);
  const [done, same] = arenas.map((arena) => new Completion(arena, 'done')) as [Completion, Completion];
  const cookie = tasks[0].startPoll();
  tasks[0].quiescent();
  before(1, on('wait'), () => {
    expect(tasks[0].pollState(cookie)).toBe(true);
    done.complete();
  });
  same.wait();
});

test('an event loop is rung, and what runs in it until it turns is a reader', async () => {
  const { tasks } = domains(3);
  await turn();
  const cookie = tasks[0].startPoll();
  for (let i = 0; i < 3; i++) expect(tasks[0].pollState(cookie)).toBe(false);
  while (!tasks[0].pollState(cookie)) await turn();
  await tasks[1].synchronizeAsync();
  let ran = false;
  tasks[2]?.call(() => (ran = true));
  await tasks[2]?.barrierAsync();
  expect(ran).toBe(true);
});

test('to free memory is no quiescent state', async () => {
  const { tasks, arenas } = domains(2);
  const cache = new KmemCache(arenas[0]!, 'tables', { words: 4, rcu: tasks[0] });
  const objects = Array.from({ length: 600 }, () => cache.alloc());
  tasks[1].quiescent();
  for (const object of objects) tasks[0].kfree(object);
  // What this thread has in hand is none of what it gets.
  for (let i = 0; i < 50; i++) expect(objects).not.toContain(cache.alloc());
  await tasks[0].barrierAsync();
  expect(cache.leaks()).toHaveLength(50);
});

test('a thread that is dead, or has left, is not waited for', () => {
  const { tasks, die, reap } = domains(2);
  const cookie = tasks[0].startPoll();
  die(1);
  expect(reap(0)).toBe('done');
  tasks[0].quiescent();
  expect(tasks[0].pollState(cookie)).toBe(true);
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const own = new TasksRcu(arena);
  arena.detach();
  expect(thrown(() => own.quiescent()).code).toBe('EINVAL');
});

test('checks are for readers, of which it has none', () => {
  const { tasks } = domains(1);
  expect(thrown(() => (tasks[0].debug = true)).code).toBe('EINVAL');
  expect([tasks[0].debug, tasks[0].strict]).toEqual([false, false]);
});

test('a thread that computes is waited for until it comes back to its event loop', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
  const tasks = new TasksRcu(arena);
  const word = arena.alloc(1);
  arena.cpu.store(word, 0);
  const { result, reaped } = inThread<boolean>(arena, THREADS, 'computeUntilTold', word);
  await until(arena, word, 1);
  setTimeout(() => arena.cpu.store(word, 2), 0);
  await tasks.synchronizeAsync();
  expect(arena.cpu.load(word)).toBe(2);
  expect(await result).toBe(true);
  await reaped();
  await tasks.synchronizeAsync();
});
