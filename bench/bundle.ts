/**
 * The suites and their threads as JavaScript, bundled once for each run: a thread that compiled the library itself would
 * need a second of processor time and more before it starts, and a suite starts dozens.
 */
import { mkdirSync, mkdtempSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** What is started by its name: `suite` in a process, the others in threads. */
const ENTRIES = [
  'suite',
  'contender',
  'inversion-thread',
  'sets-thread',
  'flags-thread',
  'rcu-scale-thread',
  'pool-work',
  'pool-piscina',
];

/** Writes the bundle, and returns the folder that it is in: in the project, where it finds the packages of the peers. */
export async function bundle(): Promise<string> {
  const cache = join(ROOT, '.cache');
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, 'bench-'));
  const workers = readdirSync(join(ROOT, 'workers')).map((file) => basename(file, '.ts'));
  await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries([
      ...ENTRIES.map((name) => [name, `bench/${name}.ts`]),
      ...workers.map((name) => [`workers/${name}`, `workers/${name}.ts`]),
    ]),
    outdir: folder,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
  return folder;
}
