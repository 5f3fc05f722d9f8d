/**
 * How the run starts its workers. From the sources, spawnWorker takes half a second of processor time for each, which
 * is too much for a run that kills ten in a second; so the entry is bundled once, and started from memory.
 */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { workerEntry } from '../spawn-worker.ts';

export type Spawn = () => Worker;

export async function prepareWorkers(): Promise<Spawn> {
  const entry = workerEntry('torture');
  if (!entry.pathname.endsWith('.ts')) return () => new Worker(entry);
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: false,
  });
  const source = new URL(`data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? '')}`);
  return () => new Worker(source);
}
