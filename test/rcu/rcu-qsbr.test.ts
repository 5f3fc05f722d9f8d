import { describe, expect, test } from 'vitest';
import { Arena, Mutex, RcuQsbr } from '../../lib/index.ts';
import { on, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

function domains(threads: number) {
  const stage = stepper(threads);
  const rcus = stage.arenas.map((arena) => new RcuQsbr(arena)) as [RcuQsbr, RcuQsbr, ...RcuQsbr[]];
  return { ...stage, rcus };
}

describe('a thread that has read', () => {
  test('is waited for until the end of its stretch, or in a later one for ever', async () => {
    const { rcus } = domains(2);
    for (let stretch = 0; stretch < 3; stretch++) {
      rcus[1].readLock();
      rcus[1].readUnlock();
      const cookie = rcus[0].startPoll();
      expect(rcus[0].pollState(cookie)).toBe(false);
      // One that says that it is quiescent has the end of this stretch before it still.
      if (stretch === 1) rcus[1].quiescent();
      await undefined;
      await undefined;
      expect(rcus[1].isOnline).toBe(false);
      expect(rcus[0].pollState(cookie)).toBe(true);
    }
  });

  test('is waited for until the end of each of its stretches, also one in which it has gone offline before', async () => {
    const { rcus } = domains(2);
    for (let stretch = 0; stretch < 3; stretch++) {
      rcus[1].readLock();
      rcus[1].readUnlock();
      if (stretch === 1) rcus[1].quiescent();
      await new Promise((go) => setImmediate(go));
      expect(rcus[1].isOnline, `after stretch ${stretch}`).toBe(false);
      const cookie = rcus[0].startPoll();
      expect(rcus[0].pollState(cookie)).toBe(true);
    }
  });

  test('is quiescent when it says so, not inside a reader', () => {
    const { rcus } = domains(2);
    rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    expect(thrown(() => rcus[1].quiescent()).code).toBe('EPERM');
    rcus[1].readUnlock();
    rcus[1].quiescent();
    expect(rcus[0].pollState(cookie)).toBe(true);
    // The stretch is not over: it reads again.
    rcus[1].readLock();
    const later = rcus[0].startPoll();
    expect(rcus[0].pollState(later)).toBe(false);
    rcus[1].readUnlock();
  });

  test('is not waited for while it sleeps in a lock', () => {
    const stage = domains(2);
    const { rcus, arenas } = stage;
    const mutex = new Mutex(arenas[0]!);
    const same = Mutex.from(arenas[1]!, mutex.handle);
    mutex.lock();
    rcus[1].readLock();
    rcus[1].readUnlock();
    stage.before(1, on('wait'), () => {
      rcus[0].synchronize();
      mutex.unlock();
    });
    same.lock();
    same.unlock();
  });

  test('is not waited for by itself', () => {
    const { rcus } = domains(1);
    rcus[0].readLock();
    rcus[0].readUnlock();
    rcus[0].synchronize();
    rcus[0].readLock();
    rcus[0].readUnlock();
    const cookie = rcus[0].startPoll();
    expect(rcus[0].pollState(cookie)).toBe(true);
    rcus[0].readLock();
    expect(thrown(() => rcus[0].synchronize()).code).toBe('EDEADLK');
    rcus[0].readUnlock();
    expect(thrown(() => rcus[0].readUnlock()).code).toBe('EPERM');
  });

  test('with a reader across an await is waited for until that is out, with a warning', async () => {
    const { rcus } = domains(2);
    const warned = new Promise<Error & { code?: string }>((resolve) => process.once('warning', resolve));
    const guard = rcus[1].read();
    expect((await warned).code).toBe('HOLDFAST_READER_ACROSS_AWAIT');
    const cookie = rcus[0].startPoll();
    expect(rcus[0].pollState(cookie)).toBe(false);
    guard.release();
    await rcus[0].synchronizeAsync();
    expect(rcus[1].isOnline).toBe(false);
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('is over with its readers when it dies', () => {
    const { rcus, die, reap } = domains(2);
    rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    die(1);
    expect(reap(0)).toBe('done');
    expect(rcus[0].pollState(cookie)).toBe(true);
  });

  test('does not detach inside a reader, and needs not be told that it is out', () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new RcuQsbr(arena);
    rcu.readLock();
    expect(thrown(() => arena.detach()).code).toBe('EBUSY');
    rcu.readUnlock();
    arena.detach();
    expect(thrown(() => rcu.readLock()).code).toBe('EINVAL');
  });
});
