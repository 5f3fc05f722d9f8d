/** Traces of programs that know nothing of it: by the command, and by a module loaded before. */
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Trace } from '../../../lib/index.ts';
import { type Application, application } from '../../support/application.ts';
import { all, decode } from './decode.ts';

const PROGRAM = `
  import { Arena, Mutex } from 'holdfast';
  const accounts = new Mutex(Arena.create(), 'accounts');
  accounts.runExclusive(() => {});
  process.exit(3);
`;

let project: Application;
let folder: string;
let program: string;

beforeAll(async () => {
  project = await application();
  folder = project.folder;
  program = join(folder, 'program.mjs');
  await writeFile(program, PROGRAM);
});

afterAll(() => project.remove());

function node(...args: string[]): Promise<{ readonly code: number; readonly stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder }, (error, _, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stderr });
    });
  });
}

const holdfast = (...args: string[]) => node(project.command, 'trace', ...args);

test('the command has no trace of the program, or a code of its own', async () => {
  const [picture, plain] = [join(folder, 'a.pftrace'), join(folder, 'a.json')];
  const options = ['--perfetto', picture, '--json', plain, '--points', 'acquire', '--events', '64'];
  const { code, stderr } = await holdfast(...options, '--', process.execPath, program);
  expect(code).toBe(3);
  expect(stderr).toContain('1 events of 1 threads in ');
  expect(stderr).toContain(`the trace is in ${picture}\n`);
  const { events } = JSON.parse(await readFile(plain, 'utf8')) as Trace;
  expect(events.map(({ point }) => point)).toEqual(['acquire']);
  expect(all(decode(await readFile(picture)), 1).length).toBeGreaterThan(3);
});

test('bad names and unknown points are taken', async () => {
  const [form, point] = await Promise.all([
    holdfast('--perfetto', 'trace.html', '--', process.execPath, '-e', ''),
    holdfast('--points', 'lock', '--', process.execPath, program),
  ]);
  expect([form.code, form.stderr]).toEqual([2, expect.stringContaining('ends in .pftrace')]);
  // The program runs all the same.
  expect([point.code, point.stderr]).toEqual([3, expect.stringContaining('there is no trace point "lock"')]);
});
