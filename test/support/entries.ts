/** What a test's threads are started from. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { inject } from 'vitest';

const SOURCES = new URL('./thread.ts', import.meta.url);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const made = new Map<string, URL>();

/**
 * The entry of a thread that calls functions of `module`. From the sources a thread takes 0.7 s of processor time to start,
 * most of it for tsx, and a tenth of that from one file; so the module is bundled, once for each test file. Modules of a test
 * that tell others where they are, so that these load them, have to be where they say: such a thread starts from the sources.
 */
export function entryFor(module: string): URL {
  let entry = made.get(module);
  if (entry === undefined) made.set(module, (entry = makeEntry(module)));
  return entry;
}

function makeEntry(module: string): URL {
  const file = fileURLToPath(module);
  const library = join(ROOT, 'lib');
  const contents = `
    import { parentPort, workerData } from 'node:worker_threads';
    import { Arena } from ${JSON.stringify(`${library}/index.ts`)};
    import * as functions from ${JSON.stringify(file)};
    const { arena, name, args } = workerData;
    const result = await functions[name](Arena.attach(arena), ...args);
    parentPort?.postMessage({ result });
  `;
  const { outputFiles, metafile } = buildSync({
    stdin: { contents, resolveDir: library },
    absWorkingDir: ROOT,
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: true,
    // The library finds its own threads' entries from where it is, and tsx for them.
    define: {
      'import.meta.url': JSON.stringify(new URL('../../lib/arena/spawn.ts', import.meta.url).href),
      'import.meta.resolve': 'resolveHere',
    },
    banner: { js: `const resolveHere = () => ${JSON.stringify(import.meta.resolve('tsx/esm/api'))};` },
  });
  const ofTest = Object.keys(metafile.inputs).filter((input) => input.startsWith('test/'));
  if (ofTest.some((input) => readFileSync(join(ROOT, input), 'utf8').includes('import.meta'))) return SOURCES;
  const entry = join(inject('threads'), `${process.pid}-${made.size}.mjs`);
  writeFileSync(entry, outputFiles[0]?.text ?? '');
  return pathToFileURL(entry);
}
