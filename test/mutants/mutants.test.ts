import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Mutant, mutated } from './mutant.ts';

const ROOT = new URL('../../', import.meta.url);
const rooms = readdirSync(new URL('./rooms', import.meta.url));

test.each(rooms)('%s: a mutant has lost the code that it changes, or its tests', async (room) => {
  const { mutants } = (await import(`./rooms/${room}`)) as { mutants: readonly Mutant[] };
  expect(mutants.length).toBeGreaterThan(0);
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  for (const mutant of mutants) {
    const text = readFileSync(new URL(mutant.file, ROOT), 'utf8');
    expect(mutated(text, mutant)).not.toBe(text);
    for (const path of mutant.tests) expect(existsSync(new URL(path, ROOT)), path).toBe(true);
    expect(mutant.tests.length).toBeGreaterThan(0);
  }
});
