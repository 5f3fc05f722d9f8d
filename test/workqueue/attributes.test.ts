/** Attributes that are applied to a queue in use, and queues that are destroyed: the threads stepped, and real ones. */
import { getPriority } from 'node:os';
import { describe, expect, test } from 'vitest';
import { osThread } from '../../lib/arena/liveness.ts';
import { Arena, Completion, DelayedWork, Mutex, Workqueue } from '../../lib/index.ts';
import { kindById } from '../../lib/memory/kinds.ts';
import { kindIdOf, ObjectHeader } from '../../lib/memory/objects.ts';
import { applyAttributes, attributesOf } from '../../lib/workqueue/attributes.ts';
import {
  CLOSED,
  FREE,
  Item,
  itemAt,
  PENDING,
  PHASE,
  Pool,
  Pwq,
  Root,
  WorkerRecord,
  Wq,
  workerAt,
} from '../../lib/workqueue/layout.ts';
import { openPoolFor, openRoot, WQ_KIND } from '../../lib/workqueue/objects.ts';
import { FREEZABLE, ORDERED, UNBOUND } from '../../lib/workqueue/options.ts';
import { WorkerPool } from '../../lib/workqueue/pool.ts';
import { adjust } from '../../lib/workqueue/pool-care.ts';
import { currentPwq, pwqsOf } from '../../lib/workqueue/pwqs.ts';
import { biasOf } from '../../lib/workqueue/root.ts';
import { step, stepper, type When } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';
import { f } from './functions.ts';
import { makeQueues } from './needy.ts';

const [MAIN, OTHER] = [0, 1] as const;

/** The `n`th operation that another thread can tell from the one before: a plain write can't be. */
function seen(n: number): When {
  let count = 0;
  return ({ op }) => op !== 'read' && op !== 'write' && ++count === n;
}

/** An unbound queue with two slots; thread 1 has a worker in each pool that it is asked for. */
function attributeStage(flags = UNBOUND | FREEZABLE, maxActive = 4) {
  const stage = stepper(2);
  const { arenas, real } = stage;
  const made = makeQueues(arenas[MAIN]!, { slots: 2, maxWorkers: 2, maxActive }, [flags]);
  const wq = made.queues[0]!;
  const [cpu, task] = [arenas[OTHER]!.cpu, arenas[OTHER]!.thread.takeTask(arenas[OTHER]!.heap)];
  const poolAs = (by: number, pool: number) => new WorkerPool(arenas[by]!.cpu, pool, arenas[by]!.thread.id, () => {});
  return {
    ...stage,
    ...made,
    wq,
    item: (i: number) => itemAt(made.slab, i),
    poolOf: (pwq: number) => real.read(pwq + Pwq.pool),
    /** Its pool is there: how one is made is not what a test goes through step by step. */
    makePool: (nice: number) => openPoolFor(arenas[MAIN]!, openRoot(arenas[MAIN]!), nice, [0, 1]),
    apply: (nice: number, by: number = MAIN) => applyAttributes(arenas[by]!, wq, { nice }),
    attributes: () => attributesOf(arenas[MAIN]!, wq),
    current: () => currentPwq(real, wq),
    pwqsNow: () => pwqsOf(real, wq),
    queue(i: number, pwq: number) {
      const item = itemAt(made.slab, i);
      real.write(item + Item.pwq, pwq);
      real.store(item + Item.state, PENDING);
      poolAs(MAIN, real.read(pwq + Pwq.pool)).queue(item, item);
    },
    /** Thread 1 runs what is in that pool. Returns the items, in order. */
    workOff(pool: number) {
      const view = poolAs(OTHER, pool);
      const worker = workerAt(pool, 0);
      if (cpu.read(worker + WorkerRecord.state) === 0) view.join(worker, task);
      const ran: number[] = [];
      for (let item = view.step(worker, 0); item !== 0; item = view.step(worker, item)) {
        ran.push((item - itemAt(made.slab, 0)) / Item.words);
      }
      return ran;
    },
    poolAs,
  };
}

describe('attributes of a queue', () => {
  test('that move what is queued, are not those of what is queued then, or make a pwq each time', () => {
    const stage = attributeStage();
    const first = stage.current();
    stage.queue(0, first);
    stage.apply(5);
    const second = stage.current();
    expect(stage.attributes()).toEqual({ nice: 5, cpumask: [0, 1] });
    expect(stage.poolOf(second)).not.toBe(stage.poolOf(first));
    stage.queue(1, second);
    stage.apply(0);
    expect(stage.current()).toBe(first);
    stage.apply(5);
    expect([stage.current(), stage.pwqsNow()]).toEqual([second, [first, second]]);
    expect(stage.workOff(stage.poolOf(first))).toEqual([0]);
    expect(stage.workOff(stage.poolOf(second))).toEqual([1]);
  });

  test('that are those of another queue, with which it shares no pool', () => {
    const stage = attributeStage();
    const other = makeQueues(stage.arenas[MAIN]!, { slots: 2, maxWorkers: 2 }, [UNBOUND, UNBOUND]).queues[1]!;
    stage.apply(-3);
    applyAttributes(stage.arenas[MAIN]!, other, { nice: -3, cpumask: [1, 0] });
    expect(stage.poolOf(currentPwq(stage.real, other))).toBe(stage.poolOf(stage.current()));
    applyAttributes(stage.arenas[MAIN]!, other, { nice: -3, cpumask: [1] });
    const pool = stage.poolOf(currentPwq(stage.real, other));
    expect([stage.real.read(pool + Pool.limit), attributesOf(stage.arenas[MAIN]!, other).cpumask]).toEqual([1, [1]]);
  });

  test('that a bound or ordered queue takes, or that are none, and change something', () => {
    for (const flags of [0, UNBOUND | ORDERED]) {
      const { apply, pwqsNow, attributes } = attributeStage(flags, 1);
      expect(thrown(() => apply(1))).toMatchObject({ code: 'EINVAL' });
      expect([pwqsNow().length, attributes().nice]).toEqual([1, 0]);
    }
    const { arenas, wq, pwqsNow } = attributeStage();
    const bad = [
      { nice: 20 },
      { nice: -21 },
      { nice: 0.5 },
      { cpumask: [] },
      { cpumask: [2] },
      { cpumask: 1 },
      { nise: 1 },
    ];
    for (const attributes of bad) {
      const apply = () => applyAttributes(arenas[MAIN]!, wq, attributes as object);
      expect([attributes, thrown(apply)]).toEqual([attributes, expect.objectContaining({ code: 'EINVAL' })]);
    }
    expect(pwqsNow().length).toBe(1);
  });

  test('for which there is no memory, and of which a part is applied', () => {
    for (const isPoolThere of [true, false]) {
      const { arenas, wq, apply, attributes, pwqsNow } = attributeStage();
      const [arena] = arenas as [Arena];
      if (isPoolThere) openPoolFor(arena, openRoot(arena), 7, [0, 1]);
      const blocks: number[] = [];
      for (let words = 1 << 14; words >= 16; words >>= 1) {
        for (;;) {
          const block = arena.heap.tryAlloc(words, arena.thread.nascent);
          if (block === 0) break;
          blocks.push(block);
        }
      }
      expect(thrown(() => apply(7))).toMatchObject({ code: 'ENOMEM' });
      expect([attributes().nice, pwqsNow().length]).toEqual([0, 1]);
      for (const block of blocks) arena.heap.free(block);
      apply(7);
      expect([attributes().nice, pwqsNow().length]).toEqual([7, 2]);
      expect(pwqsOf(arena.cpu, wq)).toContain(currentPwq(arena.cpu, wq));
    }
  });

  test('whose slots are all taken away, and leave it without a worker or with too many', () => {
    const { arenas, real, root } = attributeStage();
    const [arena] = arenas as [Arena];
    const pool = openPoolFor(arena, openRoot(arena), 0, [1]);
    const workers = () => real.read(pool + Pool.limit) - biasOf(real, pool);
    expect(workers()).toBe(1);
    real.store(root + Root.excluded, 0b10);
    expect(workers()).toBe(1);
    real.store(root + Root.offline, 0b01);
    expect(workers()).toBe(1);
    const wide = openPoolFor(arena, openRoot(arena), 0, [0, 1]);
    expect(real.read(wide + Pool.limit) - biasOf(real, wide)).toBe(1);
    real.store(root + Root.offline, 0);
    real.store(root + Root.excluded, 0b01);
    expect([workers(), real.read(wide + Pool.limit) - biasOf(real, wide)]).toEqual([1, 1]);
  });

  test('that leave one worker where all unbound ones have two slots, or are others in another order', () => {
    const { arenas, real } = stepper(1);
    const [arena] = arenas as [Arena];
    const { root } = makeQueues(arena, { slots: 3, maxWorkers: 2 }, [UNBOUND]);
    const pool = openPoolFor(arena, openRoot(arena), 0, [2]);
    real.store(root + Root.excluded, 0b100);
    expect(real.read(pool + Pool.limit) - biasOf(real, pool)).toBe(2);
    const [one, other] = [
      [0, 2],
      [2, 0],
    ].map((slots) => openPoolFor(arena, openRoot(arena), 0, slots));
    expect(one).toBe(other);
  });

  test('that two threads apply at once, and the queue has two pwqs in one pool', () => {
    for (let k = 1; ; k++) {
      const stage = attributeStage();
      stage.makePool(9);
      let hasStopped = false;
      stage.before(MAIN, seen(k), () => {
        try {
          stage.apply(9, OTHER);
        } catch (error) {
          // Where the first thread has latched what the second needs.
          hasStopped = true;
          if ((error as Error).constructor.name !== 'Hang') throw error;
        }
      });
      stage.apply(9);
      if (stage.cancel(MAIN)) break;
      const pools = stage.pwqsNow().map(stage.poolOf);
      expect([k, pools.length, new Set(pools).size, stage.attributes().nice]).toEqual([k, 2, 2, 9]);
      const { heap } = stage.arenas[MAIN]!;
      const added = heap
        .objects()
        .filter((object) => kindById(kindIdOf(stage.real, object))?.name === 'pool workqueue');
      if (!hasStopped) expect([k, added.length]).toEqual([k, 1]);
    }
  });

  test.each(['freeze', 'maxActive'] as const)('of which a change of all pwqs knows nothing: %s', (what) => {
    for (let k = 1; ; k++) {
      const stage = attributeStage();
      const behind: number[] = [];
      stage.makePool(4);
      stage.before(MAIN, seen(k), () => {
        if (what === 'freeze') stage.real.store(stage.root + Root.frozen, 1);
        else stage.real.store(stage.wq + Wq.savedMaxActive, 2);
        for (const pwq of stage.pwqsNow()) {
          try {
            adjust(stage.poolAs(OTHER, stage.poolOf(pwq)), pwq);
          } catch (error) {
            if ((error as Error).constructor.name !== 'Hang') throw error;
            // It waits for the latch, and has it behind the first thread.
            behind.push(pwq);
          }
        }
      });
      stage.apply(4);
      if (stage.cancel(MAIN)) break;
      for (const pwq of behind) {
        const latch = stage.poolOf(pwq) + Pool.latch;
        stage.real.store(latch, 0);
        adjust(stage.poolAs(MAIN, stage.poolOf(pwq)), pwq);
      }
      const limits = stage.pwqsNow().map((pwq) => stage.real.load(pwq + Pwq.maxActive));
      expect([k, ...limits]).toEqual([k, ...limits.map(() => (what === 'freeze' ? 0 : 2))]);
    }
  });

  test('by a thread that dies at any step of it, which leaves them half applied', () => {
    for (let k = 1; ; k++) {
      const stage = attributeStage();
      stage.queue(0, stage.current());
      stage.makePool(6);
      if (!stage.killBefore(OTHER, step(k), () => stage.apply(6, OTHER))) break;
      expect([k, stage.reap(MAIN)]).toEqual([k, 'done']);
      expect([k, stage.pwqsNow()]).toEqual([k, expect.arrayContaining([stage.current()])]);
      const { nice } = stage.attributes();
      expect([0, 6]).toContain(nice);
      stage.apply(6);
      const pools = stage.pwqsNow().map(stage.poolOf);
      expect([k, pools.length, new Set(pools).size]).toEqual([k, 2, 2]);
      expect(stage.arenas[MAIN]!.fsck()).toEqual([]);
      const worker = stage.poolAs(MAIN, stage.pool);
      worker.join(workerAt(stage.pool, 0), stage.arenas[MAIN]!.thread.takeTask(stage.arenas[MAIN]!.heap));
      expect([k, worker.step(workerAt(stage.pool, 0), 0)]).toEqual([k, stage.item(0)]);
    }
  });
});

describe('a queue that is destroyed', () => {
  /** As `Workqueue.destroy` does. */
  function destroy(stage: ReturnType<typeof attributeStage>, by: number = MAIN) {
    stage.real.store(stage.wq + Wq.state, CLOSED);
    stage.arenas[by]!.objects.destroy(WQ_KIND, stage.wq, () => false);
  }
  const isFreed = (stage: ReturnType<typeof attributeStage>) => !stage.arenas[MAIN]!.heap.objects().includes(stage.wq);
  const kinds = ({ arenas, real }: ReturnType<typeof attributeStage>) =>
    arenas[MAIN]!.heap.objects().map((object) => kindById(kindIdOf(real, object))?.name);

  test('with what attributes have added, of which something stays', () => {
    const stage = attributeStage();
    stage.apply(1);
    stage.apply(2);
    expect(kinds(stage).filter((kind) => kind === 'pool workqueue').length).toBe(2);
    destroy(stage);
    expect([isFreed(stage), kinds(stage).includes('pool workqueue')]).toEqual([true, false]);
    expect(stage.arenas[MAIN]!.fsck()).toEqual([]);
  });

  test.each([
    ['is open', (stage: ReturnType<typeof attributeStage>) => stage.real.store(stage.wq + Wq.state, 0)],
    ['has items', (stage: ReturnType<typeof attributeStage>) => stage.real.write(stage.current() + Pwq.nrActive, 1)],
    [
      'has items that wait',
      (stage: ReturnType<typeof attributeStage>) => stage.real.write(stage.current() + Pwq.inactive, 64),
    ],
  ])('although it %s', (_what, change) => {
    const stage = attributeStage();
    stage.real.store(stage.wq + Wq.state, CLOSED);
    change(stage);
    const call = () => stage.arenas[MAIN]!.objects.destroy(WQ_KIND, stage.wq, () => false);
    expect(thrown(call)).toMatchObject({ code: 'EBUSY' });
  });

  test.each(['an item', 'the rescuer', 'a worker that ends an item'] as const)('before %s has left it', (who) => {
    const stage = attributeStage();
    const item = stage.item(0);
    const pwq = stage.current();
    stage.real.write(item + Item.pwq, pwq);
    if (who === 'an item') stage.real.store(item + Item.state, PENDING);
    if (who === 'the rescuer') stage.real.store(pwq + Pwq.mayday, 1);
    if (who === 'a worker that ends an item') stage.real.store(stage.pool + Pool.latch, 2 << 2);
    destroy(stage);
    expect(isFreed(stage)).toBe(false);
    stage.real.store(stage.pool + Pool.latch, 0);
    stage.real.store(pwq + Pwq.mayday, 0);
    if (who === 'an item') {
      // It was published late, and runs.
      stage.poolAs(MAIN, stage.pool).queue(item, item);
      expect(stage.real.load(item + Item.state) & PHASE).toBe(PENDING);
      expect(stage.workOff(stage.pool)).toEqual([0]);
      stage.real.store(item + Item.state, FREE);
    }
    expect(stage.arenas[MAIN]!.objects.makeRoom()).toBe(true);
    expect(isFreed(stage)).toBe(true);
  });

  test('by a thread that dies at any step of it, and is lost or freed twice', () => {
    for (let k = 1; ; k++) {
      const stage = attributeStage();
      stage.apply(3);
      stage.real.store(stage.wq + Wq.state, CLOSED);
      const serial = stage.real.read(stage.wq + ObjectHeader.serial);
      const body = () => {
        stage.arenas[OTHER]!.objects.destroy(WQ_KIND, stage.wq, () => false);
        stage.arenas[MAIN]!.objects.acknowledge();
        stage.arenas[OTHER]!.objects.makeRoom();
      };
      if (!stage.killBefore(OTHER, step(k), body)) break;
      expect([k, stage.reap(MAIN)]).toEqual([k, 'done']);
      const { objects } = stage.arenas[MAIN]!;
      const isThere = () => {
        try {
          objects.reopen(WQ_KIND, stage.wq, serial);
          return true;
        } catch {
          return false;
        }
      };
      if (isThere()) objects.destroy(WQ_KIND, stage.wq, () => false);
      objects.makeRoom();
      expect([k, stage.arenas[MAIN]!.fsck()]).toEqual([k, []]);
      expect([k, isFreed(stage)]).toEqual([k, true]);
    }
  });
});

describe('on real threads', () => {
  function newArena(): Arena {
    const arena = Arena.create({ bytes: 8 << 20 });
    Workqueue.configure(arena, { slots: 2, maxWorkers: 3 });
    return arena;
  }
  const arena = newArena();

  test('attributes are those of no thread', async () => {
    const wq = new Workqueue(arena, 'attributes', { maxActive: 8 });
    const before = getPriority(osThread() || 0);
    expect(await wq.run(f.niceness)).toBe(before);
    wq.applyAttrs({ nice: 7, cpumask: [1] });
    expect(wq.attributes).toEqual({ nice: 7, cpumask: [1] });
    if (osThread() !== 0) expect(await wq.run(f.niceness)).toBe(7);
    const calls = Array.from({ length: 20 }, () => wq.run(f.add, 1, 2));
    wq.applyAttrs({});
    calls.push(...Array.from({ length: 20 }, () => wq.run(f.add, 1, 2)));
    await wq.flush();
    expect(wq.counts).toMatchObject({ active: 0, inactive: 0 });
    expect(await Promise.all(calls)).toEqual(calls.map(() => 3));
    expect(wq.statistics.ended).toBeGreaterThanOrEqual(40);
    // What was queued under other attributes is flushed as well.
    const gate = new Completion(arena, 'attributes');
    wq.applyAttrs({ nice: 7, cpumask: [1] });
    const held = wq.run(f.blockAsync, 'attributes');
    wq.applyAttrs({});
    let isOver = false;
    const flushed = wq.flush().then(() => {
      isOver = true;
    });
    for (let i = 0; i < 3; i++) await wq.run(f.add, 1, 2);
    expect(isOver).toBe(false);
    gate.completeAll();
    await Promise.all([held, flushed]);
    const ordered = new Workqueue(arena, 'ordered attributes', { ordered: true });
    expect(thrown(() => ordered.applyAttrs({ nice: 1 }))).toMatchObject({ code: 'EINVAL' });
    await Promise.all([wq.destroy(), ordered.destroy()]);
  });

  test('a queue that is destroyed answers still, or its name is lost, or its memory', async () => {
    const wq = new Workqueue(arena, 'gone');
    const again = new Workqueue(arena, 'gone');
    const late = new DelayedWork(arena, 'late', f.add, 1, 2);
    again.queueDelayedWork(late, 3_600_000);
    const call = wq.run(f.add, 1, 2);
    await wq.destroy();
    expect(await call).toBe(3);
    for (const view of [wq, again]) {
      await expect(view.run(f.add, 1, 2)).rejects.toMatchObject({ code: 'EINVAL' });
      await expect(view.flush()).rejects.toMatchObject({ code: 'EINVAL' });
      await expect(view.destroy()).rejects.toMatchObject({ code: 'EINVAL' });
      expect(thrown(() => view.statistics)).toMatchObject({ code: 'EINVAL' });
      expect(thrown(() => view.queueWork(late))).toMatchObject({ code: 'EINVAL' });
    }
    const bound = new Workqueue(arena, 'gone', { unbound: false });
    expect(await bound.run(f.add, 2, 2)).toBe(4);
    bound.destroySync();
    // A delayed work leads to it until then.
    expect(late.cancelWork()).toBe(true);
    late.destroy();
    new Mutex(arena, undefined).destroy();
    const { used } = arena.use();
    for (let i = 0; i < 50; i++) {
      const each = new Workqueue(arena, `passing ${i}`);
      each.applyAttrs({ nice: 1 });
      await each.destroy();
    }
    expect(arena.use().used).toBeLessThan(used + (64 << 10));
    expect(arena.fsck()).toEqual([]);
  });
});
