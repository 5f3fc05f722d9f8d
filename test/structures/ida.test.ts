import { expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { IDA_MAX, Ida } from '../../lib/structures/xarray/ida.ts';
import { thrown } from '../support/threads.ts';
import { randomFrom } from './xarray-model.ts';

const make = () => new Ida(Arena.create({ bytes: 4 << 20 }));

test('an id that is given out is not the lowest free one', () => {
  const ida = make();
  const random = randomFrom(3);
  const used = new Set<number>();
  for (let step = 0; step < 3000; step++) {
    if (random(5) < 3) {
      const first = random(4) === 0 ? random(3000) : 0;
      let lowest = first;
      while (used.has(lowest)) lowest++;
      expect(ida.alloc({ first })).toBe(lowest);
      used.add(lowest);
    } else {
      const id = [...used][random(used.size)] ?? 0;
      if (used.delete(id)) ida.free(id);
    }
  }
  expect([...ida]).toEqual([...used].sort((a, b) => a - b));
  for (const id of used) {
    expect(ida.has(id)).toBe(true);
    ida.free(id);
  }
  expect(ida.empty).toBe(true);
});

test('limits, full ranges, ids that are not in use', () => {
  const ida = make();
  expect(ida.alloc({ first: IDA_MAX })).toBe(IDA_MAX);
  expect(thrown(() => ida.alloc({ first: IDA_MAX })).code).toBe('EBUSY');
  for (let id = 40; id <= 99; id++) expect(ida.alloc({ first: 40, last: 99 })).toBe(id);
  expect(thrown(() => ida.alloc({ first: 40, last: 99 })).code).toBe('EBUSY');
  ida.free(62);
  expect(ida.alloc({ first: 40, last: 99 })).toBe(62);
  expect(thrown(() => ida.free(3)).message).toMatch(/id 3 of the ida at \d+ is not in use/);
  for (const bad of [-1, 1.5, IDA_MAX + 1]) expect(thrown(() => ida.free(bad)).code).toBe('EINVAL');
  expect(thrown(() => ida.alloc({ first: 9, last: 8 })).code).toBe('EINVAL');
  ida.destroy();
});
