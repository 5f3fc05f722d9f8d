/** Profiles of programs that know nothing of it: by the command, by the environment, and by a module loaded before. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Application, application } from '../support/application.ts';

/** One call waits for another on the event loop; then the program ends as its argument says. */
const PROGRAM = `
  import { Arena, Mutex } from 'holdfast';
  const accounts = new Mutex(Arena.create(), 'accounts');
  const ends = process.argv[2];
  if (ends === 'at once') process.exit(3);
  const held = await accounts.acquireAsync();
  const deposited = accounts.acquireAsync();
  held.release();
  (await deposited).release();
  Arena.create();
  if (ends === 'by a signal') {
    setInterval(() => {}, 1000);
    console.log('ready');
  }
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

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function node(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { HOLDFAST_PROFILE: _, ...rest } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: folder, env: { ...rest, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

const holdfast = (...args: string[]) => node([project.command, 'profile', ...args]);
const run = (...args: string[]) => ['--', process.execPath, program, ...args];

test('the command has no profile of the program, or prints something beside it', async () => {
  const html = join(folder, 'command.html');
  const { code, stdout, stderr } = await holdfast('--json', '-o', html, ...run());
  expect(code).toBe(0);
  const [lock] = JSON.parse(stdout).locks;
  expect(lock).toMatchObject({ lock: 'mutex "accounts"', async: { contentions: 1 }, sync: { contentions: 0 } });
  expect(stderr).toContain('Locks that were waited for');
  expect(stderr).toContain(`the profile is in ${html}\n`);
  expect(await readFile(html, 'utf8')).toContain('mutex &#34;accounts&#34; costs most');
  // The program made two arenas.
  expect(existsSync(join(folder, 'command-2.html'))).toBe(true);
});

test('the command takes what it can make no sense of, or has a code of its own', async () => {
  const [form, ended] = await Promise.all([
    holdfast('-o', 'profile.csv', ...run()),
    holdfast('--json', '--', process.execPath, '-e', 'process.exit(5)'),
  ]);
  expect([form.code, form.stderr]).toEqual([2, expect.stringContaining('.html .json .pb.gz')]);
  expect([ended.code, ended.stdout, ended.stderr]).toEqual([5, '', expect.stringContaining('made no arena')]);
});

test('the command does not count locks that are free, or holds none longer', async () => {
  const { code, stdout } = await holdfast('--json', '--holds', '--delay', '20ms@accounts', ...run());
  expect(code).toBe(0);
  const [lock] = JSON.parse(stdout).locks;
  expect(lock.held.async).toMatchObject({ acquisitions: 2, timed: 2 });
  expect(lock.held.async.shortest).toBeGreaterThan(20e6 - 1);
  const bad = await holdfast('--delay', '5@accounts', ...run());
  expect([bad.code, bad.stderr]).toEqual([2, expect.stringContaining('such as 100us@accounts')]);
});

test('the environment begins no profile, or changes what the program does', async () => {
  const file = join(folder, 'environment.json');
  const [profiled, atOnce] = await Promise.all([
    node([program], { HOLDFAST_PROFILE: file }),
    node([program, 'at once'], { HOLDFAST_PROFILE: join(folder, 'once.html') }),
  ]);
  expect([profiled.code, profiled.stdout]).toEqual([0, '']);
  expect(JSON.parse(await readFile(file, 'utf8')).locks).toHaveLength(1);
  expect(atOnce.code).toBe(3);
  expect(JSON.parse(await readFile(join(folder, 'once.html.json'), 'utf8')).locks).toEqual([]);
});

test('a module that is loaded before begins no profile, or one that a program which ends at once does not have', async () => {
  const file = join(folder, 'preload.html');
  const { code, stderr } = await node(['--import', 'holdfast/profile', program, 'at once'], { HOLDFAST_PROFILE: file });
  expect(stderr).toContain('No call had to wait');
  expect(code).toBe(3);
  expect(await readFile(file, 'utf8')).toContain('no lock was waited for');
});

test('a signal that ends a program takes the profile with it', async () => {
  const file = join(folder, 'signal.json');
  const child = spawn(process.execPath, [program, 'by a signal'], {
    cwd: folder,
    env: { ...process.env, HOLDFAST_PROFILE: file },
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([143, null]);
  expect(JSON.parse(await readFile(file, 'utf8')).locks).toHaveLength(1);
});
