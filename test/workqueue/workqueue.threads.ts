/** What threads of the tests of workqueues do. */
import { type Arena, DelayedWork, Workqueue } from '../../lib/index.ts';
import { Backlog } from '../../lib/workqueue/backlog.ts';
import { pwqAt } from '../../lib/workqueue/layout.ts';
import { WQ_KIND, WQ_PREFIX } from '../../lib/workqueue/objects.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { Submitter } from '../../lib/workqueue/submitter.ts';
import { f } from './functions.ts';

export async function queueThree(arena: Arena, name: string, log: number): Promise<void> {
  const wq = new Workqueue(arena, name);
  void wq.run(f.note, log, 1);
  void wq.run(f.note, log, 2);
  // Published with the others; the thread ends without having heard of any.
  await Promise.race([wq.run(f.note, log, 3), undefined]);
}

/** Says in the word behind the log how the call ended. */
export async function queueAndDetach(arena: Arena, name: string, log: number): Promise<void> {
  const wq = new Workqueue(arena, name);
  const { words } = arena;
  const calls = [wq.run(f.note, log, 1)];
  await wq.flush();
  calls.push(wq.run(f.note, log, 2));
  arena.detach();
  const ended = await Promise.allSettled(calls);
  words[log + 10] = Number(ended.map(({ status }) => (status === 'fulfilled' ? 1 : 2)).join(''));
}

export function drainAndDie(arena: Arena, name: string): void {
  void new Workqueue(arena, name).drain();
  process.exit(1);
}

export function queueAndDie(arena: Arena, name: string, log: number): void {
  const wq = new Workqueue(arena, name);
  for (let i = 0; i < 100; i++) void wq.run(f.note, log, i);
  queueMicrotask(() => process.exit(1));
}

/** Ends where it would ask for a worker. */
export function queueUnasked(arena: Arena, name: string, log: number): void {
  const { cpu, thread, objects } = arena;
  const pwq = pwqAt(objects.open(WQ_KIND, `${WQ_PREFIX}${name}`), 0);
  const poolAt = (address: number) => new WorkerPool(cpu, address, thread.id, () => process.exit(1));
  const submitter = new Submitter(arena, poolAt);
  void submitter.submit(pwq, f.note, [log, 1], new Backlog());
  submitter.publish();
}

/** Of its timeout first, and then in its sleep. */
export function flushAndDie(arena: Arena, name: string): void {
  const wq = new Workqueue(arena, name);
  try {
    wq.flushSync({ timeout: 1 });
  } catch {
    process.exit(1);
  }
}

export function queueRcuWork(arena: Arena, name: string, log: number): void {
  new Workqueue(arena, name).queueRcuWork(new DelayedWork(arena, 'note', f.note, log, 7));
}
