/** Trace programs in applications that know nothing of them: by the command, by the environment, with and without compiled code. */
import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Application, application } from '../../support/application.ts';
import { holdfast } from '../../torture/cli.ts';

/** One call waits for another on the event loop. */
const APPLICATION = `
  import { Arena, Mutex } from 'holdfast';
  const accounts = new Mutex(Arena.create(), 'accounts');
  const held = await accounts.acquireAsync();
  const deposited = accounts.acquireAsync();
  held.release();
  (await deposited).release();
  for (let i = 0; i < 3; i++) accounts.runExclusive(() => {});
  console.log('done');
`;

const SOURCE = `
  let @turns = array(8);
  mutex:contention_end /outcome == 0 && wait > 0/ { @waits[name] = count(); printf("%s waited, %s\\n", name, kind); }
  mutex:acquire { for ($i : 0..8) { @turns[$i] += $i; } @[mode, name] = count(); }
`;

const EXPECTED = `accounts waited, mutex
@turns[0]: 0
@turns[1]: 5
@turns[2]: 10
@turns[3]: 15
@turns[4]: 20
@turns[5]: 25
@turns[6]: 30
@turns[7]: 35
@waits[accounts]: 1
@[2, accounts]: 2
@[0, accounts]: 3
`;

let project: Application;
let program: string;

beforeAll(async () => {
  project = await application();
  program = join(project.folder, 'program.mjs');
  await writeFile(program, APPLICATION);
});

afterAll(() => project.remove());

function node(args: readonly string[], source: string): Promise<{ code: number; stdout: string; stderr: string }> {
  const env = { ...process.env, HOLDFAST_TRACE_PROGRAM: source };
  return new Promise((resolve) => {
    execFile(process.execPath, [...args, program], { env }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
  });
}

/** The lines in any order: keys are in no order of their own, and values that are equal in none either. */
const sorted = (text: string) => text.trimEnd().split('\n').sort();

test('holdfast trace -e', async () => {
  const { code, stdout, stderr } = await holdfast('trace', '-e', SOURCE, '--', process.execPath, program);
  expect(sorted(stderr)).toEqual(sorted(EXPECTED));
  expect(stdout).toBe('done\n');
  expect(code).toBe(0);
});

test('a program that is none, on the command line', async () => {
  const { code, stderr } = await holdfast('trace', '-e', 'mutex:acquire { @ = }', '--', 'false');
  expect(stderr).toContain('trace program, line 1, column 21: expected an expression, found "}"');
  expect(code).toBe(2);
});

test('a kind of lock that the library knows, and the command does not', async () => {
  const kinds = [
    'mutex',
    'rt_mutex',
    'ww_mutex',
    'rw_semaphore',
    'rw_lock',
    'semaphore',
    'spin_lock',
    'seq_lock',
    'pthread_mutex',
  ];
  const probes = [...kinds, 'rcu', 'srcu', 'workqueue', 'shared_map'].map((kind) => `${kind}:release`);
  const { code, stderr } = await holdfast('trace', '-e', `${probes.join(', ')} { @ = count() }`, '--', 'true');
  expect(stderr).toBe('');
  expect(code).toBe(0);
});

test('the environment, with code that is compiled and interpreted', async () => {
  for (const flags of [[], ['--disallow-code-generation-from-strings']]) {
    const { code, stdout, stderr } = await node(flags, SOURCE);
    expect(sorted(stderr), flags.join()).toEqual(sorted(EXPECTED));
    expect(stdout).toBe('done\n');
    expect(code).toBe(0);
  }
});

test('a program that is none, in the environment', async () => {
  const { code, stdout, stderr } = await node([], 'mutex:explode {}');
  expect(stderr).toMatch(/HoldfastWarning: no trace program runs in an arena: EINVAL: .*no trace point "explode"/);
  expect(stdout).toBe('done\n');
  expect(code).toBe(0);
});
