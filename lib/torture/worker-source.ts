/**
 * How the run starts its workers. From the sources, spawnWorker takes half a second of processor time for each, which
 * is too much for a run that kills ten in a second; so the entry is bundled once, and started from memory.
 */
import { fileURLToPath } from 'node:url';
import { setEnvironmentData, type Worker } from 'node:worker_threads';
import { spawnWorker, workerEntry } from '../arena/spawn.ts';

/** What `spawnFrom` starts: a URL. Strings can be passed on to threads that start threads. */
export async function prepareWorkers(name: 'torture' | 'rcutorture' = 'torture'): Promise<string> {
  const entry = workerEntry(name);
  if (!entry.pathname.endsWith('.ts')) return entry.href;
  // A bundle in memory has no neighbours; all threads that are started from here on inherit this.
  for (const other of ['kthreadd', 'torture-items']) {
    const neighbour = workerEntry(other);
    if (neighbour.protocol === 'file:') setEnvironmentData(`holdfast:${other}`, await inMemory(neighbour));
  }
  return inMemory(entry);
}

async function inMemory(entry: URL): Promise<string> {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    minify: true,
  });
  return `data:text/javascript,${encodeURIComponent(outputFiles[0]?.text ?? '')}`;
}

export function spawnFrom(source: string, name: string): Worker {
  return spawnWorker(new URL(source), { name });
}
