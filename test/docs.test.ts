import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

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

test.each(all)('$page: example $i does not run', async ({ page, i, language, code }) => {
  // One folder below the root, like docs/, so that relative imports mean the same.
  const folder = new URL('.cache/', ROOT);
  await mkdir(folder, { recursive: true });
  const file = new URL(`${page.replaceAll(/\W/g, '-')}-${i}.${language === 'js' ? 'mjs' : 'ts'}`, folder);
  await writeFile(file, code);
  // The transpiler of the run below knows more than Node does.
  if (language === 'js') await promisify(execFile)(process.execPath, ['--check', file.pathname]);
  const run = promisify(execFile)(
    process.execPath,
    ['--conditions', 'holdfast-source', '--import', 'tsx', file.pathname],
    { cwd: ROOT },
  );
  await expect(run).resolves.toMatchObject({ stderr: '' });
});

test('no page has an example', () => {
  expect(all.filter(({ page }) => page === 'README.md').length).toBeGreaterThan(1);
});
