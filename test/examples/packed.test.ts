/** What npm publishes: how much it is, whether its types stand alone, and what a service's stacks say. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleTypes } from '../../scripts/build.ts';
import { type Application, application } from '../support/application.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MOST_BYTES = 2_000_000;

let project: Application;
let installed: string;

/** A file for each block of TypeScript in the pages, which shows what its reader would write. */
function samplesOf(pages: readonly string[]): string[] {
  return pages
    .filter((page) => page.endsWith('.md'))
    .flatMap((page) => {
      const text = readFileSync(join(ROOT, page), 'utf8');
      return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code], i) => {
        const file = join(project.folder, `${page.replaceAll(/\W/g, '-')}-${i + 1}.ts`);
        writeFileSync(file, code as string);
        return file;
      });
    });
}

beforeAll(async () => {
  project = await application();
  installed = join(project.folder, 'node_modules/holdfast');
  await bundleTypes(join(installed, 'dist'));
}, 240_000);

afterAll(() => project.remove());

test('the package, with docs and examples, stays under 2 MB', () => {
  for (const part of ['docs', 'examples', 'README.md', 'LICENSE']) {
    cpSync(join(ROOT, part), join(installed, part), { recursive: true });
  }
  const packed = execFileSync('npm', ['pack', '--ignore-scripts', '--dry-run', '--json'], {
    cwd: installed,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const [{ unpackedSize, files }] = JSON.parse(packed);
  const paths = (files as { path: string }[]).map(({ path }) => path);
  expect(unpackedSize).toBeLessThan(MOST_BYTES);
  expect(paths).toEqual(expect.arrayContaining(['dist/index.d.ts', 'dist/LICENSES.txt', 'docs/locks.md']));
  expect(paths.filter((path) => path.startsWith('docs/api/'))).toEqual([]);
}, 60_000);

test('the types of each entry are complete without the sources, and the pages’ programs pass the strictest check', () => {
  const program = join(project.folder, 'program.ts');
  writeFileSync(
    program,
    `import { Arena, type Guard, Mutex } from 'holdfast';
     import { explore } from 'holdfast/explore';
     import { checkLitmus } from 'holdfast/litmus';
     import 'holdfast/profile';
     export const guard: Guard = new Mutex(Arena.create({}), 'types').acquire();
     // @ts-expect-error: an argument of another type, so the types are more than \`any\`
     guard.release(1);
     export { checkLitmus, explore };`,
  );
  const samples = samplesOf(['README.md', ...readdirSync(join(ROOT, 'docs')).map((page) => `docs/${page}`)]);
  expect(samples.length).toBeGreaterThan(20);
  symlinkSync(join(ROOT, 'node_modules/prom-client'), join(project.folder, 'node_modules/prom-client'), 'junction');
  symlinkSync(join(ROOT, 'node_modules/@types'), join(project.folder, 'node_modules/@types'), 'junction');
  const checked = ts.createProgram([program, ...samples], {
    moduleDetection: ts.ModuleDetectionKind.Force,
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2024.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    typeRoots: [join(project.folder, 'node_modules/@types')],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  });
  const found = ts
    .getPreEmitDiagnostics(checked)
    .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  expect(found).toEqual([]);
}, 120_000);

test('a stack names the call of the library, and with source maps the file and line of its source', () => {
  const program = join(project.folder, 'stack.js');
  writeFileSync(
    program,
    `import { Arena, Mutex } from 'holdfast';
     const mutex = new Mutex(Arena.create(), 'stack');
     try { mutex.unlock(); } catch (error) { console.log(error.stack); }`,
  );
  const stackWith = (...flags: string[]) =>
    spawnSync(process.execPath, [...flags, program], { encoding: 'utf8' }).stdout;
  expect(stackWith()).toContain(' at Mutex.unlock (');
  expect(stackWith('--enable-source-maps')).toMatch(/[\\/]lib[\\/]locking[\\/](owned-lock|mutex)\.ts:\d+:\d+/);
});

test('an error that nobody catches, with all of the library printed before it', () => {
  const program = join(project.folder, 'uncaught.js');
  writeFileSync(program, `import { Arena, Mutex } from 'holdfast'; new Mutex(Arena.create(), 'uncaught').unlock();`);
  const { stderr } = spawnSync(process.execPath, [program], { encoding: 'utf8' });
  expect(stderr).toContain('HoldfastError: EPERM');
  expect(stderr.length).toBeLessThan(3000);
});
