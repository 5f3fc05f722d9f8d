/**
 * The HTTP side, on the main thread. It must never block: it waits for a branch's mutex with acquireAsync, while the
 * workers wait for the same mutex with acquire.
 *
 *   GET  /branches/NAME                                     the balances, and their total
 *   POST /branches/NAME/deposits   { to, amount }           made here
 *   POST /branches/NAME/transfers  { from, to, amount }     made by a worker
 */
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { Arena } from 'holdfast';
import { Branch } from './branch.js';
import { Workers } from './workers.js';

/** @param {{ workers: number, branches: string[], accounts: number, balance: number }} options */
export function startService(options) {
  const arena = Arena.create({ bytes: 1 << 20 });
  const branches = new Map(
    options.branches.map((name) => [name, Branch.create(arena, name, options.accounts, options.balance)]),
  );
  const workers = new Workers(
    options.workers,
    arena,
    [...branches.values()].map((branch) => branch.handle),
  );

  const server = createServer(async (request, response) => {
    const [status, answer] = await serve(request).catch(failure);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
  });

  /**
   * @param {import('node:http').IncomingMessage} request
   * @returns {Promise<[number, unknown]>}
   */
  async function serve(request) {
    const [, , name = '', what] = (request.url ?? '').split('/');
    const branch = branches.get(name);
    if (branch === undefined) return [404, { error: 'no such branch' }];
    /** @type {any} */
    const body = request.method === 'POST' ? await json(request) : undefined;
    switch (`${request.method} ${what ?? ''}`) {
      case 'GET ':
        return [200, await exclusively(branch, () => ({ balances: [...branch.balances], total: branch.total() }))];
      case 'POST deposits':
        await exclusively(branch, () => {
          branch.balances[body.to] = (branch.balances[body.to] ?? 0) + body.amount;
        });
        return [200, {}];
      case 'POST transfers': {
        const error = await workers.run({ branch: name, transfer: body, stall: body.stall });
        return error === undefined ? [200, {}] : [409, { error }];
      }
      default:
        return [404, { error: 'no such resource' }];
    }
  }

  return { server, workers };
}

/**
 * @param {unknown} error
 * @returns {[number, unknown]}
 */
function failure(error) {
  return [500, { error: String(error) }];
}

/**
 * Runs `section` while nobody else, on any thread, is inside the branch.
 *
 * @template T
 * @param {Branch} branch
 * @param {() => T} section
 * @returns {Promise<T>}
 */
async function exclusively(branch, section) {
  const held = await branch.mutex.acquireAsync({ timeout: 5_000 });
  try {
    branch.repair(held);
    return section();
  } finally {
    held.release();
  }
}
