/**
 * A service is often shipped as a bundle, and its main program may use no lock at all: its bundle must still know every
 * kind of object, or it takes a dead worker for recovered without having repaired anything.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeResolve } from '@rollup/plugin-node-resolve';
import { build } from 'esbuild';
import { rollup } from 'rollup';
import { afterAll, beforeAll, expect, test } from 'vitest';
import webpack from 'webpack';
import { type Application, application } from '../support/application.ts';

let project: Application;

beforeAll(async () => {
  project = await application();
  const programs = fileURLToPath(new URL('./bundled', import.meta.url));
  for (const program of ['main', 'worker']) {
    cpSync(join(programs, `${program}.js`), join(project.folder, `${program}.js`));
  }
});

afterAll(() => project.remove());

/** Bundles one program of the application to `outFile`. */
const bundlers: Record<string, (program: string, outFile: string) => Promise<void>> = {
  async esbuild(program, outFile) {
    await build({
      entryPoints: [program],
      outfile: outFile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      minify: true,
    });
  },
  async 'esbuild, by default to CommonJS'(program, outFile) {
    await build({ entryPoints: [program], outfile: outFile, bundle: true, platform: 'node', logLevel: 'error' });
    writeFileSync(join(outFile, '../package.json'), '{}');
  },
  async rollup(program, outFile) {
    const made = await rollup({ input: program, external: /^node:/, plugins: [nodeResolve()], onwarn() {} });
    await made.write({ file: outFile, format: 'esm' });
    await made.close();
  },
  async webpack(program, outFile) {
    const [folder, name] = [join(outFile, '..'), outFile.slice(outFile.lastIndexOf('/') + 1)];
    const compiler = webpack({
      mode: 'production',
      entry: program,
      target: 'node20',
      experiments: { outputModule: true },
      output: { path: folder, filename: name, module: true, chunkFormat: 'module' },
      performance: false,
      // The most of its time; esbuild's is minified.
      optimization: { minimize: false },
    });
    await new Promise<void>((resolve, reject) => {
      compiler?.run((error, stats) => {
        if (error) reject(error);
        else if (stats?.hasErrors() || stats?.hasWarnings()) reject(new Error(stats.toString('errors-warnings')));
        else compiler.close(() => resolve());
      });
    });
  },
};

test.each(Object.keys(bundlers))(
  '%s: a main program that uses no lock recovers that of a dead worker',
  async (name) => {
    const folder = join(project.folder, `bundle-${name.replace(/\W+/g, '-')}`);
    for (const program of ['main', 'worker']) {
      await bundlers[name]!(join(project.folder, `${program}.js`), join(folder, `${program}.js`));
    }
    const run = spawnSync(process.execPath, [join(folder, 'main.js')], {
      encoding: 'utf8',
      timeout: 60_000,
      cwd: folder,
    });
    // webpack makes a constant of `import.meta.url`, where the package was: the file is there still.
    const warned = [...run.stderr.matchAll(/^\(node:\d+\) \[(\w+)\]/gm)].map(([, code]) => code);
    expect(warned, run.stderr).toEqual(name === 'webpack' ? [] : ['HOLDFAST_NO_KTHREADD']);
    expect(run.stdout).toBe('the lock came with ownerDied\n');
  },
);
