import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = new URL('..', import.meta.url);
const pages = [
  'README.md',
  ...(await readdir(new URL('docs', ROOT))).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
];

/** The TypeScript blocks of a page, each a module of its own. */
async function examples(page: string): Promise<string[]> {
  const text = await readFile(new URL(page, ROOT), 'utf8');
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => match[1] as string);
}

const all = (
  await Promise.all(pages.map(async (page) => (await examples(page)).map((code, i) => ({ page, i: i + 1, code }))))
).flat();

test.each(all)('$page: example $i does not run', async ({ page, i, code }) => {
  // One folder below the root, like docs/, so that relative imports mean the same.
  const folder = new URL('.cache/', ROOT);
  await mkdir(folder, { recursive: true });
  const file = new URL(`${page.replaceAll(/\W/g, '-')}-${i}.ts`, folder);
  await writeFile(file, code);
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
