/** A thread that ends in order repairs what it leaves while it still counts as alive. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { openFutexes } from '../../lib/futex/open.ts';
import { lockPi, tryLockPi } from '../../lib/futex/pi.ts';
import { reservePiState } from '../../lib/futex/pi-state.ts';
import { ROBUST_PI, RobustList } from '../../lib/futex/robust-list.ts';
import { bucketOf } from '../../lib/futex/table.ts';
import { FUTEX_OWNER_DIED } from '../../lib/index.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { RUNNING, SLEEPING, Task } from '../../lib/sched/task.ts';
import { on, stepper, type When } from '../support/stepper.ts';

/** Threads 0 to 2; thread 0 holds `word`, by its robust list if it is so. */
function setup(isRobust: boolean) {
  const stage = stepper(3);
  const { arenas, real } = stage;
  const [owner, waiter, third] = arenas as [Arena, Arena, Arena];
  const [head, entry] = [owner.alloc(16), owner.alloc(16)];
  const word = entry + 1;
  real.store(entry, head);
  real.store(word, owner.thread.self);
  for (const [i, value] of [entry | ROBUST_PI, 1, 0].entries()) real.store(head + i, value);
  if (isRobust) real.store(owner.thread.slot + RobustList.head, head);
  const { table } = openFutexes(owner);
  reservePiState(waiter);
  const { thread } = waiter;
  const path = lockPi({ thread, table }, word, {
    thread,
    task: thread.self,
    deadline: Number.POSITIVE_INFINITY,
    async: false,
    aborted: false,
  });
  return { ...stage, word, table, third, owner, path, task: thread.self };
}

type Stage = ReturnType<typeof setup>;

/** The moments of a leaving thread at which another comes to wait for what it holds. */
const MOMENTS: readonly [string, (stage: Stage) => When][] = [
  [
    'after the pass was in the bucket',
    // It goes from the last bucket to the first.
    ({ table, word }) =>
      ({ op, address }) =>
        op === 'load' && address > table && address < bucketOf(table, word),
  ],
  ['before robust lists are looked at', ({ owner }) => on('load', owner.thread.slot + RobustList.head)],
  ['before the slot is vacated', ({ owner }) => on('store', owner.thread.slot + Slot.life)],
  ['before the slot is free', ({ owner }) => on('storeRelease', owner.thread.slot + Slot.life)],
];

test.each(MOMENTS.flatMap(([name, when]) => [false, true].map((isRobust) => [name, isRobust, when] as const)))(
  'a PI waiter sleeps for ever for a thread that leaves: it comes %s (robust: %s)',
  (_name, isRobust, when) => {
    const stage = setup(isRobust);
    const { before, cancel, leave, real, path, task, word, table, third } = stage;
    let step: ReturnType<typeof path.next> | undefined;
    before(0, when(stage), () => {
      step = path.next();
    });
    expect(leave(0)).toBe('done');
    expect(cancel(0)).toBe(false);
    while (step?.done === false && real.load(task + Task.state) === RUNNING) step = path.next('woken');
    expect(real.load(task + Task.state)).not.toBe(SLEEPING);
    expect(step).toEqual({ done: true, value: isRobust ? 'acquired' : 'no-owner' });
    expect(real.load(word)).toBe(isRobust ? task | FUTEX_OWNER_DIED : stage.owner.thread.self);
    expect(tryLockPi({ thread: third.thread, table }, word, third.thread.self)).toBe(isRobust ? 'busy' : 'no-owner');
  },
);

test.each(['store', 'storeRelease'] as const)(
  'a thread that is killed as it gives up its slot takes a wake-up with it (before its last %s)',
  (op) => {
    const { real, path, task, killBefore, leave, owner, reap } = setup(true);
    const life = owner.thread.slot + Slot.life;
    const arrives = on('load', owner.thread.slot + RobustList.head);
    const dies = on(op, life);
    const when: When = (step) => {
      if (arrives(step)) expect(path.next().done).toBe(false);
      return dies(step);
    };
    expect(killBefore(0, when, () => leave(0))).toBe(true);
    expect(reap(2)).toBe('done');
    expect(real.load(life)).toBe(0);
    expect(real.load(task + Task.state)).toBe(RUNNING);
    expect(path.next('woken')).toEqual({ done: true, value: 'acquired' });
  },
);
