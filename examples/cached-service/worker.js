/** An HTTP server on a worker. All workers find their pages in one cache, and a page that nobody has yet is made once. */
import { createServer } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Arena, AtomicInt, SharedCache } from 'holdfast';

const arena = Arena.attach(workerData.arena);
const made = new AtomicInt(arena, 'made');
/** @type {SharedCache<string, string>} */
const pages = new SharedCache(arena, 'pages');

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost');
  try {
    const page = await pages.getOrCompute(pathname, searchParams.has('stall') ? stallForEver : makePage);
    response.writeHead(200, { 'content-type': 'text/html' }).end(page);
  } catch (error) {
    response.writeHead(500).end(String(error));
  }
});
server.listen(0, '127.0.0.1', () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  parentPort?.postMessage({ port });
});

/**
 * Stands for a query that takes its time.
 * @param {string} path
 */
async function makePage(path) {
  made.inc();
  await setTimeout(20);
  return `<h1>${path}</h1>`;
}

/**
 * For the demonstration: says so, and waits to be killed.
 * @returns {Promise<string>}
 */
function stallForEver() {
  parentPort?.postMessage({ stalled: true });
  return new Promise(() => {});
}
