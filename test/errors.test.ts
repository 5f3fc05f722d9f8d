import { Worker } from 'node:worker_threads';
import { wrap } from 'comlink/dist/esm/comlink.mjs';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Piscina } from 'piscina';
import { describe, expect, test } from 'vitest';
import { shown } from '../lib/errors.ts';
import { HoldfastError } from '../lib/index.ts';

const WORKER = new URL('./errors.worker.mjs', import.meta.url);

/** How an error of another thread gets here. */
const ways: Record<string, () => Promise<unknown>> = {
  'a clone': async () =>
    structuredClone(new HoldfastError('EDEADLK', 'this thread already holds the mutex "accounts"')),
  'the error event of its worker': () =>
    new Promise((resolve) => new Worker(WORKER, { workerData: 'uncaught', execArgv: [] }).once('error', resolve)),
  async Piscina() {
    const pool = new Piscina({ filename: WORKER.href, maxThreads: 1, execArgv: [] });
    const error = await pool.run(undefined).catch((error: unknown) => error);
    await pool.close();
    return error;
  },
  async Comlink() {
    const worker = new Worker(WORKER, { workerData: 'comlink', execArgv: [] });
    const remote = wrap<{ lockTwice(): void }>(nodeEndpoint(worker));
    const error = await remote.lockTwice().catch((error: unknown) => error);
    await worker.terminate();
    return error;
  },
};

describe.each(Object.entries(ways))('an error of another thread, by way of %s', (_name, receive) => {
  test('has lost its code', async () => {
    const received = await receive();
    expect(received).not.toBeInstanceOf(HoldfastError);
    const error = HoldfastError.from(received);
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toMatchObject({ code: 'EDEADLK', message: (received as Error).message });
    expect(error?.message).toMatch(/^EDEADLK: this thread already holds the mutex "accounts"/);
    expect(error?.stack).toBe((received as Error).stack);
  });
});

test("another library's error taken for one of ours", () => {
  const ours = new HoldfastError('EPERM', 'no');
  expect(HoldfastError.from(ours)).toBe(ours);
  const busy = Object.assign(new Error('EBUSY: resource busy or locked'), { code: 'EBUSY' });
  const unknown = Object.assign(new Error('EWHAT: from a later version'), { name: 'HoldfastError' });
  for (const other of [undefined, null, 'EPERM: no', {}, busy, new Error('x'), unknown]) {
    expect(HoldfastError.from(other)).toBe(undefined);
  }
});

test('what was received is named as one would say it', () => {
  const all = [[], new Map(), {}, Object.create(null), 'text', 1.5, undefined, null, function named() {}];
  expect(all.map(shown)).toEqual(
    'an Array|a Map|an object|an object|"text"|1.5|undefined|null|function named'.split('|'),
  );
});
