/** The observer's own thread. */
import { createServer } from 'node:http';
import { parentPort } from 'node:worker_threads';
import { Arena } from '../../arena/arena.ts';
import { holdfastHandler } from './handler.ts';
import type { ObserverData, ObserverReport } from './observer.ts';

export function serve({ arena: handle, port, host, profile }: ObserverData): void {
  const say = (report: ObserverReport) => parentPort?.postMessage(report);
  const fail = (error: unknown) => {
    const { code = 'EIO', message } = error as Error & { code?: string };
    say({ code, message });
    parentPort?.close();
  };
  try {
    const arena = Arena.attach(handle);
    const handler = holdfastHandler(arena, { profile });
    const server = createServer(handler);
    const end = () => {
      handler.close();
      arena.detach();
    };
    server.once('error', (error) => {
      end();
      fail(error);
    });
    server.listen(port, host, () => {
      const address = server.address();
      const shown = host.includes(':') ? `[${host}]` : host;
      say({ url: `http://${shown}:${typeof address === 'object' ? address?.port : port}/` });
    });
    parentPort?.once('message', () => {
      server.close();
      server.closeAllConnections();
      end();
    });
  } catch (error) {
    fail(error);
  }
}
