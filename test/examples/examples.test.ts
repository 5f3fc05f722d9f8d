/**
 * Each example runs as a user would run it: plain `node`, in a project of its own, with this package built and
 * installed there.
 */
import { spawnSync } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Application, application } from '../support/application.ts';

let project: Application;

beforeAll(async () => {
  project = await application(['piscina', 'comlink']);
  cpSync(fileURLToPath(new URL('../../examples', import.meta.url)), join(project.folder, 'examples'), {
    recursive: true,
  });
});

afterAll(() => project.remove());

function run(example: string): { status: number | null; stdout: string; stderr: string } {
  const main = join(project.folder, 'examples', example, 'main.js');
  return spawnSync(process.execPath, [main], { encoding: 'utf8', timeout: 60_000, killSignal: 'SIGKILL' });
}

test('accounts-service: a worker that is killed in the middle of a transfer takes money with it, or the mutex', () => {
  const { status, stdout, stderr } = run('accounts-service');
  expect(stderr).toBe('');
  expect(stdout).toContain('half-way through a transfer: killing it');
  expect(stdout).toContain('branch north: undid the transfer of a worker that was killed half-way');
  expect(stdout).toContain('the transfer of the killed worker: the worker died before it answered');
  expect(stdout).toContain('288 transfers made, 0 refused, 160 deposited');
  expect(stdout).toContain('total 16160, expected 16160: nothing lost');
  expect(status).toBe(0);
});

test('cached-service: a page is made twice, or by nobody once the worker is dead that made it', () => {
  const { status, stdout, stderr } = run('cached-service');
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual([
    '360 requests for 40 pages at 3 workers: 40 pages made',
    'three caches of their own would have made 120',
    'the answer of the killed worker: none: the worker died',
    'the answer of the one that waited for its page: <h1>/report</h1>',
    '41 pages in the cache, 0 put out',
  ]);
  expect(status).toBe(0);
});

test('slow-service: the profile does not name the inversion, the long hold and the hot lock first, or where they are waited for', () => {
  const { status, stdout, stderr } = run('slow-service');
  expect(stderr).toBe('');
  const [first, second] = stdout.split('\n');
  expect(first).toContain('Possible deadlocks');
  expect(second).toBe('  circular: mutex "accounts", mutex "ledger"');
  const rows = stdout.split('\n').filter((line) => /^[│|] (mutex|rw-semaphore) "/.test(line));
  expect(
    rows
      .slice(0, 2)
      .map((row) => /"([^"]*)"/.exec(row)?.[1])
      .sort(),
  ).toEqual(['audit log', 'catalogue']);
  expect(stdout).toMatch(/waits for rw-semaphore "catalogue"\n {4}lookUp \(/);
  expect(stdout).toMatch(/thread \d slept .* behind thread \d, for rw-semaphore "catalogue"/);
  // Nobody else takes these.
  expect(stdout).not.toContain('session');
  expect(status).toBe(0);
});

test('piscina: tasks on several threads are inside the mutex at once', () => {
  const { status, stdout, stderr } = run('piscina');
  expect(stderr).toBe('');
  expect(stdout).toBe('8 tasks moved the clock 80000 minutes: it shows 1333 h 20 min\n');
  expect(status).toBe(0);
});

test('comlink: a mutex that was passed as an argument is another one on the other side, or an error has lost its class', () => {
  const { status, stdout, stderr } = run('comlink');
  expect(stderr).toBe('');
  expect(stdout.trim().split('\n')).toEqual([
    'unlocked by a thread that does not hold it: EPERM',
    '3 workers added 50000 each under one mutex: 150000',
  ]);
  expect(status).toBe(0);
});

test('address-space: a page fault beside a writer finds the wrong mapping', () => {
  const { status, stdout, stderr } = run('address-space');
  expect(stderr).toBe('');
  expect(stdout.split('\n')).toEqual([
    '400000-410000 r-x',
    '410000-418000 rw-',
    '1ffffc0000-1ffffc1000 ---',
    '1ffffc1000-2000000000 rw-',
    '40000 faults served, 20000 refused',
    '40000 faults served, 20000 refused',
    'ENOMEM: page 418 is not mapped',
    '400000-408000 r-x',
    '414000-418000 rw-',
    '1ffffc0000-1ffffc1000 ---',
    '1ffffc1000-2000000000 rw-',
    '',
  ]);
  expect(status).toBe(0);
});

test('feature-flags: a request sees two versions at once, an older one again, or one that was freed', () => {
  const { status, stdout, stderr } = run('feature-flags');
  expect(stderr).toBe('');
  expect(stdout).toContain('3 workers handled 300000 requests under 200 versions of 3 flags');
  expect(stdout).toContain('torn reads: 0, reads that went back: 0, all but the last version freed: true');
  expect(status).toBe(0);
});
