/** What happens where two features meet, each of which does well alone: death, detach and destroy x readers, periods, callbacks. */
import { describe, expect, test } from 'vitest';
import { Place } from '../../lib/arena/place.ts';
import { Arena, Rcu, RcuQsbr, Srcu } from '../../lib/index.ts';
import { INSIDE, OUTSIDE } from '../../lib/rcu/grace-period.ts';
import { domainAt, Line, leafAt, lineOf, RcuWords } from '../../lib/rcu/layout.ts';
import { on, type Step, stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

test('a domain is kept for ever by a period that nobody has asked after since its readers went', () => {
  const { arenas, real, killBefore, reap } = stepper(2);
  const first = new Srcu(arenas[0]!);
  const second = Srcu.from(arenas[1]!, first.handle);
  const index = second.readLock();
  first.startPoll();
  expect(thrown(() => first.destroy()).code).toBe('EBUSY');
  const leaf = leafAt(domainAt(real, first.address), 0);
  expect(killBefore(1, on('cmpxchgAcquire', leaf), () => second.readUnlock(index))).toBe(true);
  expect(reap(0)).toBe('done');
  first.destroy();
  expect(thrown(() => first.destroy()).code).toBe('EINVAL');
});

test('a thread whose own calls have freed what a task on its event loop waits for cannot detach after the barrier', async () => {
  const { arenas } = stepper(2);
  const [mine, other] = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu];
  other.readLock();
  mine.kfree(arenas[0]!.alloc(4));
  // The task sleeps until the reader is out.
  await new Promise((go) => setImmediate(go));
  other.readUnlock();
  for (let i = 0; i < 256; i++) mine.kfree(arenas[0]!.alloc(4));
  await mine.barrierAsync();
  expect(arenas[0]!.thread.tasksInUse).toBe(0);
});

describe('a thread that has left', () => {
  /** Two threads that have had CPU number 0 one after the other: the first one has left inside readers. */
  function heirs() {
    const { arenas, real } = stepper(2);
    const place = new Place(arenas[0]!.cpu, 0, { spins: 4 });
    const left = new Arena(place);
    return { left, leave: () => place.leave(), heir: arenas[0]!, other: arenas[1]!, real };
  }

  test('ends the readers of the next thread with its number, as it still goes out', () => {
    const { left, leave, heir, other, real } = heirs();
    const [rcu, next] = [new Rcu(left), new Rcu(heir)];
    rcu.readLock();
    rcu.readLock();
    const guard = rcu.read();
    leave();
    const own = next.read();
    next.readLock();
    const cookie = new Rcu(other).startPoll();
    const lanes = lineOf(domainAt(real, rcu.address), 0) + Line.lanes;
    guard.release();
    expect(thrown(() => rcu.readUnlock()).code).toBe('EINVAL');
    expect(thrown(() => rcu.readUnlock()).code).toBe('EINVAL');
    expect(thrown(() => rcu.readLock()).code).toBe('EINVAL');
    expect(thrown(() => rcu.read()).code).toBe('EINVAL');
    expect([0, 1, 2].filter((lane) => real.load(lanes + lane) !== OUTSIDE)).toEqual([0, 1]);
    expect(new Rcu(other).pollState(cookie)).toBe(false);
    next.readUnlock();
    own.release();
    expect(new Rcu(other).pollState(cookie)).toBe(true);
  });

  test('takes the next one offline, as its stretch ends', async () => {
    const { left, leave, heir, real } = heirs();
    const [qsbr, next] = [new RcuQsbr(left), new RcuQsbr(heir)];
    const lane = lineOf(domainAt(real, qsbr.address), 0) + Line.lanes;
    qsbr.readLock();
    qsbr.readUnlock();
    leave();
    real.store(lane, INSIDE);
    expect(next.isOnline).toBe(false);
    // The end of the first one's stretch comes by here.
    await undefined;
    expect(real.load(lane)).toBe(INSIDE);
    expect(thrown(() => qsbr.quiescent()).code).toBe('EINVAL');
    expect(thrown(() => qsbr.readLock()).code).toBe('EINVAL');
    expect(real.load(lane)).toBe(INSIDE);
  });

  test('goes on with a wait that it had begun, under a number that may be another thread’s', async () => {
    const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
    const rcu = new Rcu(arena);
    const [latch, lock] = [rcu.address + RcuWords.latch, arena.cpu.cmpxchgAcquire.bind(arena.cpu)];
    let steps = 0;
    arena.cpu.cmpxchgAcquire = (address, expected, value) => {
      if (address === latch) steps++;
      return lock(address, expected, value);
    };
    const wait = rcu.synchronizeAsync();
    arena.detach();
    steps = 0;
    await expect(wait).rejects.toMatchObject({ code: 'EINVAL' });
    expect(steps).toBe(0);
  });
});

test('a callback that waits for all callbacks waits for itself', async () => {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 2 });
  const rcu = new Rcu(arena);
  const codes: unknown[] = [];
  for (let i = 0; i < 2; i++) rcu.call(() => codes.push(thrown(() => rcu.barrier({ timeout: 5 })).code));
  await rcu.barrierAsync();
  expect(codes).toEqual(['EDEADLK', 'EDEADLK']);
});

test('a thread that waits for a period whose driver died looks so often that it never looks who is dead', () => {
  const { arenas, before, killBefore, reap } = stepper(3);
  const rcus = arenas.map((arena) => new Rcu(arena)) as [Rcu, Rcu, Rcu];
  const latch = rcus[0].address + RcuWords.latch;
  const { cpu } = arenas[1]!;
  const now = cpu.now.bind(cpu);
  let last = 0;
  cpu.now = () => (last = now());
  rcus[2].readLock();
  before(1, on('wait'), () => {
    // It is asleep, and thread 0 dies with the domain's latch in hand.
    expect(killBefore(0, on('xchgRelease', latch), () => rcus[0].startPoll())).toBe(true);
    // `RealCpu.wait` looks for the dead when it has slept for 6 ms.
    const isLong = ({ op, args }: Step) => op === 'wait' && (args[2] as number) - last > 6.5e6;
    before(1, isLong, () => {
      expect(reap(2)).toBe('done');
      rcus[2].readUnlock();
    });
  });
  rcus[1].synchronize({ timeout: 1000 });
});
