import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a worker from a module of this package. From the sources the module is TypeScript, which a bare Worker does
 * not load on all versions of Node; a bootstrap registers tsx first.
 */
export function spawnWorker(entry: URL, options: WorkerOptions = {}): Worker {
  if (!entry.pathname.endsWith('.ts')) return new Worker(entry, options);
  const bootstrap = `
    import { register } from ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};
    register();
    await import(${JSON.stringify(entry.href)});
  `;
  return new Worker(new URL(`data:text/javascript,${encodeURIComponent(bootstrap)}`), options);
}

/** The URL of a thread entry in `workers/`, next to this package's `lib/`, in the form that is running. */
export function workerEntry(name: string): URL {
  const fromSource = import.meta.url.endsWith('.ts');
  return new URL(fromSource ? `../../workers/${name}.ts` : `./workers/${name}.js`, import.meta.url);
}
