import { expect, test } from 'vitest';
import { Arena, Mutex, SpinLock } from '../../lib/index.ts';
import { inThread, thrown } from '../support/threads.ts';

const THREADS = new URL('./names.threads.ts', import.meta.url).href;

test('one name, two objects, when threads race to open it', async () => {
  const arena = Arena.create({ maxThreads: 9 });
  const barrier = arena.alloc(1);
  arena.words[barrier] = 0;
  const threads = Array.from({ length: 8 }, () => inThread<number[]>(arena, THREADS, 'openAll', barrier, 8, 1000));
  const opened = await Promise.all(threads.map(({ result }) => result));
  for (const addresses of opened) expect(addresses).toEqual(opened[0]);
  expect(new Set(opened[0]).size).toBe(1000);
  await Promise.all(threads.map(({ reaped }) => reaped()));
  expect(arena.use().blocks).toBe(1001);
});

test('a name that opens an object of another kind', () => {
  const arena = Arena.create();
  new Mutex(arena, 'accounts');
  const error = thrown(() => new SpinLock(arena, 'accounts'));
  expect(error.code).toBe('EINVAL');
  expect(error.message).toContain('"accounts" is a mutex, not a spin-lock');
  expect(arena.use().blocks).toBe(1);
});

test('names that only differ beyond ASCII, or that cannot be', () => {
  const arena = Arena.create();
  expect(new Mutex(arena, 'ключ').address).not.toBe(new Mutex(arena, 'ключь').address);
  expect(new Mutex(arena, 'ключ').name).toBe('ключ');
  const { blocks } = arena.use();
  for (const name of ['', 'x'.repeat(256), 'é'.repeat(128)]) {
    expect(thrown(() => new Mutex(arena, name)).code).toBe('EINVAL');
  }
  expect(thrown(() => new Mutex(arena, 7 as never)).message).toContain('a name must be a string, received 7');
  expect(new Mutex(arena, 'é'.repeat(127)).name).toBe('é'.repeat(127));
  expect(arena.use().blocks).toBe(blocks + 1);
});

test('halves of different characters that are one name', () => {
  const arena = Arena.create();
  for (const name of ['job \ud83d', 'job \udc3d', '\udc3d\ud83d']) {
    const error = thrown(() => new Mutex(arena, name));
    expect([error.code, error.message]).toEqual(['EINVAL', expect.stringContaining('well-formed')]);
  }
  expect(arena.use().blocks).toBe(0);
  expect(new Mutex(arena, 'job \ud83d\udc3d').name).toBe('job \ud83d\udc3d');
});

test('a name that loses its byte order mark', () => {
  const arena = Arena.create();
  const [marked, plain] = [new Mutex(arena, '\ufeffjob'), new Mutex(arena, 'job')];
  expect([marked.name, plain.name]).toEqual(['\ufeffjob', 'job']);
  expect(marked.address).not.toBe(plain.address);
});

test('a destroyed object that can still be opened', () => {
  const arena = Arena.create();
  const { blocks } = arena.use();
  const mutex = new Mutex(arena, 'short-lived');
  const { handle } = mutex;
  mutex.lock();
  expect(thrown(() => mutex.destroy()).code).toBe('EBUSY');
  mutex.unlock();
  mutex.destroy();
  expect(arena.use().blocks).toBe(blocks);
  expect(thrown(() => Mutex.from(arena, handle)).code).toBe('EINVAL');
  expect(thrown(() => mutex.destroy()).code).toBe('EINVAL');
  expect(new Mutex(arena, 'short-lived').isLocked).toBe(false);
});

test('an arena that fills up while names are opened', () => {
  const arena = Arena.create({ bytes: 64 << 10, maxThreads: 2 });
  const error = thrown(() => {
    for (let i = 0; ; i++) new Mutex(arena, `name ${i}`);
  });
  expect(error.code).toBe('ENOMEM');
  // The table of names was let go.
  expect(new Mutex(arena, 'name 0').name).toBe('name 0');
});
