import { expect, test } from 'vitest';
import { PerCpu } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

test('threads write on one another', () => {
  const { arenas } = stepper(3);
  const variables = arenas.map((arena) => new PerCpu(arena, 'v')) as [PerCpu, PerCpu, PerCpu];
  const [first] = variables;
  for (const [number, { mine }] of variables.entries()) {
    expect(mine).toBe(first.of(number));
    expect(mine % PerCpu.words).toBe(0);
    for (let word = 0; word < PerCpu.words; word++) {
      expect(arenas[0]?.words[mine + word]).toBe(0);
      arenas[0]!.words[mine + word] = (word - 7) * (number + 1);
    }
  }
  for (let word = 0; word < PerCpu.words; word++) expect(first.sum(word)).toBe((word - 7) * 6);
  expect(first.sum()).toBe(-42);
});

test('numbers that no thread or word has', () => {
  const { arenas } = stepper(2);
  const variables = new PerCpu(arenas[0]!, 'v');
  for (const bad of [-1, 0.5, 1e6, '0' as never]) {
    expect(thrown(() => variables.of(bad)).code).toBe('EINVAL');
    expect(thrown(() => variables.sum(bad)).code).toBe('EINVAL');
  }
});
