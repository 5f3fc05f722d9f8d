/** `holdfast explore`, asked for what it cannot do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, expect, test } from 'vitest';
import { registerExplore } from '../../../lib/cli/explore.ts';
import { type ExploreOptions, explore } from '../../../native-sim/explore/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'holdfast-explore-'));
const module = join(folder, 'programs.mjs');
const garbage = join(folder, 'garbage.json');
writeFileSync(
  module,
  `export const works = { words: 1, threads: [(cpu) => cpu.store(0, 1)] };
   export const idle = { words: 1, threads: [() => {}] };
   export const wordless = { threads: [(cpu) => cpu.store(0, 1)] };
   export const number = 5;
   export const throws = () => { throw new Error('of the program'); };`,
);
writeFileSync(garbage, 'garbage');
afterAll(() => rmSync(folder, { recursive: true }));

/** What the command says before it ends; what it throws if that is no error of its usage. */
async function refusal(...args: string[]): Promise<string> {
  let said = '';
  const program = new Command().exitOverride().configureOutput({ writeErr: (text) => (said += text) });
  registerExplore(program);
  const options = ['--workers', '1', '--json'];
  await program.parseAsync(['explore', ...args, ...options], { from: 'user' }).catch((error) => {
    if (!String(error.code).startsWith('commander.')) throw error;
  });
  return said;
}

test.each([
  ['a module that is not there', [join(folder, 'absent.mjs'), 'works'], 'absent.mjs: no such file'],
  ['a folder', [folder, 'works'], 'no such file'],
  ['an export that is not there', [module, 'absent'], 'has no export absent'],
  ['an export that is no program', [module, 'number'], 'has no export number that is a program'],
  ['a program without words', [module, 'wordless'], 'a program has words'],
  ['a program that does not use its Cpu', [module, 'idle'], 'no thread has used its Cpu'],
  [
    'a checkpoint of several searches',
    [module, 'works', '--checkpoint', 'c', '--weaken'],
    'a checkpoint is of one search',
  ],
  ['a checkpoint that is none', [module, 'works', '--checkpoint', garbage], 'garbage.json: '],
])('%s: a stack trace, or nothing at all', async (_, args, text) => {
  const said = await refusal(...args);
  expect(said).toMatch(/^error: /);
  expect(said).toContain(text);
  expect(said.trim().split('\n').length).toBe(1);
});

test('an error of the program itself without its stack', async () => {
  await expect(refusal(module, 'throws')).rejects.toThrow('of the program');
});

test.each([
  undefined,
  {},
  { words: 0, threads: [() => {}] },
  { words: 1 },
  { words: 1, threads: [] },
  { words: 1, threads: [1] },
])('explore of what is no program: a TypeError from the middle of the search (%j)', async (program) => {
  await expect(explore(program as unknown as ExploreOptions)).rejects.toThrow(/^explore: a program has /);
});
