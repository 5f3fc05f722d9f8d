/** Priorities that are lent or inherited, where something else happens in the middle: a sleep, a condition, a thread that leaves. */
import { expect, test } from 'vitest';
import { Mutex, Rcu, RcuQsbr, RtMutex, WaitQueue } from '../../lib/index.ts';
import { Priorities } from '../../lib/sched/priority.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { Task } from '../../lib/sched/task.ts';
import { Hang, on, type Step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

const [READER, LENDER, OTHER] = [0, 1, 2];
const LAZY = 10;
const URGENT = 1;

function setup() {
  const steps = stepper(3);
  const { arenas, real } = steps;
  arenas[READER]!.thread.setPriority(LAZY);
  arenas[LENDER]!.thread.setPriority(URGENT);
  const { slot } = arenas[READER]!.thread;
  const main = slot + Slot.mainTask;
  const isLent = () => real.load(slot + Priorities.lent) !== 0;
  return {
    ...steps,
    main,
    isLent,
    /** The lender is about to sleep, and has lent the reader its priority. */
    hasLent: ({ op }: Step) => op === 'wait' && isLent(),
  };
}

test.each([Mutex, RtMutex])(
  'a thread keeps its place by a priority that was lent, as it leaves its readers to sleep',
  (Lock) => {
    const { arenas, before, hasLent, main, real } = setup();
    const held = new Lock(arenas[OTHER]!);
    held.lock();
    const wanted = Lock.from(arenas[READER]!, held.handle);
    const reads = new RcuQsbr(arenas[READER]!);
    const waits = new RcuQsbr(arenas[LENDER]!);
    reads.readLock();
    reads.readUnlock();
    before(LENDER, hasLent, () => {
      expect(real.load(main + Task.priority)).toBe(URGENT);
      expect(() => wanted.lock()).toThrow(Hang);
    });
    waits.synchronize();
    expect(real.load(main + Task.priority)).toBe(LAZY);
    expect(real.load(main + Task.rank)).toBe(LAZY);
    if (Lock === RtMutex) expect(arenas[OTHER]!.thread.priority).toBe(0);
  },
);

test('the next thread in a slot has the priority of the one before, of which a loan was taken back as it left', () => {
  const { arenas, before, cancel, isLent, leave, main, real, reap } = setup();
  const reads = new Rcu(arenas[READER]!);
  const waits = new Rcu(arenas[LENDER]!);
  reads.readLock();
  let wasLent = false;
  const takesBack = ({ op, address, args }: Step) => {
    wasLent ||= isLent();
    return op === 'store' && address === main + Task.priority && args[1] === LAZY && wasLent;
  };
  before(LENDER, takesBack, () => {
    reads.readUnlock();
    leave(READER);
  });
  expect(thrown(() => waits.synchronize({ timeout: 1000 })).code).toBe('ETIMEDOUT');
  expect(cancel(LENDER)).toBe(false);
  reap(LENDER);
  expect(real.load(arenas[READER]!.thread.slot + Slot.life)).toBe(0);
  expect(real.load(main + Task.priority)).toBe(0);
});

test('a waiter whose condition waits for something does not move in its queue when it inherits a priority meanwhile', () => {
  const { arenas, before, main, real } = setup();
  const queue = new WaitQueue(arenas[READER]!);
  const held = new RtMutex(arenas[READER]!);
  held.lock();
  const lock = new Mutex(arenas[OTHER]!);
  lock.lock();
  const wanted = Mutex.from(arenas[READER]!, lock.handle);
  let looks = 0;
  const condition = () => {
    if (++looks !== 2) return false;
    before(READER, on('wait', main + Task.state), () => {
      expect(() => RtMutex.from(arenas[LENDER]!, held.handle).lock()).toThrow(Hang);
      lock.unlock();
    });
    wanted.lock();
    wanted.unlock();
    return false;
  };
  expect(() => queue.wait(condition, { exclusive: true })).toThrow(Hang);
  expect(real.load(main + Task.blockedOn)).toBe(queue.address);
  expect(real.load(main + Task.priority)).toBe(URGENT);
  expect(real.load(main + Task.rank)).toBe(URGENT);
});

test('a thread that changes its priority in a condition stays where it was in the queue', () => {
  const { arenas, main, real } = setup();
  const { thread } = arenas[READER]!;
  const queue = new WaitQueue(arenas[READER]!);
  let looks = 0;
  const condition = () => {
    if (++looks === 2) thread.setPriority(URGENT);
    return false;
  };
  expect(() => queue.wait(condition, { exclusive: true })).toThrow(Hang);
  expect(real.load(main + Task.rank)).toBe(URGENT);
});
