import { expect, test } from 'vitest';
import { McsLock, RwLock, SpinLock, TicketLock } from '../../lib/index.ts';
import { McsNodes } from '../../lib/locking/mcs-lock.ts';
import { releaseNode, SpinNode } from '../../lib/locking/spin-queue.ts';
import { TicketEntry, Tickets } from '../../lib/locking/ticket-lock.ts';
import { on, step, stepper } from '../support/stepper.ts';

/** Five threads with a view of one McsLock each. */
function mcs() {
  const stage = stepper(5);
  const first = new McsLock(stage.arenas[0]!);
  const locks = stage.arenas.map((arena, i) => (i === 0 ? first : McsLock.from(arena, first.handle)));
  const node = (number: number) => stage.arenas[number]!.thread.slot + McsNodes.waiters;
  const waitIn = (number: number) =>
    stage.stopBefore(number, on('condLoad', node(number) + SpinNode.locked), () => locks[number]!.lock());
  const isDecided = (number: number) => (stage.real.load(node(number) + SpinNode.locked) & 3) !== 0;
  return { ...stage, locks: locks as [McsLock, McsLock, McsLock, McsLock, McsLock], node, waitIn, isDecided };
}

/** Five threads with a view of one SpinLock each. */
function spin() {
  const stage = stepper(5);
  const first = new SpinLock(stage.arenas[0]!);
  const locks = stage.arenas.map((arena, i) => (i === 0 ? first : SpinLock.from(arena, first.handle)));
  return { ...stage, locks: locks as [SpinLock, SpinLock, SpinLock, SpinLock, SpinLock] };
}

/** Five threads with a view of one TicketLock each. */
function tickets() {
  const stage = stepper(5);
  const first = new TicketLock(stage.arenas[0]!);
  const locks = stage.arenas.map((arena, i) => (i === 0 ? first : TicketLock.from(arena, first.handle)));
  const entry = (number: number) => stage.arenas[number]!.thread.slot + Tickets.entries;
  const waitIn = (number: number) => stage.stopBefore(number, on('condLoad'), () => locks[number]!.lock());
  return { ...stage, locks: locks as [TicketLock, TicketLock, TicketLock, TicketLock, TicketLock], entry, waitIn };
}

test('TicketLock: the death of a waiter taken for that of an owner', () => {
  const { locks, waitIn, die, reap } = tickets();
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  die(1);
  expect(reap(4)).toBe('again');
  // Now the dead thread's ticket is served.
  locks[0].unlock();
  expect(reap(4)).toBe('done');
  expect(locks[2].tryLock()).toBe(true);
  expect(locks[2].ownerDied).toBe(false);
});

test('TicketLock: the death of an owner that is not told, or not passed on', () => {
  const { locks, waitIn, die, reap } = tickets();
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  die(1);
  die(0);
  expect(reap(4)).toBe('done');
  expect(locks[2].tryLock()).toBe(true);
  expect(locks[2].ownerDied).toBe(true);
});

test('TicketLock: a lock that nobody gets any more, or a false owner, after a death at any step', () => {
  for (const act of ['lock', 'tryLock', 'unlock'] as const) {
    for (let n = 1; ; n++) {
      const { locks, killBefore, reap, arenas } = tickets();
      if (act === 'unlock') locks[1].lock();
      const wasKilled = killBefore(1, step(n), () => locks[1][act]());
      if (wasKilled) expect(reap(4)).toBe('done');
      else if (act !== 'unlock') locks[1].unlock();
      expect(locks[2].tryLock()).toBe(true);
      locks[2].unlock();
      expect(arenas[2]!.fsck()).toEqual([]);
      if (!wasKilled) break;
    }
  }
});

test('TicketLock: the late end of an unlock claims a ticket of the next lock at that address', () => {
  for (let n = 1; ; n++) {
    const { arenas, locks, before, cancel, die, reap } = tickets();
    const { address } = locks[0];
    locks[0].lock();
    let next: TicketLock | undefined;
    before(0, step(n), () => {
      if (!locks[1].tryLock()) return;
      locks[1].unlock();
      locks[1].destroy();
      // The others have heard of it; of thread 0, which is in a call, it is pretended.
      for (const each of arenas) each!.objects.makeRoom();
      next = new TicketLock(arenas[1]!);
      expect(next.address).toBe(address);
      TicketLock.from(arenas[2]!, next.handle).lock();
      die(2);
      // Thread 0 is not through; the reaper comes back when it is.
      if (reap(4) === 'done') expect(next.tryLock()).toBe(true);
    });
    locks[0].unlock();
    if (cancel(0)) break;
    if (next === undefined) continue;
    expect(reap(4)).toBe('done');
    if (next.owner === undefined) expect(next.tryLock()).toBe(true);
    expect(next.ownerDied).toBe(true);
  }
});

test('TicketLock: a thread that takes a ticket while the reaper looks loses it', () => {
  const { locks, entry, before, waitIn, die, reap, real } = tickets();
  locks[0].lock();
  // Thread 1 has its ticket, and has not noted it yet.
  before(1, on('store', entry(1) + TicketEntry.ticket), () => {
    expect(waitIn(2)).toBe(true);
    die(2);
    expect(reap(4)).toBe('again');
    locks[0].unlock();
    expect(reap(4)).toBe('again');
  });
  locks[1].lock();
  expect(locks[1].owner).toEqual({ thread: 1, async: false });
  expect(real.load(entry(1) + TicketEntry.lock)).toBe(locks[1].address);
  locks[1].unlock();
  expect(reap(4)).toBe('done');
  expect(locks[3].tryLock()).toBe(true);
});

test('McsLock: a proxy at the head taken for a dead owner', () => {
  const { locks, waitIn, die, reap } = mcs();
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  die(1);
  expect(reap(4)).toBe('again');
  // Somebody dies behind the proxy, which is granted the lock and does not pass it on yet.
  expect(waitIn(2)).toBe(true);
  locks[0].unlock();
  die(2);
  expect(reap(4)).toBe('done');
  expect(locks[3].tryLock()).toBe(true);
  expect(locks[3].ownerDied).toBe(false);
});

test('McsLock: the death of an owner behind a proxy that is not told', () => {
  const { locks, waitIn, die, reap } = mcs();
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  die(1);
  expect(reap(4)).toBe('again');
  die(0);
  expect(reap(4)).toBe('done');
  expect(locks[3].tryLock()).toBe(true);
  expect(locks[3].ownerDied).toBe(true);
});

test('McsLock: a waiter stranded behind a thread that died behind the proxy of an earlier era', () => {
  const { locks, node, waitIn, die, killBefore, reap, isDecided } = mcs();
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  die(1);
  expect(reap(4)).toBe('again');
  // Thread 2 dies before it says who is in front of it: the proxy does not lead to it, nor to thread 3 behind it.
  expect(killBefore(2, on('store', node(2) + SpinNode.prev, 2), () => locks[2].lock())).toBe(true);
  expect(waitIn(3)).toBe(true);
  locks[0].unlock();
  expect(reap(4)).toBe('done');
  expect(isDecided(3)).toBe(true);
});

test('McsLock: a lock that nobody gets any more when an owner, then the reaper, is killed at any step', () => {
  for (let n = 1; ; n++) {
    const { locks, waitIn, die, killBefore, reap, isDecided } = mcs();
    locks[0].lock();
    expect(waitIn(1)).toBe(true);
    expect(waitIn(2)).toBe(true);
    die(1);
    die(0);
    const wasKilled = killBefore(3, step(n), () => reap(3));
    if (wasKilled) expect(reap(4)).toBe('done');
    expect(locks[4].ownerDied).toBe(true);
    expect(isDecided(2)).toBe(true);
    if (!wasKilled) break;
  }
});

test('McsLock: the head grants a node that waits behind another by now', () => {
  const { locks, node, waitIn, die, before, reap, real } = mcs();
  const isGranted = () => (real.load(node(1) + SpinNode.locked) & 3) === 1;
  locks[0].lock();
  expect(waitIn(1)).toBe(true);
  expect(waitIn(2)).toBe(true);
  die(2);
  // Thread 0 has looked who is behind it. Thread 1 is evicted, and lines up again, behind the proxy.
  before(0, on('store', node(0) + SpinNode.settled), () => {
    expect(reap(4)).toBe('again');
    releaseNode(real, node(1));
    expect(waitIn(1)).toBe(true);
  });
  locks[0].unlock();
  expect(isGranted()).toBe(false);
  expect(reap(4)).toBe('done');
  expect(isGranted()).toBe(true);
});

test('McsLock: a dead thread still in a queue that is repaired, while the reaper must come back for another', () => {
  const { locks, arenas, node, stopBefore, die, reap, real } = mcs();
  const other = new McsLock(arenas[1]!);
  other.lock();
  locks[0].lock();
  expect(stopBefore(0, on('condLoad'), () => McsLock.from(arenas[0]!, other.handle).lock())).toBe(true);
  die(0);
  expect(reap(4)).toBe('again');
  expect(real.load(node(0) + SpinNode.lock)).toBe(0);
  other.unlock();
  expect(reap(4)).toBe('done');
});

test('SpinLock: a dead thread that stays pending', () => {
  const { locks, stopBefore, die, reap } = spin();
  locks[0].lock();
  expect(stopBefore(1, on('condLoad'), () => locks[1].lock())).toBe(true);
  die(1);
  expect(reap(4)).toBe('done');
  locks[0].unlock();
  expect(locks[2].tryLock()).toBe(true);
});

test('SpinLock: a waiter that goes on as the head after its eviction', () => {
  const { locks, stopBefore, before, die, reap } = spin();
  locks[0].lock();
  // Thread 1 sleeps at the head of the queue, thread 2 behind it.
  expect(stopBefore(1, on('wait'), () => locks[1].lock())).toBe(true);
  before(2, on('wait'), () => {
    die(1);
    // Thread 3 is behind thread 2, which is evicted.
    expect(stopBefore(3, on('wait'), () => locks[3].lock())).toBe(true);
    die(3);
    reap(4);
    locks[0].unlock();
  });
  locks[2].lock();
  locks[2].unlock();
  expect(reap(4)).toBe('done');
  expect(locks[0].tryLock()).toBe(true);
});

test('TicketLock: the next thread in a slot has a ticket of a lock that was destroyed', () => {
  const { arenas, locks, entry, killBefore, reap, real } = tickets();
  locks[0].lock();
  const word = entry(0) + TicketEntry.lock;
  expect(killBefore(0, on('storeRelease', word), () => locks[0].unlock())).toBe(true);
  locks[1].destroy();
  expect(reap(4)).toBe('done');
  expect(real.load(word)).toBe(0);
  expect(arenas[1]!.fsck()).toEqual([]);
});

test('RwLock: a writer that died while it waited for readers to leave is no owner that died', () => {
  const { arenas, killBefore, reap } = stepper(3);
  const lock = new RwLock(arenas[0]!);
  const [writing, other] = arenas.slice(1).map((arena) => RwLock.from(arena, lock.handle)) as [RwLock, RwLock];
  lock.readLock();
  expect(killBefore(1, on('wait'), () => writing.writeLock())).toBe(true);
  expect(reap(2)).toBe('done');
  expect(lock.ownerDied).toBe(false);
  expect(other.tryReadLock()).toBe(true);
  other.readUnlock();
  lock.readUnlock();
  other.writeLock();
  other.writeUnlock();
});

test('RwLock: a writer that died inside, once the readers it waited for had left, is one', () => {
  const { arenas, before, killBefore, reap } = stepper(3);
  const lock = new RwLock(arenas[0]!);
  const [writing, other] = arenas.slice(1).map((arena) => RwLock.from(arena, lock.handle)) as [RwLock, RwLock];
  lock.readLock();
  before(1, on('wait'), () => lock.readUnlock());
  writing.writeLock();
  expect(killBefore(1, step(1), () => writing.writeUnlock())).toBe(true);
  expect(reap(2)).toBe('done');
  expect(lock.ownerDied).toBe(true);
  other.writeLock();
  other.makeConsistent();
  other.writeUnlock();
});

test('McsLock: a reaper dies when it has evicted a waiter, which lines up again behind what that reaper lined up', () => {
  const { locks, node, isDecided, killBefore, before, die, reap } = mcs();
  locks[0].lock();
  before(1, on('condLoad', node(1) + SpinNode.locked), () => {
    die(0);
    expect(
      killBefore(
        2,
        () => isDecided(1),
        () => reap(2),
      ),
    ).toBe(true);
    // Evicted, it is behind the dead reaper's node, whose `prev` still names it.
    before(1, on('condLoad', node(1) + SpinNode.locked), () => {
      before(3, step(50_000), () => expect.unreachable('the next reaper does not get on'));
      while (reap(3) === 'again');
    });
  });
  locks[1].lock();
  expect(locks[1].ownerDied).toBe(true);
  expect(reap(4)).toBe('done');
  locks[1].unlock();
  expect(locks[4].tryLock()).toBe(true);
});
