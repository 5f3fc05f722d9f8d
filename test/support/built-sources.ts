/**
 * What the tests' threads run: the sources, built once for each run of the tests. A thread that starts from the sources takes
 * 0.7 s of processor time, most of it for tsx and for the thread of its own in which tsx resolves modules; one that starts
 * from these files takes 0.08 s.
 *
 * Each built module believes that it is where its source is, and what imports a source by its URL gets the built one. So a
 * thread has each module once, whether other modules import it or a task in the arena names it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const LIBRARY = join(ROOT, 'lib/index.ts');

/** Has few modules of the library, and is cut out of it. All others load all of it: else it would be cut into dozens of files. */
const APART = /^workers\/(explore|litmus|sim)\.ts$|^test\/native-sim\//;

/** A run of a torture starts dozens of these, which import nothing by its URL: each is one small file. */
const ALONE = ['workers/rcutorture.ts', 'workers/torture.ts'];

/** What else is started, or imported by its URL. */
function entryFiles(): string[] {
  const below = (folder: string) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`);
  return [
    ...below('workers').filter((file) => !ALONE.includes(file)),
    ...below('test').filter((file) => file.endsWith('.threads.ts')),
    'lib/cli/holdfast.ts',
    'lib/debug/reports/formats.ts',
    'test/native-sim/explore/programs/locks.ts',
    'test/support/thread.ts',
    'test/workqueue/functions.ts',
  ];
}

export interface Built {
  /** The URLs of what starts a thread, by the name under which it is looked for in the environment data. */
  readonly entries: Record<string, string>;
  /** Arguments of Node that run the `holdfast` command. */
  readonly command: string[];
}

/** Writes the built entries to `folder`. */
export async function buildSources(folder: string): Promise<Built> {
  const entryPoints = entryFiles();
  const built = (entry: string) => pathToFileURL(join(folder, entry.replace(/\.ts$/, '.js'))).href;
  const common = {
    absWorkingDir: ROOT,
    outbase: ROOT,
    outdir: folder,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['esbuild', 'tsx'],
    // For packages that are CommonJS.
    banner: {
      js: `import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(${hrefOf(LIBRARY)});`,
    },
    logLevel: 'warning',
  } satisfies BuildOptions;
  const plugins = [inPlace(Object.fromEntries(entryPoints.map((entry) => [entry, built(entry)])))];
  await Promise.all([
    build({ ...common, entryPoints, plugins, splitting: true, sourcemap: 'linked', sourcesContent: false }),
    build({ ...common, entryPoints: ALONE, plugins: [inPlace({})], minify: true }),
  ]);
  const threads = [...ALONE, ...entryPoints.filter((entry) => entry.startsWith('workers/'))];
  const entries = {
    ...Object.fromEntries(threads.map((entry) => [`holdfast:${basename(entry, '.ts')}`, built(entry)])),
    // Counterexamples say where in the sources an operation is.
    'holdfast:explore': program(`process.setSourceMapsEnabled(true); await import('${built('workers/explore.ts')}');`),
    'holdfast:test/thread': built('test/support/thread.ts'),
  };
  // The command's threads, too, start from what is built.
  const preload = program(`import { setEnvironmentData } from 'node:worker_threads';
    for (const [name, url] of Object.entries(${JSON.stringify(entries)})) setEnvironmentData(name, url);`);
  return { entries, command: ['--import', preload, fileURLToPath(built('lib/cli/holdfast.ts'))] };
}

function program(code: string): string {
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

/** As code. */
function hrefOf(path: string): string {
  return JSON.stringify(pathToFileURL(path).href);
}

/** `import(url)`, where the URL is computed. */
const IMPORT = /\bimport\((?:\/\*.*\*\/ )?(\w+(?:\.\w+)*)\)/g;

/** Modules are where their sources are, for themselves and for those that import them by a URL. */
function inPlace(built: Readonly<Record<string, string>>): Plugin {
  const tsx = hrefOf(
    createRequire(import.meta.url)
      .resolve('tsx/package.json')
      .replace('package.json', 'dist/esm/api/index.mjs'),
  );
  const whole = new Set(Object.keys(built).filter((entry) => !APART.test(entry)));
  const urls = Object.entries(built).map(([entry, url]) => [pathToFileURL(join(ROOT, entry)).href, url]);
  return {
    name: 'in-place',
    setup({ onLoad, onResolve }) {
      onResolve({ filter: /^built$/ }, () => ({ path: 'built', namespace: 'built' }));
      onLoad({ filter: /.*/, namespace: 'built' }, () => ({
        contents: `const built = new Map(${JSON.stringify(urls)}); export const builtFor = (url) => built.get(url) ?? url;`,
      }));
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!path.startsWith(ROOT) || path.includes('/node_modules/')) return undefined;
        const source = readFileSync(path, 'utf8');
        let contents = source
          .replaceAll("import.meta.resolve('tsx/esm/api')", tsx)
          .replaceAll('import.meta.url', hrefOf(path))
          .replaceAll(IMPORT, 'import(builtFor($1))');
        if (contents.includes('builtFor(')) contents += "\nimport { builtFor } from 'built';";
        if (whole.has(path.slice(ROOT.length))) contents += `\nimport ${JSON.stringify(LIBRARY)};`;
        return { contents, loader: 'ts', resolveDir: dirname(path) };
      });
    },
  };
}
