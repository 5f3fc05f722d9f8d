/**
 * npm run build: what the package ships. Each entry (the library, `holdfast/explore`, `holdfast/litmus`, the command,
 * each thread entry in `workers/`) is one file in `dist`, over a few chunks that they share: a worker that loads one
 * file instead of seventy starts in a quarter of the time, and one that is killed while it loads leaks few of Node's
 * open files. All files lie flat in `dist` and `dist/workers`, so that a chunk finds the thread entries beside itself.
 *
 * The packages that the command uses are bundled too, with their licences in `dist/LICENSES.txt`: installing holdfast
 * adds one package.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Metafile, transformSync } from 'esbuild';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** The plots of reports go into them as they are; see `lib/torture/report.ts`. */
const PLOT_FILES = ['uPlot.iife.min.js', 'uPlot.min.css'];

const TARGET = 'node20.19';

const ENTRIES = {
  index: 'lib/index.ts',
  explore: 'native-sim/explore/index.ts',
  litmus: 'native-sim/litmus/index.ts',
  profile: 'lib/debug/profile/preload.ts',
  reports: 'lib/debug/reports/formats.ts',
  holdfast: 'lib/cli/holdfast.ts',
};

/** Writes the JavaScript of the package to `dist`; declarations are tsc's part. */
export async function bundle(dist: string): Promise<void> {
  const workers = readdirSync(join(ROOT, 'workers')).map((file) => [
    `workers/${basename(file, '.ts')}`,
    `workers/${file}`,
  ]);
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: { ...ENTRIES, ...Object.fromEntries(workers) },
    outdir: dist,
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: TARGET,
    // What only the sources need: they load TypeScript and bundle their workers as they go.
    external: ['esbuild', 'tsx'],
    minifyWhitespace: true,
    minifySyntax: true,
    sourcemap: 'linked',
    metafile: true,
    logLevel: 'warning',
  });
  for (const [file, output] of Object.entries(metafile.outputs)) {
    if (file.endsWith('.js')) finish(resolve(ROOT, file), Object.keys(output.inputs));
  }
  mkdirSync(join(dist, 'plots'));
  for (const file of PLOT_FILES) copyFileSync(require.resolve(`uplot/dist/${file}`), join(dist, 'plots', file));
  writeFileSync(join(dist, 'LICENSES.txt'), licences(metafile));
}

/**
 * The library keeps its names, and its source map with the sources: its frames stand in the stacks of services. The tools
 * have neither; their maps would be most of the package.
 */
function finish(file: string, inputs: readonly string[]): void {
  let code = readFileSync(file, 'utf8');
  // The command's packages are CommonJS, and esbuild's stand-in for `require` looks for a real one.
  if (code.includes('__require='))
    code = `import{createRequire}from"node:module";const require=createRequire(import.meta.url);${code}`;
  if (!inputs.some((input) => /^lib\/(?!cli|torture|debug\/reports)/.test(input))) {
    rmSync(`${file}.map`);
    code = code.replace(/^\/\/# sourceMappingURL=.*$/m, '');
    code = transformSync(code, { format: 'esm', target: TARGET, minify: true }).code;
  }
  writeFileSync(file, code);
}

/** Of every package that a bundle holds a part of. */
function licences({ inputs }: Metafile): string {
  const packages = new Set(['uplot']);
  for (const path of Object.keys(inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
    if (name !== undefined) packages.add(name);
  }
  return [...packages]
    .sort()
    .map(licenceOf)
    .join(`\n${'-'.repeat(80)}\n\n`);
}

function licenceOf(name: string): string {
  const folder = join(ROOT, 'node_modules', name);
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (file === undefined) throw new Error(`${name} comes without the text of its licence`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8')}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = join(ROOT, 'dist');
  rmSync(dist, { recursive: true, force: true });
  execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  await bundle(dist);
}
