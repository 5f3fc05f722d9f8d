/**
 * Rooms' words in every thread's slot. This file loads the arena and no lock: so its threads know only the areas of the
 * rooms below.
 */
import { describe, expect, test } from 'vitest';
import { RealCpu } from '../../lib/machine/real.ts';
import { LINE_WORDS, struct } from '../../lib/memory/struct.ts';
import { Areas, LINE_AREAS, SHORT_AREAS } from '../../lib/sched/areas.ts';
import { Slot } from '../../lib/sched/slot.ts';
import { TASK_ALIGN, Task } from '../../lib/sched/task.ts';
import { stepper } from '../support/stepper.ts';

const memory = () => new RealCpu(new Int32Array(new SharedArrayBuffer(256)));

describe('a slot', () => {
  test('has areas that overlap, or tasks whose addresses have no room for flags', () => {
    expect(() => new Areas({ near: 2, far: 3 }, 0, 4)).toThrow('areas of 5 words do not fit in 4');
    expect([Slot.mainTask, Slot.words, Task.words].map((words) => words % TASK_ALIGN)).toEqual([0, 0, 0]);
    expect(Object.values(LINE_AREAS).filter((words) => words % LINE_WORDS !== 0)).toEqual([]);
  });

  test.each(Object.keys(LINE_AREAS).filter((name) => name !== 'holds'))(
    'is free again with a journal of a room in it that its reaper has not loaded: %s',
    (name) => {
      const { arenas, real, die, reap } = stepper(3);
      const { slot } = arenas[0]!.thread;
      const journal = slot + Slot.lineAreas + struct(LINE_AREAS)[name as keyof typeof LINE_AREAS];
      die(0);
      real.store(journal, 4711);
      expect(reap(1)).toBe('unknown');
      expect(real.load(journal)).toBe(4711);
      expect(real.load(slot + Slot.life)).toBeLessThan(0);
      real.store(journal, 0);
      expect(reap(1)).toBe('done');
      expect(real.load(slot + Slot.life)).toBe(0);
    },
  );

  test('loses the new block of its dead thread to a reaper that cannot tell what the block is for', () => {
    const { arenas, real, die, reap } = stepper(2);
    const [first, second] = arenas as [(typeof arenas)[0], (typeof arenas)[0]];
    const block = first.heap.alloc(8, first.thread.nascent);
    die(0);
    const spare = first.thread.slot + Slot.shortAreas + struct(SHORT_AREAS).piState;
    real.store(spare, block);
    expect(reap(1)).toBe('unknown');
    expect(second.use().blocks).toBe(1);
    expect(real.load(first.thread.nascent)).toBe(block);
  });
});

describe('areas', () => {
  const TABLE = { near: 2, far: 3 };

  test('lie elsewhere when another room is loaded first', () => {
    const [one, other] = [new Areas(TABLE, 4, 8), new Areas(TABLE, 4, 8)];
    const near = one.declare('near', { a: 1, b: 1 }, {});
    const far = one.declare('far', { c: 2, d: 1 }, {});
    expect(near).toEqual({ a: 4, b: 5 });
    expect(far).toEqual({ c: 6, d: 8 });
    expect(other.declare('far', { c: 2, d: 1 }, {})).toEqual(far);
    expect(other.declare('near', { a: 1, b: 1 }, {})).toEqual(near);
  });

  test('take words of their neighbours, or are declared twice', () => {
    const areas = new Areas(TABLE, 0, 8);
    expect(() => areas.declare('near', { a: 3 }, {})).toThrow('the area near has 2 words');
    areas.declare('near', { a: 2 }, {});
    expect(() => areas.declare('near', { a: 2 }, {})).toThrow('is declared once');
  });

  test('are known while one that is in use is not', () => {
    const cpu = memory();
    const areas = new Areas(TABLE, 4, 8);
    areas.declare('near', { a: 2 }, {});
    cpu.store(10 + 4, 1);
    expect(areas.areKnown(cpu, 10)).toBe(true);
    cpu.store(10 + 8, 1);
    expect(areas.areKnown(cpu, 10)).toBe(false);
  });

  test('are not vacated, or lose a block that leads from them', () => {
    const cpu = memory();
    const areas = new Areas(TABLE, 4, 8);
    const near = areas.declare('near', { a: 1, b: 1 }, { vacate: (to, base) => to.store(base + near.a, 0) });
    const far = areas.declare(
      'far',
      { c: 3 },
      { keeps: (to, base, block): boolean => to.load(base + far.c) === block },
    );
    cpu.store(10 + near.a, 1);
    cpu.store(10 + far.c, 77);
    areas.vacate(cpu, 10);
    expect([near.a, far.c].map((field) => cpu.load(10 + field))).toEqual([0, 77]);
    expect([77, 78].map((block) => areas.keeps(cpu, 10, block))).toEqual([true, false]);
  });
});
