/**
 * An HTTP service whose worker threads share accounts in memory. It starts, sends itself requests, kills a worker in
 * the middle of a transfer, and shows that no money was lost.
 *
 *   npm run build && node examples/accounts-service/main.js
 */
import { once } from 'node:events';
import { startService } from './service.js';

const BRANCHES = ['north', 'south'];
const ACCOUNTS = 8;
const BALANCE = 1_000;
const CLIENTS = 8;
const REQUESTS = 40;

const { server, workers } = startService({ workers: 3, branches: BRANCHES, accounts: ACCOUNTS, balance: BALANCE });
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());

/**
 * @param {string} path
 * @param {unknown} [body]
 */
async function send(path, body) {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`http://127.0.0.1:${port}/branches/${path}`, init);
  return { ok: response.ok, answer: /** @type {any} */ (await response.json()) };
}

let deposited = 0;
let transfers = 0;
/** @type {string[]} */
const refusals = [];

/** @param {number} client */
async function client(client) {
  for (let i = 0; i < REQUESTS; i++) {
    const branch = BRANCHES[(client + i) % BRANCHES.length];
    const from = (client + i) % ACCOUNTS;
    const to = (from + 1 + (i % (ACCOUNTS - 1))) % ACCOUNTS;
    if (i % 10 === 0) {
      await send(`${branch}/deposits`, { to, amount: 5 });
      deposited += 5;
    } else {
      const { ok, answer } = await send(`${branch}/transfers`, { from, to, amount: 1 + (i % 20) });
      if (ok) transfers++;
      else refusals.push(answer.error);
    }
  }
}

// The worker that makes this transfer stops half-way, holding the mutex. Then it is killed.
workers.onStalled = (/** @type {import('node:worker_threads').Worker} */ worker) => {
  console.log(`worker ${worker.threadId} holds a branch's mutex, half-way through a transfer: killing it`);
  worker.terminate();
};
const doomed = send('north/transfers', { from: 0, to: 1, amount: 500, stall: true });

await Promise.all(Array.from({ length: CLIENTS }, (_, i) => client(i)));
const { answer } = await doomed;
console.log(`the transfer of the killed worker: ${answer.error}`);
console.log(`${transfers} transfers made, ${refusals.length} refused, ${deposited} deposited`);

let total = 0;
for (const branch of BRANCHES) {
  const { answer } = await send(branch);
  console.log(`${branch}: ${answer.balances.join(' ')}, in all ${answer.total}`);
  total += answer.total;
}
const expected = BRANCHES.length * ACCOUNTS * BALANCE + deposited;
console.log(`total ${total}, expected ${expected}: ${total === expected ? 'nothing lost' : 'MONEY LOST'}`);

server.close();
await workers.close();
process.exitCode = total === expected ? 0 : 1;
