/** A thread dies at any step of a futex operation: what it leaves in the buckets, and to those that wait there. */
import { expect, test } from 'vitest';
import { openFutexes } from '../../lib/futex/open.ts';
import { BUCKET_BITS, Bucket, bucketOf, TableWords } from '../../lib/futex/table.ts';
import { Futex } from '../../lib/index.ts';
import { isDead } from '../../lib/sched/slot.ts';
import { SLEEPING, Task } from '../../lib/sched/task.ts';
import { WaitList, waiters } from '../../lib/sched/wait-list.ts';
import { Hang, on, step, stepper } from '../support/stepper.ts';

const [FIRST, VICTIM, SECOND, HEIR] = [0, 1, 2, 3] as const;
/** Two words, in buckets of their own: `low` in the one that is latched first. */
interface Words {
  readonly low: number;
  readonly high: number;
}

/** What the victim does; FIRST and SECOND sleep for `low`, and for `high` where `alsoHigh` says so. */
interface Errand {
  readonly run: (futex: Futex, words: Words) => unknown;
  readonly alsoHigh?: true;
}

const abortedWhileItWaits = (wait: (signal: AbortSignal) => Promise<unknown>) => {
  const controller = new AbortController();
  wait(controller.signal).catch(() => {});
  controller.abort();
};
const each = ({ low, high }: Words) => [low, high].map((word) => ({ word, value: 0 }));

const ERRANDS: Record<string, Errand> = {
  'wait until a deadline': { run: (futex, { low }) => futex.wait(low, 0, { timeout: 5 }) },
  'waitAsync, aborted': {
    run: (futex, { low }) => abortedWhileItWaits((signal) => futex.waitAsync(low, 0, { signal })),
  },
  'waitv until a deadline': { run: (futex, words) => futex.waitv(each(words), { deadline: futex.now() + 5 }) },
  'waitvAsync, aborted': {
    run: (futex, words) => abortedWhileItWaits((signal) => futex.waitvAsync(each(words), { signal })),
  },
  wake: { run: (futex, { low }) => futex.wake(low) },
  requeue: { run: (futex, { low, high }) => futex.requeue(low, 1, high, 1) },
  'requeue downwards': { run: (futex, { low, high }) => futex.requeue(high, 1, low, 1), alsoHigh: true },
  wakeOp: {
    run: (futex, { low, high }) => futex.wakeOp(high, 1, low, 1, { op: 'add', arg: 1, cmp: 'eq', cmpArg: 0 }),
    alsoHigh: true,
  },
};

test.each(Object.keys(ERRANDS))('%s', (name) => {
  const { run, alsoHigh } = ERRANDS[name] as Errand;
  for (let n = 1, dies = true; dies; n++) {
    const { arenas, real, stopBefore, killBefore, reap } = stepper(4, { words: 1 << 14 });
    const futexes = arenas.map((arena) => new Futex(arena));
    const { table } = openFutexes(arenas[0]!);
    const block = arenas[0]!.alloc(16);
    real.words.fill(0, block, block + 16);
    const other = Array.from({ length: 15 }, (_, i) => block + 1 + i).find(
      (word) => bucketOf(table, word) !== bucketOf(table, block),
    )!;
    const [low, high] = [block, other].sort((a, b) => bucketOf(table, a) - bucketOf(table, b)) as [number, number];
    // So that the chunks of tasks and of nodes, thousands of plain stores, are there.
    arenas[VICTIM]!.thread.returnTask(arenas[VICTIM]!.thread.takeTask(arenas[VICTIM]!.heap));
    expect(() => futexes[VICTIM]!.waitv([{ word: low, value: 1 }])).toThrow('expected 1');
    stopBefore(FIRST, on('wait'), () => futexes[FIRST]!.wait(low, 0));
    stopBefore(SECOND, on('wait'), () => futexes[SECOND]!.wait(alsoHigh ? high : low, 0));
    // Where it would sleep for ever is the last step.
    dies = killBefore(VICTIM, step(n), () => {
      try {
        run(futexes[VICTIM]!, { low, high });
      } catch (error) {
        if (error instanceof Hang) return;
        if ((error as { code?: string }).code === undefined) throw error;
      }
    });
    if (!dies) break;
    const at = `${name}, step ${n}`;
    expect(reap(HEIR), at).toBe('done');
    for (let i = 0; i < 1 << BUCKET_BITS; i++) {
      const bucket = table + TableWords.buckets + i * Bucket.words;
      const nodes = waiters(real, bucket);
      expect([real.load(bucket + WaitList.latch), real.load(bucket + Bucket.waiting)], at).toEqual([0, nodes.length]);
      for (const node of nodes) {
        expect(isDead(real, real.load(node + Task.thread)), at).toBe(false);
        expect(bucketOf(table, real.load(node + Task.blockedOn)), at).toBe(bucket);
      }
    }
    const mains = [FIRST, SECOND].map((number) => arenas[number]!.thread.self);
    const listed = mains.filter((task) => real.load(task + Task.list) !== 0);
    // A waiter that is in no list has been woken, and hears of it; the reaper has all of them look once more.
    for (const task of mains) expect(real.load(task + Task.state), at).not.toBe(SLEEPING);
    const woken =
      futexes[HEIR]!.wake(low, Number.POSITIVE_INFINITY) + futexes[HEIR]!.wake(high, Number.POSITIVE_INFINITY);
    expect(woken, at).toBe(listed.length);
    expect(arenas[HEIR]!.fsck(), at).toEqual([]);
  }
});
