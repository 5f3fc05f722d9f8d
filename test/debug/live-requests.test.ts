/** Requests that nobody should send, and answers that nobody waits for any more: none ends the program that serves them. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import { setEnvironmentData } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { arenaState } from '../../lib/debug/live/state.ts';
import { workqueuesState } from '../../lib/debug/live/workqueues.ts';
import { topText } from '../../lib/debug/reports/top.ts';
import { workqueuesText } from '../../lib/debug/reports/workqueues.ts';
import { Arena, holdfastHandler, Mutex, observe, startProfile, Workqueue } from '../../lib/index.ts';

const clean: (() => unknown)[] = [];
const rejections: unknown[] = [];
const reject = (reason: unknown) => rejections.push(reason);
process.on('unhandledRejection', reject);
clean.push(() => process.off('unhandledRejection', reject));

afterEach(async () => {
  await setImmediate();
  expect(rejections.splice(0)).toEqual([]);
  for (const end of clean.splice(1).reverse()) await end();
});

async function serving(handler: Parameters<typeof createServer>[1]): Promise<number> {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  clean.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** The status of the answer to `path`, as it is. */
async function statusOf(port: number, path: string, method = 'GET'): Promise<number | undefined> {
  const asked = request({ port, host: '127.0.0.1', path, method, agent: false });
  asked.end();
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

test.each([
  ['//', 404],
  ['http://[', 404],
  ['http://', 404],
  ['/%ff', 404],
  ['/constructor', 404],
  ['x://constructor', 404],
  ['http://elsewhere/metrics', 200],
  ['/metrics?%ff=%', 200],
])('a request for %s', async (path, status) => {
  using handler = holdfastHandler(Arena.create({ bytes: 1 << 20 }));
  const port = await serving(handler);
  expect(await statusOf(port, path)).toBe(status);
  expect(await statusOf(port, '/state')).toBe(200);
});

test('a request to the observer that is none', async () => {
  const observer = await observe(Arena.create({ bytes: 1 << 20 }), { profile: false });
  clean.push(() => observer.close());
  const port = Number(new URL(observer.url).port);
  expect(await statusOf(port, '//')).toBe(404);
  expect(await statusOf(port, '/state')).toBe(200);
});

test('a request that the application has answered meanwhile', async () => {
  using handler = holdfastHandler(Arena.create({ bytes: 1 << 20 }));
  const port = await serving((asked, response) => {
    handler(asked, response);
    response.writeHead(504);
    response.end();
  });
  for (const path of ['/state', '/debug/pprof/block?seconds=x']) expect(await statusOf(port, path)).toBe(504);
});

test('a request in an arena that the thread has left', async () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const handler = holdfastHandler(arena);
  const port = await serving(handler);
  handler.close();
  arena.detach();
  expect(await statusOf(port, '/state')).toBe(503);
  expect(await statusOf(port, '/metrics')).toBe(503);
});

test('a handler that ends while a request waits for its seconds', async () => {
  const arena = Arena.create({ bytes: 1 << 20 });
  const handler = holdfastHandler(arena);
  let listeners = () => 0;
  let before = 0;
  const port = await serving((asked, response) => {
    handler(asked, response);
    listeners = () => response.listenerCount('close');
    before = listeners();
  });
  const status = statusOf(port, '/debug/pprof/block?seconds=60');
  // It waits once it hears whether the client has gone.
  while (listeners() === before) await setImmediate();
  const timeouts = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const running = timeouts();
  handler.close();
  expect([listeners(), timeouts()]).toEqual([before, running - 1]);
  expect(await status).toBe(503);
});

test('an observer that ends while a request waits for its seconds', async () => {
  const observer = await observe(Arena.create({ bytes: 2 << 20 }));
  const port = Number(new URL(observer.url).port);
  const socket = connect(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write('GET /debug/pprof/block?seconds=60 HTTP/1.1\r\nhost: x\r\n\r\n');
  // Whether or not it has come there by now.
  expect(await statusOf(port, '/waits')).toBe(200);
  await observer.close();
});

test('an observer that ends by an error of its own', async () => {
  const program = `
    import { parentPort } from 'node:worker_threads';
    parentPort.postMessage({ url: 'http://127.0.0.1:1/' });
    setTimeout(() => { throw new Error('planted'); }, 20);
  `;
  setEnvironmentData('holdfast:observer', `data:text/javascript,${encodeURIComponent(program)}`);
  try {
    // Its error may come before what it says.
    const observer = await observe(Arena.create({ bytes: 1 << 20 })).catch(() => undefined);
    await observer?.close();
  } finally {
    setEnvironmentData('holdfast:observer', undefined);
  }
});

test('two looks between which the program was started again', async () => {
  const arena = Arena.create({ bytes: 4 << 20 });
  const mutex = new Mutex(arena, 'a');
  const wait = async () => {
    const held = await mutex.acquireAsync();
    const waits = mutex.acquireAsync();
    held.release();
    (await waits).release();
  };
  const before = startProfile(arena);
  for (let i = 0; i < 3; i++) await wait();
  const [first, firstQueues] = [arenaState(arena, before.read()), workqueuesState(arena)];
  before.stop();
  const profile = startProfile(arena);
  await wait();
  const now = arenaState(arena, profile.read());
  profile.stop();
  // It has begun later, and lasts for less time.
  const started = { ...first, profile: { ...first.profile!, startedAt: '2020-01-01T00:00:00.000Z', duration: 1e12 } };
  expect(topText(now, started, 120)).toBe(topText(now, undefined, 120));
  new Workqueue(arena, 'q');
  const queues = workqueuesState(arena);
  const later = { ...queues, time: new Date(Date.parse(firstQueues.time) + 5000).toISOString() };
  const earlier = { ...firstQueues, workqueues: queues.workqueues.map((queue) => ({ ...queue, ended: 12_345 })) };
  const row = stripVTControlCharacters(workqueuesText(later, earlier, 120))
    .split('\n')
    .at(-2)!;
  const [, name, total, rate] = row.split('│').map((cell) => cell.trim());
  expect([name, total, rate]).toEqual(['q', '0', '']);
});
