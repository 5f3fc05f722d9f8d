/** A system task that one thread asks for again while another one stops it, and kthreadd in the middle of either. */
import { expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import { kthreadRun } from '../../lib/arena/kthread.ts';
import { ENDED, KthreadRecord, RUNNING, records } from '../../lib/arena/kthread-record.ts';
import { defineKthread, Kthreadd, type KthreadSelf, makingBy, SPARE_SLOTS, SYSTEM } from '../../lib/arena/kthreadd.ts';
import { Header } from '../../lib/memory/header.ts';
import { Slot, slotAddress } from '../../lib/sched/slot.ts';
import { step, stepper } from '../support/stepper.ts';

const NAME = 'asked for and stopped';
const [REQUESTER, STOPPER, SERVER] = [0, 1, 2] as const;
const USERS = 2;

defineKthread(NAME, async (_arena: Arena, { signal }: KthreadSelf) => {
  if (!signal.aborted) await new Promise((ended) => signal.addEventListener('abort', ended));
});

/** Far more turns of the event loop than kthreadd takes to come to rest. */
const MOST_TURNS = 2000;

/** Two threads, and a kthreadd that runs a task which has ended. `close`: the others are gone, so kthreadd ends. */
async function stage() {
  const { arenas, before, cancel, real } = stepper(USERS + SPARE_SLOTS);
  const [requester, stopper, server] = arenas as [Arena, Arena, Arena];
  const maker = makingBy(server.thread.id);
  real.store(Header.kthreadd, maker);
  const kthreadd = new Kthreadd(server as never);
  expect(kthreadd.begin(maker)).toBe(true);
  const asked = kthreadRun(requester, SYSTEM, NAME, NAME);
  const stopped = kthreadRun(stopper, SYSTEM, NAME, NAME);
  const over = kthreadd.serve();
  const [record] = records(real, requester.heap.objects()) as [number];
  return {
    asked,
    stopped,
    before,
    cancel,
    state: () => real.load(record + KthreadRecord.state),
    /** Whether kthreadd comes to an end with the task, so that it is over, or runs and is not to end. */
    async settles() {
      for (let turn = 0; turn < MOST_TURNS; turn++) {
        const state = real.load(record + KthreadRecord.state);
        if (state === ENDED || (state === RUNNING && real.load(record + KthreadRecord.stop) === 0)) return true;
        await new Promise((go) => setImmediate(go));
      }
      return false;
    },
    async close() {
      for (let number = 0; number < USERS; number++) real.store(slotAddress(real, number) + Slot.life, 0);
      real.fetchAdd(Header.kthreaddRing, 1);
      real.wake(Header.kthreaddRing, 1);
      await over;
    },
  };
}

test('a task that was stopped while it was asked for runs all the same', async () => {
  const { asked, stopped, before, cancel, state, settles, close } = await stage();
  let isThrough = false;
  for (let n = 1; !isThrough; n++) {
    stopped.stop();
    expect(await settles()).toBe(true);
    before(REQUESTER, step(n), () => stopped.stop());
    asked.wake();
    isThrough = cancel(REQUESTER);
    expect(await settles(), `stopped before step ${n}`).toBe(true);
    // Of two calls at a time either may be the first.
    if (n === 1 || isThrough) expect(state(), `stopped before step ${n}`).toBe(RUNNING);
  }
  await close();
});

test('a task that was asked for while it was stopped is neither started nor over', async () => {
  const { asked, stopped, before, cancel, settles, close } = await stage();
  let isThrough = false;
  for (let n = 1; !isThrough; n++) {
    stopped.stop();
    expect(await settles()).toBe(true);
    before(STOPPER, step(n), () => asked.wake());
    stopped.stop();
    isThrough = cancel(STOPPER);
    expect(await settles(), `asked for before step ${n}`).toBe(true);
  }
  await close();
});

test('a task that is stopped while kthreadd starts it goes on', async () => {
  const { asked, stopped, before, cancel, state, settles, close } = await stage();
  let isThrough = false;
  for (let n = 1; !isThrough; n++) {
    stopped.stop();
    expect(await settles()).toBe(true);
    before(SERVER, step(n), () => stopped.stop());
    asked.wake();
    expect(await settles(), `stopped before step ${n} of kthreadd`).toBe(true);
    isThrough = cancel(SERVER);
    expect(state(), `stopped before step ${n} of kthreadd`).toBe(isThrough ? RUNNING : ENDED);
  }
  await close();
});
