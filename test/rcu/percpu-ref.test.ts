import { describe, expect, test, vi } from 'vitest';
import { Arena, HoldfastError, PercpuRef, RcuQsbr } from '../../lib/index.ts';
import { WaitQueueWords } from '../../lib/locking/wait-queue-core.ts';
import { inLines, LINE_WORDS } from '../../lib/memory/struct.ts';
import { on, step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

function references(threads: number) {
  const stage = stepper(threads);
  const refs = stage.arenas.map((arena) => new PercpuRef(arena, 'r')) as [PercpuRef, PercpuRef, ...PercpuRef[]];
  const qsbrs = stage.arenas.map((arena) => new RcuQsbr(arena)) as [RcuQsbr, RcuQsbr, ...RcuQsbr[]];
  /** The ends of the threads' synchronous stretches, which one JavaScript thread has at the same time. */
  const settle = (dead?: number) => qsbrs.forEach((qsbr, number) => void (number !== dead && qsbr.quiescent()));
  return { ...stage, refs, settle, state: refs[0].address + WaitQueueWords.words };
}

describe('references', () => {
  test('are drained before they are killed, or with one that a thread still has', () => {
    const { refs, settle } = references(3);
    expect([refs[1].tryGet(), refs[1].tryGet(), refs[0].tryGet()]).toEqual([true, true, true]);
    expect([refs[0].held, refs[1].held]).toEqual([1, 2]);
    refs[0].put();
    expect(refs[0].isDrained).toBe(false);
    expect([refs[0].kill(), refs[0].isDying]).toEqual([true, true]);
    settle();
    expect(thrown(() => refs[0].drain({ timeout: 5 })).message).toContain('thread 1');
    refs[1].put();
    expect(refs[0].isDrained).toBe(false);
    refs[1].put();
    refs[0].drain();
    expect(refs[2]?.isDrained).toBe(true);
  });

  test('of a killed object are taken all the same', () => {
    const { refs, settle } = references(2);
    refs[1].tryGet();
    expect([refs[0].kill(), refs[1].kill()]).toEqual([true, false]);
    expect([refs[0].tryGet(), refs[1].tryGet()]).toEqual([false, false]);
    // For a thread that has one they are: it stays in use in any case.
    refs[1].get();
    expect(refs[1].held).toBe(2);
    expect(thrown(() => refs[0].get()).code).toBe('EPERM');
    refs[1].put();
    refs[1].put();
    settle();
    refs[0].drain();
  });

  test('are drained while a thread is about to take one that has seen them live', () => {
    const stage = references(2);
    const { refs, settle } = stage;
    const isDrained: boolean[] = [];
    stage.before(1, on('storeUnordered'), () => {
      refs[0].kill();
      expect(thrown(() => refs[0].confirm({ timeout: 5 })).code).toBe('ETIMEDOUT');
      isDrained.push(refs[0].isDrained);
    });
    expect(refs[1].tryGet()).toBe(true);
    expect(isDrained).toEqual([false]);
    settle();
    refs[0].confirm();
    expect([refs[1].tryGet(), refs[0].isDrained]).toEqual([false, false]);
    refs[1].put();
    expect(refs[0].isDrained).toBe(true);
  });

  test('whose last is given back while a thread falls asleep are not told of', () => {
    const stage = references(2);
    const { refs, settle } = stage;
    refs[1].tryGet();
    refs[0].kill();
    settle();
    stage.before(0, on('wait'), () => refs[1].put());
    refs[0].drain();
    expect(refs[0].isDrained).toBe(true);
  });

  test('are live again after reinit, and a confirmer that is late confirms the next generation', () => {
    const stage = references(3);
    const { refs, settle, state } = stage;
    refs[0].kill();
    expect(thrown(() => refs[0].reinit()).code).toBe('EBUSY');
    settle();
    // Thread 2 has waited for its grace period, and is about to confirm.
    stage.before(2, on('cmpxchg', state), () => {
      refs[0].drain();
      refs[0].reinit();
      expect(refs[1].tryGet()).toBe(true);
      refs[1].put();
      refs[0].kill();
    });
    refs[2]?.confirm();
    expect(refs[2]?.isDrained).toBe(false);
    settle();
    refs[0].drain();
  });

  test('are live again before a thread that waits for the last one has woken up, which then waits for the next life', () => {
    const stage = references(3);
    const { refs, settle } = stage;
    refs[1].tryGet();
    refs[0].kill();
    settle();
    stage.before(0, on('wait'), () => {
      refs[1].put();
      refs[2]?.reinit();
      expect(refs[1].tryGet()).toBe(true);
    });
    refs[0].drain();
    expect([refs[0].isDrained, refs[0].isDying]).toEqual([false, false]);
  });

  test('are live again while a thread waits that nobody can take them any more, which then waits for the next life', () => {
    const stage = references(3);
    const { refs, settle, state } = stage;
    refs[0].kill();
    settle();
    stage.before(0, on('cmpxchg', state), () => {
      refs[1].drain();
      refs[2]?.reinit();
      expect(refs[1].tryGet()).toBe(true);
    });
    refs[0].drain();
    expect([refs[0].isDrained, refs[0].isDying]).toEqual([false, false]);
  });

  test('hold their thread in the arena, are no other threads, and are not given back twice', () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const ref = new PercpuRef(arena, 'r');
    expect(thrown(() => ref.put()).code).toBe('EPERM');
    expect(thrown(() => ref.drain()).code).toBe('EINVAL');
    expect(thrown(() => ref.confirm()).code).toBe('EINVAL');
    expect(thrown(() => ref.destroy()).message).toContain('kill() and drain() come first');
    ref.get();
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    expect(thrown(() => ref.destroy()).code).toBe('EBUSY');
    ref.kill();
    expect(thrown(() => ref.destroy()).code).toBe('EBUSY');
    expect(thrown(() => ref.drain()).code).toBe('EDEADLK');
    ref.put();
    ref.drain();
    ref.destroy();
    arena.detach();
  });

  test('are waited for on an event loop, which gives them back itself', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const ref = new PercpuRef(arena);
    ref.get();
    ref.kill();
    const gone = ref.drainAsync();
    const controller = new AbortController();
    const aborted = ref.drainAsync({ signal: controller.signal });
    await ref.confirmAsync();
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await expect(ref.drainAsync({ timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    ref.put();
    await gone;
    expect(ref.isDrained).toBe(true);
    arena.detach();
  });
});

describe('references that are counted by atomics', () => {
  test('are none although a thread has some, or some although nobody has', () => {
    const { refs, settle } = references(3);
    expect(thrown(() => refs[0].isZero).code).toBe('EINVAL');
    refs[1].tryGet();
    refs[1].tryGet();
    settle();
    refs[0].switchToAtomic();
    expect([refs[0].isAtomic, refs[2]?.isAtomic, refs[0].isDying, refs[0].isZero]).toEqual([true, true, false, false]);
    refs[0].switchToAtomic();
    refs[1].put();
    expect([refs[2]?.tryGet(), refs[2]?.held, refs[1].held]).toEqual([true, 1, 1]);
    refs[1].put();
    expect(refs[0].isZero).toBe(false);
    refs[2]?.put();
    expect([refs[0].isZero, refs[0].isDrained]).toEqual([true, false]);
    expect([refs[1].switchToPercpu(), refs[0].switchToPercpu(), refs[0].isAtomic]).toEqual([true, false, false]);
    expect(thrown(() => refs[0].isZero).message).toContain('switchToAtomic() first');
    refs[1].get();
    expect(refs[1].held).toBe(1);
  });

  test('are counted by a thread that has not heard of it yet', () => {
    const stage = references(2);
    const { refs, settle } = stage;
    const isAtomic: boolean[] = [];
    stage.before(1, on('storeUnordered'), () => {
      expect(thrown(() => refs[0].switchToAtomic({ timeout: 5 })).code).toBe('ETIMEDOUT');
      isAtomic.push(refs[0].isAtomic);
      expect(thrown(() => refs[0].isZero).code).toBe('EINVAL');
    });
    expect(refs[1].tryGet()).toBe(true);
    expect(isAtomic).toEqual([false]);
    settle();
    refs[0].switchToAtomic();
    expect([refs[0].isAtomic, refs[0].isZero]).toEqual([true, false]);
  });

  test('are taken and given back while a thread looks, which sees no moment without any', () => {
    const stage = references(3);
    const { refs, settle } = stage;
    settle();
    refs[0].switchToAtomic();
    refs[2]?.get();
    settle();
    // Thread 0 has looked at the lines of 0 and 1: now 1 takes one, and 2 gives its own back.
    const lines = refs[0].address + inLines(WaitQueueWords.words + 2);
    stage.before(0, on('loadAcquire', lines + 2 * LINE_WORDS), () => {
      refs[1].get();
      refs[2]?.put();
    });
    expect(refs[0].isZero).toBe(false);
    refs[1].put();
    expect(refs[0].isZero).toBe(true);
    // While it looks, they are counted by plain stores again.
    stage.before(0, on('loadAcquire', lines + 2 * LINE_WORDS), () => void refs[1].switchToPercpu());
    expect(thrown(() => refs[0].isZero).code).toBe('EINVAL');
  });

  test('are killed and drained as others, and confirmed too late for the next generation', () => {
    const stage = references(3);
    const { refs, settle, state } = stage;
    settle();
    refs[0].switchToAtomic();
    refs[1].tryGet();
    settle();
    expect([refs[0].kill(), refs[1].tryGet(), refs[0].switchToPercpu()]).toEqual([true, false, false]);
    expect(thrown(() => refs[0].switchToAtomic()).code).toBe('EINVAL');
    refs[1].put();
    settle();
    refs[0].drain();
    expect([refs[0].isZero, refs[0].isDrained]).toEqual([true, true]);
    refs[0].reinit();
    expect(refs[0].isAtomic).toBe(false);
    settle();
    // Thread 2 has waited for its grace period, and is about to confirm.
    stage.before(2, on('cmpxchg', state, 2), () => {
      refs[0].switchToPercpu();
      expect(thrown(() => refs[0].isZero).code).toBe('EINVAL');
    });
    expect(thrown(() => refs[2]?.switchToAtomic()).code).toBe('EINVAL');
    expect(refs[0].isAtomic).toBe(false);
  });

  test('are said to be counted so by all, by a thread that has waited for an earlier switch', () => {
    const stage = references(3);
    const { refs, settle, state } = stage;
    settle();
    // Thread 2 has waited for its grace period, and is about to say so.
    stage.before(2, on('cmpxchg', state, 2), () => {
      refs[0].switchToPercpu();
      // Thread 1 counts by plain stores, and has not heard of the switch that begins here.
      expect(refs[1].tryGet()).toBe(true);
      expect(thrown(() => refs[0].switchToAtomic({ timeout: 5 })).code).toBe('ETIMEDOUT');
    });
    expect(thrown(() => refs[2]?.switchToAtomic()).code).toBe('EINVAL');
    expect(refs[0].isAtomic).toBe(false);
    settle();
    refs[0].switchToAtomic();
    expect([refs[0].isAtomic, refs[0].isZero]).toEqual([true, false]);
  });

  test('are waited for on an event loop', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const ref = new PercpuRef(arena);
    ref.get();
    await expect(ref.switchToAtomicAsync({ timeout: -1 })).rejects.toMatchObject({ code: 'EINVAL' });
    expect(ref.isAtomic).toBe(false);
    await Promise.all([ref.switchToAtomicAsync(), ref.switchToAtomicAsync()]);
    await ref.switchToAtomicAsync();
    expect([ref.isAtomic, ref.isZero]).toEqual([true, false]);
    ref.put();
    expect(ref.isZero).toBe(true);
  });
});

test('what a dead thread had is waited for, wherever it died, or what it was killing stays live for good', async () => {
  // The event loop of a thread that has died in a reader would not run any more.
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  for (let n = 1; ; n++) {
    const { refs, killBefore, reap, settle, arenas } = references(3);
    const run = () => {
      refs[1].get();
      if (n % 2 === 0) settle();
      if (n % 2 === 0) refs[1].switchToAtomic();
      refs[1].get();
      refs[1].put();
      refs[1].kill();
      refs[1].put();
      try {
        refs[1].drain({ timeout: 1 });
      } catch (error) {
        if (!(error instanceof HoldfastError)) throw error;
      }
    };
    if (!killBefore(1, step(n), run)) {
      expect(n).toBeGreaterThan(30);
      break;
    }
    expect(reap(2), `step ${n}`).toBe('done');
    settle(1);
    refs[0].kill();
    refs[0].drain();
    expect(arenas[0]?.fsck(), `step ${n}`).toEqual([]);
  }
  await new Promise((go) => setImmediate(go));
  warn.mockRestore();
});
