/** Queues that are frozen, and slots that go offline and come back, the threads stepped. */
import { describe, expect, test } from 'vitest';
import { Header } from '../../lib/memory/header.ts';
import { latchOwner } from '../../lib/memory/latch.ts';
import { kindIdOf } from '../../lib/memory/objects.ts';
import { catchUp, freezeQueues } from '../../lib/workqueue/freeze.ts';
import {
  BUSY,
  DONE,
  IDLE,
  Item,
  itemAt,
  MOST_WORKERS,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  Root,
  RUNNING,
  WorkerRecord,
  Wq,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { openPool, openRoot, openWq, POOL_KIND } from '../../lib/workqueue/objects.ts';
import { FREEZABLE } from '../../lib/workqueue/options.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { adjust, rebias } from '../../lib/workqueue/pool-care.ts';
import { workqueueOfflineSlot, workqueueOnlineSlots } from '../../lib/workqueue/slots.ts';
import { on, step, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';
import { makeQueues } from './needy.ts';

const [MAIN, WORKER, OTHER, LAST] = [0, 1, 2, 3] as const;

/** Two workers, of a pool with that slot or two slots; items 0 to 9 are of a freezable queue, 10 on of one that is not. */
function rootStage(slot = -1) {
  const stage = stepper(4);
  const { arenas, real } = stage;
  const made = makeQueues(arenas[MAIN]!, { slot, slots: 2, maxWorkers: 2 }, [FREEZABLE, 0]);
  const { root, pool: address, pwqs, queues, slab } = made;
  const poolAs = (by: number) => new WorkerPool(arenas[by]!.cpu, address, arenas[by]!.thread.id, () => {});
  const tasks = arenas.map(({ thread, heap }) => thread.takeTask(heap));
  const item = (i: number) => itemAt(slab, i);
  const record = (thread: number) => workerAt(address, thread - 1);
  const here = {
    ...stage,
    address,
    root,
    queues,
    pwqs,
    item,
    record,
    poolAs,
    join: (...threads: number[]) => threads.forEach((by) => void poolAs(by).join(record(by), tasks[by]!)),
    /** They find nothing. The last of them is the first to be woken. */
    rest(...threads: number[]) {
      here.join(...threads);
      for (const by of threads) expect(here.next(by)).toBe(-1);
    },
    queue(...items: number[]) {
      for (const i of items) {
        real.write(item(i) + Item.pwq, pwqs[Math.floor(i / 10)]!);
        real.store(item(i) + Item.state, PENDING);
        poolAs(MAIN).queue(item(i), item(i));
      }
    },
    next(by: number, finished = -1) {
      const found = poolAs(by).step(record(by), finished < 0 ? 0 : item(finished));
      return found === 0 ? -1 : (found - item(0)) / Item.words;
    },
    freeze: (isFrozen: boolean, by: number = MAIN) =>
      freezeQueues({ cpu: arenas[by]!.cpu, pool: () => poolAs(by) }, root, isFrozen, () => arenas[by]!.heap.objects()),
    /** Takes slot 1 of an unbound pool away, or the pool's own, or brings it back. */
    setOffline(isOffline: boolean, by: number = MAIN) {
      const { cpu } = arenas[by]!;
      const bit = 1 << Math.abs(slot);
      if (isOffline) cpu.fetchOr(root + Root.offline, bit);
      else cpu.fetchAnd(root + Root.offline, ~bit);
      rebias(poolAs(by));
    },
    phase: (i: number) => real.load(item(i) + Item.state) & PHASE,
    state: (thread: number) => real.read(record(thread) + WorkerRecord.state),
    running: () => real.load(address + Pool.running),
    of: (queue: number, field: number) => real.read(pwqs[queue]! + field),
    /** The workers that are BUSY work until there is nothing more. Returns what ran, in order. */
    workOff(...threads: number[]) {
      const ran: number[] = [];
      for (let hasRun = true; hasRun; ) {
        hasRun = false;
        for (const by of threads) {
          if (here.state(by) !== BUSY) continue;
          for (let i = here.next(by); i >= 0; i = here.next(by, i)) ran.push(i);
          hasRun = true;
        }
      }
      return ran;
    },
  };
  return here;
}

describe('a queue that is frozen', () => {
  test('whose items begin all the same, or which stops others, or what has begun', () => {
    const stage = rootStage();
    stage.join(WORKER, OTHER);
    stage.queue(0);
    expect(stage.next(WORKER)).toBe(0);
    expect(stage.next(OTHER)).toBe(-1);
    expect(stage.freeze(true)).toBe(true);
    expect(stage.freeze(true)).toBe(false);
    stage.queue(1, 2, 10);
    // As when somebody changes its maxActive.
    adjust(stage.poolAs(MAIN), stage.pwqs[1]!);
    expect([stage.of(0, Pwq.nrActive), stage.of(0, Pwq.maxActive), stage.of(1, Pwq.maxActive)]).toEqual([1, 0, 4]);
    expect(stage.next(OTHER)).toBe(10);
    expect(stage.next(WORKER, 0)).toBe(-1);
    expect(stage.phase(0)).toBe(DONE);
    expect(stage.next(OTHER, 10)).toBe(-1);
    expect(stage.freeze(false)).toBe(true);
    expect(stage.freeze(false)).toBe(false);
    expect(stage.workOff(WORKER, OTHER)).toEqual([1, 2]);
    expect([stage.of(0, Pwq.nrActive), stage.of(0, Pwq.nrInactive), stage.of(0, Pwq.maxActive)]).toEqual([0, 0, 4]);
  });

  test('whose maxActive is changed meanwhile', () => {
    const stage = rootStage();
    stage.rest(WORKER, OTHER);
    stage.freeze(true);
    stage.queue(0, 1);
    expect(stage.next(OTHER)).toBe(-1);
    stage.real.store(stage.queues[0]! + Wq.savedMaxActive, 1);
    adjust(stage.poolAs(MAIN), stage.pwqs[0]!);
    expect([stage.of(0, Pwq.maxActive), stage.of(0, Pwq.nrActive)]).toEqual([0, 0]);
    stage.freeze(false);
    expect([stage.of(0, Pwq.maxActive), stage.of(0, Pwq.nrActive)]).toEqual([1, 1]);
    expect(stage.workOff(WORKER, OTHER)).toEqual([0, 1]);
  });

  test('or is made meanwhile, and knows nothing of it', () => {
    const stage = rootStage();
    stage.freeze(true);
    const late = openWq(stage.arenas[MAIN]!, 'late', FREEZABLE, 3, [stage.address]);
    expect(stage.real.load(late + Wq.pwqs + Pwq.maxActive)).toBe(0);
    stage.freeze(false);
    expect(stage.real.load(late + Wq.pwqs + Pwq.maxActive)).toBe(3);
  });

  test.each([true, false])('by a thread that dies at any step of it: %s', (isFrozen) => {
    for (let k = 1; ; k++) {
      const stage = rootStage();
      stage.join(WORKER, OTHER);
      if (!isFrozen) stage.freeze(true);
      stage.queue(0, 1, 10);
      const isKilled = stage.killBefore(LAST, step(k), () => stage.freeze(isFrozen, LAST));
      if (!isKilled) break;
      expect(stage.reap(MAIN)).toBe('done');
      // The word is what counts, and the repair goes by it.
      const isNow = stage.real.load(stage.root + Root.frozen) === 1;
      expect([k, stage.of(0, Pwq.maxActive)]).toEqual([k, isNow ? 0 : 4]);
      stage.freeze(false);
      stage.poolAs(MAIN).kick();
      expect(stage.workOff(WORKER, OTHER).sort()).toEqual([0, 1, 10]);
      expect([stage.of(0, Pwq.nrActive), stage.of(0, Pwq.nrInactive), stage.running()]).toEqual([0, 0, 0]);
    }
  });
});

describe('a slot that goes offline', () => {
  test('and lets what is queued for it wait for the one that runs there; or back online, and more than one goes on', () => {
    const stage = rootStage(1);
    stage.rest(OTHER, WORKER);
    stage.queue(0, 1, 2);
    expect(stage.next(WORKER)).toBe(0);
    expect(stage.state(OTHER)).toBe(IDLE);
    stage.setOffline(true);
    // POOL_DISASSOCIATED: as many run as there are.
    expect(stage.state(OTHER)).toBe(BUSY);
    expect(stage.next(OTHER)).toBe(1);
    stage.setOffline(false);
    expect(stage.running()).toBe(2);
    expect(stage.next(OTHER, 1)).toBe(-1); // one too many
    expect(stage.next(WORKER, 0)).toBe(2);
    expect(stage.next(WORKER, 2)).toBe(-1);
    expect([stage.running(), stage.state(WORKER), stage.state(OTHER)]).toEqual([0, IDLE, IDLE]);
  });

  test('and leaves an unbound pool as many workers, or none', () => {
    const stage = rootStage();
    stage.rest(WORKER, OTHER);
    stage.setOffline(true);
    stage.queue(0, 1);
    expect([stage.state(OTHER), stage.state(WORKER)]).toEqual([BUSY, IDLE]);
    expect(stage.next(OTHER)).toBe(0);
    expect(stage.state(WORKER)).toBe(IDLE);
    stage.setOffline(false);
    expect(stage.state(WORKER)).toBe(BUSY);
    expect(stage.next(WORKER)).toBe(1);
    expect(stage.phase(0)).toBe(RUNNING);
    // Both gone, and one worker stays.
    stage.real.fetchOr(stage.root + Root.offline, 1);
    stage.setOffline(true);
    expect(stage.real.read(stage.address + Pool.bias)).toBe(1);
    stage.real.fetchAnd(stage.root + Root.offline, ~1);
    stage.real.store(stage.root + Root.excluded, 2);
    rebias(stage.poolAs(MAIN));
    expect(stage.real.read(stage.address + Pool.bias)).toBe(1);
  });

  test('and of which a push does not know that comes at any step of it', () => {
    for (let k = 1; ; k++) {
      const stage = rootStage(1);
      stage.rest(OTHER, WORKER);
      stage.queue(0);
      expect(stage.next(WORKER)).toBe(0);
      // With the latch held the push alone can come in between, and its thread looks behind it.
      let looks = false;
      stage.before(MAIN, step(k), () => {
        const item = stage.item(1);
        stage.real.write(item + Item.pwq, stage.pwqs[0]!);
        stage.real.store(item + Item.state, PENDING);
        stage.real.write(item + Item.link, stage.real.load(stage.address + Pool.incoming));
        stage.real.store(stage.address + Pool.incoming, item);
        looks = stage.running() < 1;
      });
      stage.setOffline(true);
      if (stage.cancel(MAIN)) break;
      if (looks) stage.poolAs(LAST).kick();
      expect([k, stage.state(OTHER)]).toEqual([k, BUSY]);
      expect(stage.next(OTHER)).toBe(1);
    }
  });

  test('together with the last but one, each by another thread, so that none is left', () => {
    const stage = rootStage(0);
    const [main, other] = [stage.arenas[MAIN]!, stage.arenas[OTHER]!];
    stage.before(MAIN, on('fetchOr'), () => {
      expect(workqueueOfflineSlot(other, 1)).toBe(true);
      // What the other one sees before this one takes it back.
      stage.before(MAIN, on('fetchAnd'), () => rebias(stage.poolAs(OTHER)));
    });
    expect(thrown(() => workqueueOfflineSlot(main, 0)).code).toBe('EBUSY');
    expect(workqueueOnlineSlots(main)).toEqual([0]);
    expect(stage.real.read(stage.address + Pool.bias)).toBe(0);
  });

  test('and was taken by two threads, of which the second one brings it back', () => {
    const stage = rootStage(0);
    const [main, other] = [stage.arenas[MAIN]!, stage.arenas[OTHER]!];
    stage.before(MAIN, on('fetchOr'), () => {
      expect(workqueueOfflineSlot(other, 0)).toBe(true);
      // A third thread takes the last one, and has not seen yet that none is left.
      stage.real.fetchOr(stage.root + Root.offline, 2);
    });
    expect(workqueueOfflineSlot(main, 0)).toBe(false);
    stage.real.fetchAnd(stage.root + Root.offline, ~2);
    expect(workqueueOnlineSlots(main)).toEqual([1]);
  });

  test.each([true, false])('before a pool is made, which does not hear that it is back: %s', (isBack) => {
    for (let k = 1; ; k++) {
      const stage = stepper(2);
      const [main, other] = [stage.arenas[MAIN]!, stage.arenas[WORKER]!];
      const root = openRoot(main, { slots: 2 });
      if (isBack) stage.real.store(root.address + Root.offline, 1);
      let steps = 0;
      // Plain writes are seen by nobody; and with the heap latched nobody can ask which pools there are.
      const isFree: When = ({ op }) =>
        op !== 'write' && op !== 'read' && ++steps >= k && latchOwner(stage.real, Header.heapLatch) === 0;
      stage.before(MAIN, isFree, () => {
        stage.real.store(root.address + Root.offline, isBack ? 0 : 1);
        // Those that there are hear of it.
        const pools = other.heap.objects().filter((object) => kindIdOf(stage.real, object) === POOL_KIND.id);
        for (const pool of pools) rebias(new WorkerPool(other.cpu, pool, other.thread.id, () => {}));
      });
      const pool = openPool(main, root, -1, false);
      if (stage.cancel(MAIN)) break;
      catchUp(main, openWq(main, 'wq', 0, 4, [pool]));
      const bias = isBack ? 0 : 1;
      expect([k, stage.real.read(pool + Pool.bias), stage.real.read(pool + Pool.running)]).toEqual([k, bias, bias]);
    }
  });

  test.each([true, false])('by a thread that dies at any step of it: %s', (isOffline) => {
    for (const slot of [-1, 1]) {
      for (let k = 1; ; k++) {
        const stage = rootStage(slot);
        stage.join(WORKER, OTHER);
        if (!isOffline) stage.setOffline(true);
        stage.queue(0, 1, 2);
        const isKilled = stage.killBefore(LAST, step(k), () => stage.setOffline(isOffline, LAST));
        if (!isKilled) break;
        expect(stage.reap(MAIN)).toBe('done');
        const isNow = stage.real.load(stage.root + Root.offline) !== 0;
        const bias = isNow ? (slot < 0 ? 1 : -MOST_WORKERS) : 0;
        expect([k, stage.real.read(stage.address + Pool.bias), stage.running()]).toEqual([k, bias, 2 + bias]);
        expect(stage.workOff(WORKER, OTHER).sort()).toEqual([0, 1, 2]);
        stage.setOffline(false);
        expect(stage.running()).toBe(0);
      }
    }
  });
});
