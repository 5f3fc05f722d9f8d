import { execFileSync } from 'node:child_process';
import { setEnvironmentData } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { SPARE_SLOTS } from '../../lib/arena/kthreadd.ts';
import { osThread } from '../../lib/arena/liveness.ts';
import { Arena, type ArenaHandle, kthreadRun, Mutex } from '../../lib/index.ts';
import { Header } from '../../lib/memory/header.ts';
import { maxThreads, Slot, slotAddress } from '../../lib/sched/slot.ts';
import { kthreaddLife } from '../support/kthreadd.ts';
import { inThread, thrown, until } from '../support/threads.ts';

const THREADS = new URL('./kthread.threads.ts', import.meta.url).href;

/** An arena with some words for the tasks. */
function withWords() {
  const arena = Arena.create({ bytes: 1 << 20, maxThreads: 8 });
  const word = arena.alloc(8);
  arena.words.fill(0, word, word + 8);
  return { arena, word };
}

test('a system task that runs on the thread that asks, or in a place of a user', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'saysWhere', 'one', { data: word }).readyAsync();
  await until(arena, word, maxThreads(arena.cpu) - 1);
  arena.detach();
});

test('a second task of one name, and a kthreadd for each task', async () => {
  const { arena, word } = withWords();
  const one = kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  const other = kthreadRun(arena, THREADS, 'saysWhere', 'where', { data: word + 4 });
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  await one.readyAsync();
  await other.readyAsync();
  await until(arena, word + 4, maxThreads(arena.cpu) - 1);
  expect(arena.words[word + 5]).toBe(kthreaddLife(arena));
  one.stop();
  // The task has ended, so it has counted what it counts; `ready` says only that it is about to.
  await until(arena, word + 1, 1);
  expect(arena.words[word]).toBe(1);
  arena.detach();
});

test('a bundle has no file for kthreadd, and one thread: its tasks never run, and a warning says so again and again', async () => {
  const { arena, word } = withWords();
  const warned: unknown[] = [];
  const hear = (warning: Error) => void warned.push((warning as NodeJS.ErrnoException).code);
  process.on('warning', hear);
  setEnvironmentData('holdfast:kthreadd', new URL('./absent.js', import.meta.url).href);
  try {
    const kthread = kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
    await kthread.readyAsync();
    await until(arena, word, 1);
    await kthreadRun(arena, THREADS, 'counts', 'other', { data: word + 4 }).readyAsync();
    await until(arena, word + 4, 1);
    kthread.stop();
    await until(arena, word + 1, 1);
    expect([...arena.words.subarray(word, word + 6)]).toEqual([1, 1, 0, 0, 1, 0]);
    arena.detach();
    expect(warned).toEqual(['HOLDFAST_NO_KTHREADD']);
  } finally {
    setEnvironmentData('holdfast:kthreadd', undefined);
    process.off('warning', hear);
  }
});

test('a requester that blocks and so keeps the thread that is to make kthreadd from doing so', () => {
  const { arena, word } = withWords();
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word }).ready();
  Atomics.wait(arena.words, word, 0);
  expect(arena.words[word]).toBe(1);
  arena.detach();
});

test('a thread that made the arena, sleeps in a lock, and does not make kthreadd meanwhile', async () => {
  const { arena, word } = withWords();
  const mutex = new Mutex(arena, 'held');
  const holder = inThread(arena, THREADS, 'holdsAndAsks', word);
  await until(arena, word + 4, 1);
  // The holder releases it once its task runs.
  mutex.lock();
  mutex.unlock();
  await holder.exited;
  arena.detach();
});

test('a task that is gone with a kthreadd that was killed', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'counts', 'counts', { data: word }).readyAsync();
  await until(arena, word, 1);
  const first = kthreaddLife(arena);
  // It ends two threads. The first task is started on each of the three.
  await kthreadRun(arena, THREADS, 'endsItsThread', 'ends', { data: word + 4 }).readyAsync();
  await until(arena, word + 4, 3);
  while (Atomics.load(arena.words, word) < 2) await new Promise((resolve) => setImmediate(resolve));
  expect(kthreaddLife(arena)).not.toBe(first);
  arena.detach();
});

test('a task on a thread of its own that is not started again when that dies', async () => {
  const { arena, word } = withWords();
  const kthread = kthreadRun(arena, THREADS, 'endsItsThread', 'ends', { data: word, thread: true });
  await kthread.readyAsync();
  await until(arena, word, 3);
  while (kthread.state !== 'ended') await new Promise((resolve) => setImmediate(resolve));
  expect(kthreaddLife(arena)).toBeGreaterThan(0);
  arena.detach();
});

test('a task on the thread of kthreadd that asked for its own', async () => {
  const { arena, word } = withWords();
  await kthreadRun(arena, THREADS, 'saysWhere', 'where', { data: word, thread: true }).readyAsync();
  await until(arena, word, 2);
  expect(arena.words[word + 1]).not.toBe(kthreaddLife(arena));
  arena.detach();
});

test('a task that cannot be loaded, or throws, and nobody learns why', async () => {
  const { arena } = withWords();
  const run = (exported: string, module = THREADS) => kthreadRun(arena, module, exported, exported).readyAsync();
  await expect(run('absent')).rejects.toThrow(/EAGAIN: the system task "absent" failed: .*has no function absent/);
  await expect(run('none', 'file:///none/none.mjs')).rejects.toMatchObject({ code: 'EAGAIN' });
  for (const name of ['throwsError', 'throwsLater']) {
    const kthread = kthreadRun(arena, THREADS, name, name);
    while (kthread.state !== 'failed') await new Promise((resolve) => setImmediate(resolve));
    expect(thrown(() => kthread.ready()).message).toContain('on purpose');
  }
  arena.detach();
});

test('tasks that are gone with the thread that made the arena, whose child kthreadd was', async () => {
  const other = Arena.create({ bytes: 1 << 20 });
  const { result, exited } = inThread<{ handle: ArenaHandle; word: number }>(other, THREADS, 'makesArena');
  const { handle, word } = await result;
  await exited;
  const arena = Arena.attach(handle);
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  await until(arena, word, 2);
  expect(arena.fsck()).toEqual([]);
  arena.detach();
  other.detach();
});

test.runIf(process.platform === 'linux')('a request that rings a thread whose end the system tells later', async () => {
  const { arena, word } = withWords();
  const { cpu } = arena;
  const number = maxThreads(cpu) - SPARE_SLOTS;
  const slot = slotAddress(cpu, number);
  // kthreadd has ended with the thread that had started it, and /proc still shows it.
  cpu.store(slot + Slot.life, 4711);
  cpu.store(slot + Slot.osThread, osThread());
  cpu.store(Header.kthreadd, (number + 1) << 1);
  kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  cpu.store(slot + Slot.osThread, 2 ** 22 + 1);
  await until(arena, word, 1);
  arena.detach();
});

test('a request that dies with its requester', async () => {
  const { arena, word } = withWords();
  const { exited } = inThread(arena, THREADS, 'asksAndDies', word);
  await exited;
  await until(arena, word, 1);
  arena.detach();
});

test('a request that a requester takes with it when it gives up', async () => {
  const { arena, word } = withWords();
  const kthread = kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  expect(thrown(() => kthread.ready({ timeout: 0 })).code).toBe('ETIMEDOUT');
  await expect(kthread.readyAsync({ signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' });
  await until(arena, word, 1);
  arena.detach();
});

test('a system thread that keeps the process, or the arena, from ending', async () => {
  const { arena, word } = withWords();
  const kthread = kthreadRun(arena, THREADS, 'counts', 'counts', { data: word });
  await kthread.readyAsync();
  arena.detach();
  // The task was told to end, and kthreadd has given up its place.
  while (Atomics.load(arena.words, word + 1) !== 1 || kthreaddLife(arena) !== 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const program = `
    import { Arena, kthreadRun } from ${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)};
    const arena = Arena.create({ bytes: 1 << 20 });
    const word = arena.alloc(4);
    arena.words.fill(0, word, word + 4);
    await kthreadRun(arena, ${JSON.stringify(THREADS)}, 'counts', 'counts', { data: word }).readyAsync();
    console.log('the end');`;
  const args = ['--import', import.meta.resolve('tsx'), '--input-type=module', '--eval', program];
  expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('the end\n');
});

test('bad modules, functions, names and words', () => {
  const { arena } = withWords();
  const bad: [unknown, unknown, unknown, unknown?][] = [
    ['./relative.js', 'f', 'n'],
    [undefined, 'f', 'n'],
    [THREADS, '', 'n'],
    [THREADS, 3, 'n'],
    [THREADS, 'f', ''],
    [THREADS, 'f', 5],
    [THREADS, 'f', 'n', { data: 1.5 }],
    [THREADS, 'f', 'n', { thread: 1 }],
    [`data:text/javascript,${'x'.repeat(9000)}`, 'f', 'n'],
  ];
  const { used } = arena.use();
  for (const [module, exported, name, options] of bad) {
    const run = () => kthreadRun(arena, module as string, exported as string, name as string, options as never);
    expect(thrown(run).code, String(module).slice(0, 40)).toBe('EINVAL');
  }
  expect(arena.use().used).toBe(used);
  expect(arena.cpu.load(Header.kthreadd)).toBe(0);
  arena.detach();
});
