import { describe, expect, test } from 'vitest';
import { Arena, HoldfastError, Rcu, RcuQsbr } from '../../lib/index.ts';
import { AWAITED, INSIDE, OUTSIDE } from '../../lib/rcu/grace-period.ts';
import { domainAt, Line, lineOf, NORMAL, PACES } from '../../lib/rcu/layout.ts';
import { IDLE, ownSequence, stateOf } from '../../lib/rcu/sequence.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./rcu.threads.ts', import.meta.url).href;

/** Threads of one arena, each with its view of the RCU, and their SYNC lanes. */
function domains(threads: number) {
  const stage = stepper(threads);
  const rcus = stage.arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, ...Rcu[]];
  const domain = domainAt(stage.real, rcus[0].address);
  const lane = (number: number) => lineOf(domain, number) + Line.lanes;
  return { ...stage, rcus, domain, lane };
}

describe('a grace period', () => {
  test('waits for a reader that was inside, and for none that came later', () => {
    const { rcus, lane, real } = domains(3);
    rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    expect(real.load(lane(1))).toBe(AWAITED);
    rcus[2]?.readLock();
    expect(rcus[0].pollState(cookie)).toBe(false);
    rcus[1].readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(true);
    expect(real.load(lane(2))).toBe(INSIDE);
  });

  test('ends with the outermost readUnlock', () => {
    const { rcus } = domains(2);
    rcus[1].readLock();
    rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    rcus[1].readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(false);
    expect(rcus[1].readLockHeld).toBe(true);
    rcus[1].readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('that began before the cookie is not enough', () => {
    const { rcus } = domains(3);
    rcus[1].readLock();
    rcus[0].startPoll();
    rcus[2]?.readLock();
    const cookie = rcus[0].startPoll();
    rcus[1].readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(false);
    rcus[2]?.readUnlock();
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('is the same for cookies of one moment, on each thread, and over for the completed one', () => {
    const { rcus } = domains(2);
    const [one, other] = [rcus[0].getState(), structuredClone(rcus[1].getState())];
    expect(rcus[1].sameState(one, other)).toBe(true);
    rcus[1].readLock();
    expect(rcus[0].pollState(rcus[0].completedState)).toBe(true);
    // Not even a reader is waited for, where the point is reached; it would be this thread's own.
    rcus[1].condSynchronize(rcus[1].completedState);
    expect(rcus[0].sameState(one, rcus[0].startPoll())).toBe(true);
    const behind = rcus[0].getState();
    expect(rcus[0].sameState(one, behind)).toBe(false);
    rcus[1].readUnlock();
    expect(rcus[0].pollState(one)).toBe(true);
    expect(rcus[0].pollState(behind)).toBe(false);
    expect(thrown(() => rcus[0].sameState(one, { ...one, rcu: 5 })).code).toBe('EINVAL');
  });

  test('that is expedited does not wait for a normal one that began earlier', () => {
    const { rcus } = domains(3);
    rcus[1].readLock();
    rcus[0].startPoll();
    rcus[2]?.readLock();
    const normal = rcus[0].startPoll();
    const expedited = rcus[0].startPollExpedited();
    rcus[2]?.readUnlock();
    expect(rcus[0].pollState(expedited)).toBe(false);
    rcus[1].readUnlock();
    expect(rcus[0].pollState(expedited)).toBe(true);
    expect(rcus[0].pollState(normal)).toBe(true);
  });

  test('is not lost when its mark comes while the reader leaves', () => {
    const stage = domains(2);
    const { rcus, lane, real } = stage;
    rcus[1].readLock();
    let cookie = rcus[0].getState();
    stage.before(1, on('storeReleaseLight', lane(1)), () => {
      cookie = rcus[0].startPoll();
      expect(real.load(lane(1))).toBe(AWAITED);
    });
    rcus[1].readUnlock();
    expect(real.load(lane(1))).toBe(OUTSIDE);
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('is waited for asleep, and its last reader wakes who waits', () => {
    const stage = domains(2);
    const { rcus } = stage;
    rcus[1].readLock();
    stage.before(0, on('wait'), () => rcus[1].readUnlock());
    rcus[0].synchronize();
    expect(rcus[1].readLockHeld).toBe(false);
  });

  test('is looked after by who sleeps, although nobody wakes it', () => {
    const stage = domains(2);
    const { rcus, lane, real } = stage;
    rcus[1].readLock();
    // The reader has gone without being told.
    stage.before(0, on('wait'), () => real.store(lane(1), OUTSIDE));
    rcus[0].synchronize();
  });

  test.each(PACES)('ends as its last reader leaves, without another look', (pace) => {
    const { rcus, domain, real } = domains(2);
    rcus[1].readLock();
    if (pace === NORMAL) rcus[0].startPoll();
    else rcus[0].startPollExpedited();
    rcus[1].readUnlock();
    expect(stateOf(ownSequence(real, domain.rcu + pace.period))).toBe(IDLE);
  });

  test('waits for all threads of a tree with several leaves', () => {
    const threads = 40;
    const { rcus } = domains(threads);
    for (const rcu of rcus) rcu.readLock();
    const cookie = rcus[0].startPoll();
    for (let number = threads - 1; number >= 0; number--) {
      expect(rcus[0].pollState(cookie)).toBe(false);
      rcus[number]?.readUnlock();
    }
    expect(rcus[0].pollState(cookie)).toBe(true);
  });
});

/** Runs `body` as thread 0, which dies before each of its operations in turn; then `after`, with everything repaired. */
function atEachStep(threads: number, body: (rcus: Rcu[]) => void, prepare?: (rcus: Rcu[]) => void): number {
  for (let steps = 0; ; steps++) {
    const { killBefore, reap, rcus, arenas, real, domain } = domains(threads);
    prepare?.(rcus);
    if (!killBefore(0, step(steps + 1), () => body(rcus))) return steps;
    expect(reap(1)).toBe('done');
    // At once, not only when somebody looks again.
    expect(real.load(lineOf(domain, 0) + Line.awaited)).toBe(0);
    for (let number = 1; number < threads; number++) {
      while (rcus[number]?.readLockHeld) rcus[number]?.readUnlock();
    }
    for (let i = 0; i < 3; i++) rcus[1]?.synchronize();
    rcus[1]?.synchronizeExpedited();
    expect(real.load(lineOf(domain, 0) + Line.lanes)).toBe(OUTSIDE);
    expect(arenas[1]?.fsck()).toEqual([]);
  }
}

describe('a thread that dies', () => {
  test('as a reader that a period waits for, holds nothing up', () => {
    const steps = atEachStep(2, ([rcu, other]) => {
      rcu?.readLock();
      other?.startPoll();
      rcu?.readUnlock();
    });
    expect(steps).toBeGreaterThan(10);
  });

  test('while it begins a period or waits for it, holds nothing up', () => {
    const wait = ([rcu]: Rcu[]) => {
      try {
        rcu?.synchronize({ timeout: 5 });
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
      }
    };
    expect(atEachStep(3, wait, (rcus) => rcus[2]?.readLock())).toBeGreaterThan(50);
  });

  test('while it ends a period, holds nothing up, also when the number wraps', () => {
    const prepare = ([, rcu]: Rcu[]) => {
      for (let i = 0; i < 299; i++) rcu?.synchronize();
    };
    expect(atEachStep(3, ([rcu]) => rcu?.synchronize(), prepare)).toBeGreaterThan(20);
  });

  test('inside a leaf whose parent another one is about to tell, ends no later period', () => {
    const { rcus, domain, stopBefore, die, reap, arenas, real } = domains(40);
    rcus[0].readLock();
    const cookie = rcus[1].startPoll();
    const root = domain.root;
    // Thread 0 has cleared its leaf, and is not at the root yet.
    expect(stopBefore(0, on('cmpxchgAcquire', root), () => rcus[0].readUnlock())).toBe(true);
    die(0);
    expect(reap(1)).toBe('done');
    expect(rcus[1].pollState(cookie)).toBe(true);
    expect(real.load(root + 1)).toBe(0);
    expect(arenas[1]?.fsck()).toEqual([]);
  });

  test('inside a reader, is over with it when it ends in order', () => {
    const { rcus, leave, arenas } = domains(2);
    rcus[0].readLock();
    const cookie = rcus[1].startPoll();
    expect(leave(0)).toBe('done');
    expect(rcus[1].pollState(cookie)).toBe(true);
    expect(arenas[1]?.fsck()).toEqual([]);
  });
});

describe('what makes no sense', () => {
  test('is refused, and changes nothing', () => {
    const { rcus, real, domain } = domains(2);
    const [rcu] = rcus;
    const words = () => Array.from({ length: domain.lines + 32 - domain.rcu }, (_, i) => real.load(domain.rcu + i));
    const before = words();
    const { code } = thrown(() => rcu.readUnlock());
    expect(code).toBe('EPERM');
    expect(thrown(() => rcu.call(1 as never)).code).toBe('EINVAL');
    expect(thrown(() => rcu.synchronize({ timeout: -1 })).code).toBe('EINVAL');
    const cookie = rcu.getState();
    const wrong = [{ ...cookie, rcu: 5 }, { ...cookie, arena: 1 }, { ...cookie, normal: 2 ** 50 }, {}, 7, undefined];
    for (const bad of wrong) expect(thrown(() => rcu.pollState(bad as never)).code, String(bad)).toBe('EINVAL');
    expect(words()).toEqual(before);
  });

  test('waiting inside a reader would never end', async () => {
    const { rcus } = domains(2);
    const [rcu] = rcus;
    rcu.readLock();
    expect(thrown(() => rcu.synchronize()).code).toBe('EDEADLK');
    expect(thrown(() => rcu.synchronizeExpedited()).code).toBe('EDEADLK');
    await expect(rcu.synchronizeAsync()).rejects.toMatchObject({ code: 'EDEADLK' });
    rcu.readUnlock();
    using _ = rcu.read();
    expect(thrown(() => rcu.synchronize()).code).toBe('EDEADLK');
  });

  test('an asynchronous wait ends when its signal aborts, and a synchronous one takes none', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    const guard = rcu.read();
    rcu.call(() => {});
    const controller = new AbortController();
    const { signal } = controller;
    const cookie = rcu.startPoll();
    const waits = [
      rcu.synchronizeAsync({ signal }),
      rcu.synchronizeExpeditedAsync({ signal }),
      rcu.condSynchronizeAsync(cookie, { signal }),
      rcu.barrierAsync({ signal, timeout: 1e6 }),
    ];
    const reasons = Promise.allSettled(waits);
    setImmediate(() => controller.abort(new Error('enough')));
    for (const end of await reasons) expect(end).toMatchObject({ reason: { message: 'enough' } });
    expect(thrown(() => rcu.synchronize({ signal } as never)).code).toBe('EINVAL');
    guard.release();
    await rcu.barrierAsync();
  });

  test('timeouts name the readers', () => {
    const { rcus } = domains(3);
    rcus[2]?.readLock();
    expect(thrown(() => rcus[0].synchronize({ timeout: 5 })).message).toContain('thread 2');
  });

  test('the domain of an arena cannot be destroyed', () => {
    const { rcus } = domains(1);
    expect(thrown(() => rcus[0].destroy()).code).toBe('EBUSY');
  });

  test('a thread does not detach inside a reader', () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    rcu.readLock();
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    rcu.readUnlock();
    arena.detach();
    expect(thrown(() => rcu.readLock()).code).toBe('EINVAL');
    expect(thrown(() => rcu.read()).code).toBe('EINVAL');
  });
});

describe('callbacks', () => {
  test('run after the readers of their moment, in order, each once; one that throws is an uncaught error', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    const ran: number[] = [];
    const uncaught: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => uncaught.push(error));
    const guard = rcu.read();
    for (let i = 0; i < 500; i++) {
      rcu.call(() => {
        ran.push(i);
        if (i === 3) throw new Error('three');
      });
    }
    await new Promise((go) => setTimeout(go, 5));
    expect(ran).toEqual([]);
    guard.release();
    await rcu.barrierAsync();
    expect(ran).toEqual(Array.from({ length: 500 }, (_, i) => i));
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(uncaught).toMatchObject([{ message: 'three' }]);
    arena.detach();
  });

  test('hold their thread in the arena, and a barrier would wait for itself', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    rcu.call(() => {});
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    expect(thrown(() => rcu.barrier()).code).toBe('EDEADLK');
    await rcu.barrierAsync();
    rcu.barrier();
    await new Promise((go) => setImmediate(go));
    arena.detach();
  });

  test('of a hundred callers share a period', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    const before = rcu.getState();
    await Promise.all(Array.from({ length: 100 }, () => rcu.synchronizeAsync()));
    expect(rcu.getState().normal - before.normal).toBeLessThanOrEqual(3 * 4);
  });
});

describe('threads', () => {
  test('a reader that is killed is over, and its callbacks are not waited for', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
    const rcu = new Rcu(arena);
    const word = arena.alloc(1);
    arena.cpu.store(word, 0);
    const reader = inThread(arena, THREADS, 'readForEver', word);
    await until(arena, word, 1);
    const cookie = rcu.startPoll();
    expect(rcu.pollState(cookie)).toBe(false);
    expect(thrown(() => rcu.synchronize({ timeout: 5 })).code).toBe('ETIMEDOUT');
    const [synchronized, barrier] = [rcu.synchronizeAsync(), rcu.barrierAsync()];
    await reader.worker.terminate();
    await Promise.all([synchronized, barrier]);
    expect(rcu.pollState(cookie)).toBe(true);
    arena.free(word);
    expect(arena.fsck()).toEqual([]);
  });

  test.each([Rcu, RcuQsbr])(
    'one that computes outside of readers is waited for by no period of %o',
    async (Flavour) => {
      const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
      const rcu = new Flavour(arena);
      const word = arena.alloc(1);
      arena.cpu.store(word, 0);
      const busy = inThread(arena, THREADS, 'loopAfterReading', word);
      await until(arena, word, 1);
      // Until these are over the thread goes on.
      rcu.synchronize();
      rcu.synchronizeExpedited();
      await Promise.all([rcu.synchronizeAsync(), rcu.synchronizeExpeditedAsync()]);
      arena.cpu.store(word, 2);
      expect(await busy.result).toBe(true);
    },
  );

  test('a synchronous caller sleeps until a reader of another thread is out', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 4 });
    const rcu = new Rcu(arena);
    const word = arena.alloc(1);
    arena.cpu.store(word, 0);
    const reader = inThread(arena, THREADS, 'readUntilTold', word);
    await until(arena, word, 1);
    setTimeout(() => arena.cpu.store(word, 2), 0);
    await rcu.synchronizeAsync();
    expect(arena.cpu.load(word)).toBe(2);
    expect(await reader.result).toBe(true);
  });
});
