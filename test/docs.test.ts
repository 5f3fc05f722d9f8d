/** Each sample of the pages runs as a user would run it, in a project in which the package is installed. */
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { transformSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Application, application } from './support/application.ts';

const ROOT = new URL('..', import.meta.url);
const pages = [
  'README.md',
  ...(await readdir(new URL('docs', ROOT))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

/** The blocks of code of a page, each a module of its own: TypeScript, or what any Node of ours runs as it stands. */
async function examples(page: string): Promise<{ language: string; code: string }[]> {
  const text = await readFile(new URL(page, ROOT), 'utf8');
  return [...text.matchAll(/^```(ts|js)\n(.*?)^```$/gms)].map(([, language, code]) => ({
    language: language as string,
    code: code as string,
  }));
}

const all = (
  await Promise.all(pages.map(async (page) => (await examples(page)).map((block, i) => ({ page, i: i + 1, ...block }))))
).flat();

let project: Application;

beforeAll(async () => {
  project = await application(['prom-client']);
});

afterAll(() => project.remove());

test.each(all)('$page: example $i does not run', async ({ page, i, language, code }) => {
  const file = join(project.folder, `${page.replaceAll(/\W/g, '-')}-${i}.mjs`);
  const { code: plain } = language === 'js' ? { code } : transformSync(code, { loader: 'ts', target: 'node20' });
  await writeFile(file, plain);
  const run = promisify(execFile)(process.execPath, [file], { cwd: project.folder });
  await expect(run).resolves.toMatchObject({ stderr: '' });
});

test('no page has an example', () => {
  expect(all.filter(({ page }) => page === 'README.md').length).toBeGreaterThan(1);
});
