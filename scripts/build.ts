/**
 * npm run build: what the package ships. Each entry (the library, `holdfast/explore`, `holdfast/litmus`, the command,
 * each thread entry in `workers/`) is one file in `dist`, over a few chunks that they share: a worker that loads five
 * files instead of seventy starts in a quarter of the time, and one that is killed while it loads leaks few of Node's
 * open files. All files lie flat in `dist` and `dist/workers`, so that a chunk finds the thread entries beside itself.
 *
 * The packages that the command uses are bundled too, with their licences in `dist/LICENSES.txt`: installing holdfast
 * adds one package. All of it stays under 2 MB (`test/examples/packed.test.ts`).
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { decode, encode } from '@jridgewell/sourcemap-codec';
import { build, type Metafile, type Plugin, transformSync } from 'esbuild';
import { rollup } from 'rollup';
import { dts } from 'rollup-plugin-dts';
import { minify } from 'terser';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** What draws the plots of reports, compressed; see `lib/torture/report.ts`. */
const PLOT_FILES = ['uPlot.iife.min.js', 'uPlot.min.css'];

const TARGET = 'node20.19';

const ENTRIES = {
  index: 'lib/index.ts',
  explore: 'native-sim/explore/index.ts',
  litmus: 'native-sim/litmus/index.ts',
  profile: 'lib/debug/profile/preload.ts',
  trace: 'lib/debug/trace/preload.ts',
  reports: 'lib/debug/reports/formats.ts',
  holdfast: 'lib/cli/holdfast.ts',
};

/** The entries for which there are types, one file each. */
const TYPED = ['index', 'explore', 'litmus', 'profile'] as const;

/**
 * The entries that use parts of the library load all of it. Else the bundler would cut the library at the borders of all
 * these parts, and a worker's `import 'holdfast'` would open fourteen files.
 */
const WHOLE = [
  'profile',
  'trace',
  'reports',
  'holdfast',
  'workers/torture',
  'workers/torture-items',
  'workers/rcutorture',
  'workers/sim',
];

function wholeLibrary(entries: Readonly<Record<string, string>>): Plugin {
  const files = new Set(WHOLE.map((name) => join(ROOT, entries[name]!)));
  return {
    name: 'whole-library',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        if (!files.has(path)) return undefined;
        const source = readFileSync(path, 'utf8');
        const library = JSON.stringify(join(ROOT, ENTRIES.index));
        return { contents: `${source}\nimport ${library};`, loader: 'ts', resolveDir: dirname(path) };
      });
    },
  };
}

/**
 * Parts of the command's packages that would be dead weight. The engine knows by itself what an emoji is, and tables have
 * no colours of their own: cli-table3 does without the package for them when it can't load it.
 */
const smallerPackages: Plugin = {
  name: 'smaller-packages',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^@colors\/colors/ }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /node_modules\/emoji-regex\/index\.js$/ }, () => ({
      contents: 'module.exports = () => /\\p{RGI_Emoji}/gv',
    }));
  },
};

/**
 * A package is no TypeScript, so what asks for that is a constant, and code that only the sources need is dropped: an application's
 * bundler would look for the packages that it names, and in a CommonJS module there is no `import.meta`.
 */
const noSources: Plugin = {
  name: 'no-sources',
  setup({ onLoad }) {
    onLoad({ filter: /\/lib\/arena\/spawn\.ts$/ }, ({ path }) => {
      const source = readFileSync(path, 'utf8');
      const [declared] = /const FROM_SOURCE = .*/.exec(source)!;
      return { contents: source.replace(declared, '').replaceAll('FROM_SOURCE', 'false'), loader: 'ts' };
    });
  },
};

/** Writes the JavaScript of the package to `dist`. */
export async function bundle(dist: string): Promise<void> {
  const workers = readdirSync(join(ROOT, 'workers')).map((file) => [
    `workers/${basename(file, '.ts')}`,
    `workers/${file}`,
  ]);
  const entryPoints: Record<string, string> = { ...ENTRIES, ...Object.fromEntries(workers) };
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints,
    plugins: [wholeLibrary(entryPoints), smallerPackages, noSources],
    outdir: dist,
    chunkNames: 'chunk-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: TARGET,
    // What only the sources need: they load TypeScript and bundle their workers as they go.
    external: ['esbuild', 'tsx'],
    minifySyntax: true,
    sourcemap: 'linked',
    sourcesContent: false,
    metafile: true,
    logLevel: 'warning',
  });
  for (const [file, output] of Object.entries(metafile.outputs)) {
    if (file.endsWith('.js')) await finish(resolve(ROOT, file), dist, Object.keys(output.inputs));
  }
  mkdirSync(join(dist, 'plots'));
  for (const file of PLOT_FILES) {
    writeFileSync(
      join(dist, 'plots', `${file}.br`),
      brotliCompressSync(readFileSync(require.resolve(`uplot/dist/${file}`))),
    );
  }
  writeFileSync(join(dist, 'LICENSES.txt'), licences(metafile));
}

/** For an error that nobody catches Node prints the whole line of code that threw it, so lines are short. */
const LINE = 500;

/** What tells an application's bundler to leave an import to Node. */
const BUNDLERS = /webpackIgnore|@vite-ignore/;

/** The library's frames stand in the stacks of services, so it keeps its names and has a source map. The tools have neither. */
async function finish(file: string, dist: string, inputs: readonly string[]): Promise<void> {
  const map = readFileSync(`${file}.map`, 'utf8');
  rmSync(`${file}.map`);
  let code = constant(readFileSync(file, 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, ''));
  // The command's packages are CommonJS, and esbuild's stand-in for `require` looks for a real one.
  if (code.includes('__require = ')) {
    // Not before it is called: an application's bundler may make a CommonJS module of it, without `import.meta`.
    code = `import nodeModule from 'node:module'; const require = (id) => nodeModule.createRequire(import.meta.url)(id); ${code}`;
  }
  if (inputs.some((input) => /^lib\/(?!cli|torture|debug\/reports)/.test(input)))
    await finishLibrary(file, dist, code, map);
  else writeFileSync(file, transformSync(code, { format: 'esm', target: TARGET, minify: true, lineLimit: LINE }).code);
}

/**
 * The bundler makes `var` of each `const` of a module. V8 reads the fields of such a variable anew after each atomic, and of
 * a constant it knows them. So the tables of offsets are constants, and what a module keeps of one for its fast paths: a third of
 * what a pair of PercpuRwSemaphore takes. The bundler joins declarations that follow each other; the first one decides.
 */
function constant(code: string): string {
  return code.replace(/^var (\w+) = (?=(?:struct|slotArea|taskArea)\(|[A-Z]\w+\.\w+[,;])/gm, 'const $1 = ');
}

/** Names that a stack or a debugger shows are kept, those of classes and functions; local ones are not. */
async function finishLibrary(file: string, dist: string, code: string, map: string): Promise<void> {
  const mangle = { module: false, toplevel: true, keep_classnames: true, keep_fnames: true };
  const url = `${basename(file)}.map`;
  const minified = await minify(named(code), {
    module: true,
    compress: false,
    mangle,
    format: { max_line_len: LINE, comments: BUNDLERS },
    sourceMap: { content: map, url },
  });
  writeFileSync(file, minified.code!);
  writeFileSync(`${file}.map`, linesOf(minified.map as string, dirname(file), dist));
}

/** The bundler makes `var Mutex = class _Mutex` of a class that names itself; a stack and an inspector would show that. */
function named(code: string): string {
  const classes = [...code.matchAll(/\b(\w+) = class _\1\b/g)];
  return classes.reduce((text, [, name]) => text.replace(new RegExp(`\\b_${name}\\b`, 'g'), name!), code);
}

/**
 * A source map to the lines that call something, not to places in them, and without the sources. The frames of a stack are
 * calls; with everything, the maps would be larger than all else in the package. Its paths are those of `npm run build`,
 * wherever `dist` is.
 */
function linesOf(map: string, folder: string, dist: string): string {
  const { mappings, ...rest } = JSON.parse(map) as { mappings: string; sources: string[] };
  const files = rest.sources.map((source) => resolve(folder, source));
  const sources = files.map((file) => readFileSync(file, 'utf8').split('\n'));
  const calls = (source = 0, line = 0) => sources[source]?.[line]?.includes('(');
  const lines = decode(mappings).map((segments) => {
    let before = '';
    const first = segments.filter(
      ([, source, line]) => calls(source, line) && before !== (before = `${source}:${line}`),
    );
    return first.map((segment) => segment.slice(0, 4) as typeof segment);
  });
  const packed = join(ROOT, 'dist', relative(dist, folder));
  const paths = files.map((file) => relative(packed, file));
  return JSON.stringify({ ...rest, sources: paths, names: [], mappings: encode(lines) });
}

/** What is said at the head of a source file belongs to no declaration: no editor shows it. */
const HEADS = /^\/\*\*(?:[^*]|\*(?!\/))*\*\/\n\n/gm;

/** The types of each entry in one file: what its signatures name, and nothing else of the house. */
export async function bundleTypes(dist: string): Promise<void> {
  const input = Object.fromEntries(TYPED.map((name) => [name, join(ROOT, ENTRIES[name])]));
  const tsconfig = join(ROOT, 'tsconfig.build.json');
  const bundle = await rollup({
    input,
    plugins: [dts({ tsconfig })],
    external: [/^node:/],
    onwarn(warning, warn) {
      // An entry that is imported for what it does has no types.
      if (warning.code !== 'EMPTY_BUNDLE') warn(warning);
    },
  });
  const { output } = await bundle.write({
    dir: dist,
    entryFileNames: '[name].d.ts',
    chunkFileNames: 'types-[hash].d.ts',
  });
  for (const { fileName } of output) {
    const file = join(dist, fileName);
    const types = readFileSync(file, 'utf8').replace(HEADS, '');
    writeFileSync(
      file,
      types.replace(/^ +(?=\*)/gm, '').replace(/^(?: {4})+/gm, (indent) => ' '.repeat(indent.length / 4)),
    );
  }
}

/** What the MIT licence grants and disclaims, in whatever lines a package breaks it. */
const MIT = /Permission is hereby granted, free of charge,[\s\S]*?DEALINGS IN\s+THE\s+SOFTWARE\./;

/** Of every package that a bundle holds a part of. What is the same in several is there once. */
function licences({ inputs }: Metafile): string {
  const packages = new Set(['uplot']);
  for (const path of Object.keys(inputs)) {
    const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
    if (name !== undefined) packages.add(name);
  }
  const texts = [...packages].sort().map(licenceOf);
  const wordsOf = (text: string) => MIT.exec(text)?.[0].replace(/\s+/g, ' ');
  const mit = texts.map(wordsOf).find((words) => words !== undefined);
  if (mit === undefined) throw new Error('no package has the text of the MIT licence');
  return [
    `Where a licence below says (MIT), this is its text:\n\n${mit}\n`,
    ...texts.map((text) => (wordsOf(text) === mit ? text.replace(MIT, '(MIT)') : text)),
  ].join(`\n${'-'.repeat(80)}\n\n`);
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
  await bundle(dist);
  await bundleTypes(dist);
}
