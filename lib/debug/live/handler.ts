/** What goes on in an arena, by HTTP. It says how locks are called and who waits for them, and nothing of the program's data. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Arena } from '../../arena/arena.ts';
import { DETACHED } from '../../sched/thread.ts';
import { loadForms } from '../profile/forms.ts';
import { Live } from './live.ts';
import { METRICS_TYPE, metricsText } from './metrics.ts';
import type { LiveOptions } from './options.ts';
import { workqueuesState } from './workqueues.ts';

/** A request handler of `node:http`, Express, Connect; see `holdfastHandler`. */
export interface LiveHandler extends Disposable {
  (request: IncomingMessage, response: ServerResponse, next?: () => void): void;
  /** Ends the profile. Requests are answered as before, without one. */
  close(): void;
}

interface Answer {
  readonly type: string;
  readonly body: string | Uint8Array;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const HTML_TYPE = 'text/html; charset=utf-8';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/**
 * A handler that serves what goes on in the arena, to be mounted where only the operators come:
 *
 *   GET /                  a page: threads, who waits for whom, deadlocks, the hottest locks
 *   GET /state             the same, as JSON: `ArenaState`
 *   GET /waits             `arena.waits()`, as JSON
 *   GET /objects           `arena.list()`, as JSON
 *   GET /workqueues        the workqueues, with histograms of how long items wait and take, as JSON
 *   GET /metrics           for Prometheus
 *   GET /debug/pprof/block for `go tool pprof`, by where calls have waited; `?seconds=5`: of the next 5 seconds (up to 60), and not
 *                          since it was mounted
 *   GET /debug/pprof/mutex the same, by the unlocks that ended the waiting
 *
 * Other paths go to `next`, or are answered by 404. It runs on the event loop that it is mounted in, and so does not answer
 * while that is blocked, as it is in a deadlock: `observe` has a thread of its own. Handlers and metrics of one thread share a
 * profile; beside a profile of another thread they have none. Throws EINVAL for what is no arena, and ENOMEM when there is no
 * room for a profile's tables.
 */
export function holdfastHandler(arena: Arena, options: LiveOptions = {}): LiveHandler {
  const live = new Live(arena, options, 'holdfastHandler');
  const handler = (request: IncomingMessage, response: ServerResponse, next?: () => void) => {
    const target = targetOf(request);
    const answer = answerFor(target);
    if (target === undefined || answer === undefined) {
      if (next !== undefined) next();
      else send(response, 404, { type: TEXT_TYPE, body: `not found: ${Object.keys(ANSWERS).join(' ')}\n` });
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.setHeader('allow', 'GET, HEAD');
      send(response, 405, { type: TEXT_TYPE, body: 'only GET and HEAD\n' });
      return;
    }
    // A socket that breaks while it is written to must not end the process.
    response.on('error', () => {});
    answer(live, target.searchParams, response).then(
      (content) => send(response, 200, content),
      (error) => {
        send(response, statusOf(live, error), { type: TEXT_TYPE, body: `${(error as Error)?.message ?? error}\n` });
      },
    );
  };
  const close = () => live.close();
  return Object.assign(handler, { close, [Symbol.dispose]: close });
}

type Answerer = (live: Live, query: URLSearchParams, response: ServerResponse) => Promise<Answer>;

const ANSWERS: Readonly<Record<string, Answerer>> = {
  '/': async (live) => ({ type: HTML_TYPE, body: (await loadForms()).livePage(live.state()) }),
  '/state': async (live) => ({ type: JSON_TYPE, body: JSON.stringify(live.state()) }),
  '/waits': async (live) => ({ type: JSON_TYPE, body: JSON.stringify(live.arena.waits()) }),
  '/objects': async (live) => ({ type: JSON_TYPE, body: JSON.stringify(live.arena.list()) }),
  '/workqueues': async ({ arena }) => ({ type: JSON_TYPE, body: JSON.stringify(workqueuesState(arena)) }),
  '/metrics': async (live) => ({ type: METRICS_TYPE, body: metricsText(live.state()) }),
  '/debug/pprof/block': (live, query, response) => pprof(live, query, response, 'block'),
  '/debug/pprof/mutex': (live, query, response) => pprof(live, query, response, 'mutex'),
};

async function pprof(
  live: Live,
  query: URLSearchParams,
  response: ServerResponse,
  charged: 'block' | 'mutex',
): Promise<Answer> {
  const forms = await loadForms();
  const profile = await live.profileOf(query.get('seconds'), response);
  return { type: 'application/octet-stream', body: forms.pprofOf(profile, charged) };
}

/** Undefined for what is no URL, such as `//`: a request must not be able to end the process. */
function targetOf({ url = '/' }: IncomingMessage): URL | undefined {
  return URL.canParse(url, 'http://localhost') ? new URL(url, 'http://localhost') : undefined;
}

function answerFor(target: URL | undefined): Answerer | undefined {
  return target !== undefined && Object.hasOwn(ANSWERS, target.pathname) ? ANSWERS[target.pathname] : undefined;
}

function send(response: ServerResponse, status: number, { type, body }: Answer): void {
  // The program may have answered in the handler's place: a timeout of its own, say.
  if (response.headersSent || response.destroyed) return;
  const { length } = Buffer.from(body);
  response.writeHead(status, { 'content-type': type, 'content-length': length, 'cache-control': 'no-store' });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}

function statusOf({ arena }: Live, error: unknown): number {
  if (arena.thread.self === DETACHED) return 503;
  const code = (error as { code?: unknown })?.code;
  return code === 'EINVAL' ? 400 : code === 'EBUSY' || code === 'ENOSYS' ? 503 : 500;
}
