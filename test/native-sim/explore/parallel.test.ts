import { fileURLToPath, pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { explore } from '../../../native-sim/explore/explore.ts';
import { exploreParallel, loadProgram } from '../../../native-sim/explore/parallel.ts';
import { futexMutex, mcs } from './programs/locks.ts';

const source = (name: string, ...args: unknown[]) => ({
  module: pathToFileURL(fileURLToPath(new URL('./programs/locks.ts', import.meta.url))).href,
  export: name,
  arguments: args,
});

test('shared among workers, no execution is lost or seen twice', async () => {
  const alone = await explore({ ...futexMutex(3), model: 'armv8' });
  const shared = await exploreParallel(source('futexMutex', 3), { model: 'armv8' }, 2);
  expect(shared).toMatchObject({ verdict: 'ok', complete: true, executions: alone.executions, blocked: alone.blocked });
});

test('a failure in a worker comes back with its counterexample', async () => {
  const result = await exploreParallel(source('racyTtas', 3), { model: 'armv8', mode: 'random', executions: 2000 }, 2);
  expect(result.verdict).toBe('failure');
  expect(result.failure?.threads[0]?.[0]?.site?.file).toMatch(/locks\.ts$/);
});

test('random executions are shared out', async () => {
  const result = await exploreParallel(source('ttas', 3), { model: 'armv8', mode: 'random', executions: 200 }, 2);
  expect(result).toMatchObject({ verdict: 'ok', complete: false, executions: 200 });
});

test('an export that is no program is named', async () => {
  await expect(loadProgram(source('nothing'))).rejects.toThrow(/no export nothing that is a program.*exports .*mcs/);
});

test('a death on a way that is found late is not given up, and no death is in random mode', async () => {
  for (const mode of ['exhaustive', 'random'] as const) {
    const options = { kill: { threads: [0] }, mode, executions: mode === 'random' ? 100 : 1e6 };
    const result = await exploreParallel(source('rareDeath'), options, 2);
    expect(result.failure?.message, mode).toMatch(/died between the two stores/);
  }
});

test.each([1, 2])('a search bounded to %i revisits in a row is the same when it is shared', async (bound) => {
  const options = { mode: 'bounded', bound } as const;
  const { executions, blocked } = await explore({ ...mcs(4), ...options });
  expect(await exploreParallel(source('mcs', 4), options, 2)).toMatchObject({ executions, blocked });
});
