import { fileURLToPath, pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
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

describe('a search that its time limit has stopped', () => {
  const SEARCHES = {
    'without deaths': [source('futexMutex', 3), { model: 'armv8' }],
    'with deaths': [source('racers', 2, 2), { model: 'sc', kill: true }],
  } as const;

  test.each(Object.entries(SEARCHES))(
    'goes on where it was, and sees each execution once: %s',
    async (_, [program, options]) => {
      const { executions, blocked, points } = await exploreParallel(program, options, 2);
      let from: unknown;
      let verdict = '';
      // The first ones hardly begin.
      for (const timeLimit of [1, 300, 1_000_000]) {
        const save = (checkpoint: unknown) => {
          from = checkpoint === undefined ? undefined : JSON.parse(JSON.stringify(checkpoint));
        };
        const result = await exploreParallel(program, { ...options, timeLimit }, 2, undefined, { from, save });
        verdict = result.verdict;
        if (verdict === 'incomplete') continue;
        expect(result).toMatchObject({ verdict: 'ok', complete: true, executions, blocked, points });
        expect(from).toBeUndefined();
        break;
      }
      expect(verdict).toBe('ok');
    },
  );

  test('goes on as another one, or as a walk', async () => {
    let kept: unknown;
    const save = (checkpoint: unknown) => {
      kept = checkpoint;
    };
    const options = { model: 'armv8', timeLimit: 1 } as const;
    await exploreParallel(source('mcs', 5), { ...options, symmetry: false }, 1, undefined, { save });
    expect(kept).toBeDefined();
    const go = (name: string, count: number, more: object, from: unknown = kept) =>
      exploreParallel(source(name, count), { ...options, ...more }, 1, undefined, { from, save });
    await expect(go('mcs', 4, { symmetry: false })).rejects.toThrow(/another search/);
    await expect(go('mcs', 5, {})).rejects.toThrow(/another search/);
    await expect(go('mcs', 5, { symmetry: false }, { format: 7 })).rejects.toThrow(/no checkpoint of format 1/);
    await expect(go('mcs', 5, { mode: 'random' })).rejects.toThrow(/another seed/);
    await expect(go('mcs', 5, { executions: 5 })).rejects.toThrow(/expected a time limit/);
  });
});
