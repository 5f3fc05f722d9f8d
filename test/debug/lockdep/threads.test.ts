/** Lockdep over several threads: what one has learned another one uses, whoever dies in the middle of it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLockdep as start } from '../../../lib/debug/lockdep/session.ts';
import { Arena, Mutex, startLockdep } from '../../../lib/index.ts';
import { type Application, application } from '../../support/application.ts';
import { stepper, type When } from '../../support/stepper.ts';
import { inThread } from '../../support/threads.ts';

const MODULE = new URL('./threads.threads.ts', import.meta.url).href;

test('an order of one thread, and the other one of another', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const lockdep = startLockdep(arena, { quiet: true });
  await inThread(arena, MODULE, 'nest', 'a', 'b', 3).result;
  expect(lockdep.reports()).toEqual([]);
  await inThread(arena, MODULE, 'nest', 'b', 'a', 3).result;
  const [report, ...others] = lockdep.reports();
  expect(others).toEqual([]);
  expect(report).toMatchObject({ finding: 'circular', classes: ['mutex "a"', 'mutex "b"'] });
  // This thread knows of it, too, and says nothing.
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(lockdep.stats().reports).toBe(1);
});

test('a thread that ends with a lock in hand', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const lockdep = startLockdep(arena, { quiet: true });
  const { exited } = inThread(arena, MODULE, 'leaveHeld');
  await exited;
  expect(lockdep.reports().map(({ finding, classes }) => [finding, ...classes])).toEqual([['exit', 'mutex "kept"']]);
});

test('threads that are killed while they add', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const lockdep = startLockdep(arena, { quiet: true });
  const adding = [1, 2, 3].map((seed) => inThread(arena, MODULE, 'addForEver', seed));
  while (lockdep.stats().orders < 20) await new Promise((resolve) => setTimeout(resolve, 1));
  await Promise.all(adding.map(({ worker }) => worker.terminate()));
  await Promise.all(adding.map(({ reaped }) => reaped()));
  expect(lockdep.reports()).toEqual([]);
  lockdep.reset();
  const [a, b] = [new Mutex(arena, 'a'), new Mutex(arena, 'b')];
  a.runExclusive(() => b.runExclusive(() => {}));
  b.runExclusive(() => a.runExclusive(() => {}));
  expect(lockdep.reports().map(({ finding }) => finding)).toEqual(['circular']);
  expect(arena.fsck()).toEqual([]);
});

const WORDS = 1 << 18;

function stage() {
  const stepped = stepper(3, { words: WORDS });
  const { arenas } = stepped;
  const lockdep = arenas.map((arena) => start(arena, { quiet: true }))[0]!;
  const [one, other] = arenas.map((arena) => ({ a: new Mutex(arena, 'a'), b: new Mutex(arena, 'b') }));
  return { ...stepped, lockdep, one: one!, other: other! };
}

/** The `n`th of the steps by which a thread tells others something, or looks what they have told. */
function shared(n: number): When {
  const ops: readonly string[] = ['xchg', 'cmpxchg', 'fetchOr', 'storeRelease'];
  let seen = 0;
  return ({ op }) => ops.includes(op) && ++seen === n;
}

test('a thread dies at each step of what it adds: the next one that meets the order reports it', () => {
  let steps = 0;
  for (let died = true; died; steps++) {
    const { killBefore, reap, lockdep, one, other } = stage();
    other.b.runExclusive(() => other.a.runExclusive(() => {}));
    died = killBefore(0, shared(steps + 1), () => one.a.runExclusive(() => one.b.runExclusive(() => {})));
    if (died) expect(reap(2)).toBe('done');
    for (const mutex of [other.a, other.b]) {
      mutex.lock();
      if (mutex.ownerDied) mutex.makeConsistent();
      mutex.unlock();
    }
    other.a.runExclusive(() => other.b.runExclusive(() => {}));
    expect(lockdep.stats().orders).toBe(2);
    // One that was written, and not claimed, is there twice.
    const findings = new Set(lockdep.reports().map(({ finding }) => finding));
    expect([...findings]).toEqual(['circular']);
  }
  expect(steps).toBeGreaterThan(10);
});

let project: Application;
beforeAll(async () => {
  project = await application();
});
afterAll(() => project.remove());

/** What a program prints that is run with this in its environment. */
function printed(program: string, lockdep: string): Promise<{ stdout: string; stderr: string }> {
  const args = ['--input-type', 'module', '--eval', program];
  const env = { ...process.env, HOLDFAST_LOCKDEP: lockdep };
  return promisify(execFile)(process.execPath, args, { cwd: project.folder, env });
}

const CIRCULAR = /possible circular locking dependency detected/g;

test('the environment begins it, and a report goes to the standard error stream', async () => {
  const program = `
    import { Arena, Mutex } from 'holdfast';
    const arena = Arena.create();
    const [a, b] = ['a', 'b'].map((name) => new Mutex(arena, name));
    a.runExclusive(() => b.runExclusive(() => {}));
    b.runExclusive(() => a.runExclusive(() => {}));
    console.log('goes on');
  `;
  const { stdout, stderr } = await printed(program, '1');
  expect(stdout).toBe('goes on\n');
  expect(stderr.match(CIRCULAR)).toHaveLength(1);
});

test.each([
  ['1', 0],
  ['callbacks', 1],
])(
  'callbacks are looked at where the environment does not say so, or not where it does: %s',
  async (lockdep, count) => {
    const program = `
    import { setImmediate } from 'node:timers/promises';
    import { Arena, Mutex } from 'holdfast';
    const arena = Arena.create();
    const [safe, unsafe] = ['safe', 'unsafe'].map((name) => new Mutex(arena, name));
    safe.runExclusive(() => unsafe.runExclusive(() => {}));
    await setImmediate();
    safe.runExclusive(() => {});
    await unsafe.runExclusiveAsync(() => setImmediate());
  `;
    const { stderr } = await printed(program, lockdep);
    expect(stderr.match(CIRCULAR) ?? []).toHaveLength(count);
  },
);
