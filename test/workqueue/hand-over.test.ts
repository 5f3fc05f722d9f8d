/** On real threads: what computes for long does not run where something is awaited. By the words of the pool, so that no step depends on the time. */
import { expect, test } from 'vitest';
import { Arena, Completion, Workqueue } from '../../lib/index.ts';
import { FunctionWords, Pool, Pwq, pwqAt, WorkerRecord } from '../../lib/workqueue/layout.ts';
import { WQ_KIND, WQ_PREFIX } from '../../lib/workqueue/objects.ts';
import { addressOf, type WorkFunction } from '../../lib/workqueue/work.ts';
import { f } from './functions.ts';

/** Longer than `SLOW_US`, ms. */
const LONG = 12;

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('a function that computes for long, async or not, runs on the thread of a call that awaits', async () => {
  const arena = Arena.create({ bytes: 8 << 20 });
  Workqueue.configure(arena, { slots: 2, maxWorkers: 4 });
  const wq = new Workqueue(arena, 'wq');
  const { cpu } = arena;
  const pool = cpu.read(pwqAt(arena.objects.open(WQ_KIND, `${WQ_PREFIX}wq`), 0) + Pwq.pool);
  const isSlow = (run: WorkFunction) => cpu.load(addressOf(arena, run) + FunctionWords.slow) > 0;
  /** How many calls each idle worker awaits, in the order in which they are woken. */
  const idle = () => {
    const awaits: number[] = [];
    for (let at = cpu.load(pool + Pool.idle); at !== 0; at = cpu.load(at + WorkerRecord.nextIdle)) {
      awaits.push(cpu.load(at + WorkerRecord.awaits));
    }
    return awaits;
  };
  const functions = [f.computeFor, f.computeForAsync];
  for (const compute of functions) {
    // Where a worker has to load its module first, nothing is learnt from that.
    while (!isSlow(compute)) await wq.run(compute, LONG);
  }
  await until(() => idle().length > 1);
  const gate = new Completion(arena, 'gate');
  const held = wq.run(f.blockAsync, 'gate');
  // The one that awaits is idle, and so is one that does not. Mostly the first is the next to be woken.
  await until(() => idle().includes(1) && idle().includes(0));
  const threads: number[] = [];
  for (const compute of functions) threads.push(await wq.run(compute, LONG));
  gate.completeAll();
  expect(threads).not.toContain(await held);
  await wq.close();
});
