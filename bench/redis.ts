/**
 * What a get costs from a SharedCache, and from a Redis on the same machine, which the suite starts on loopback: one get
 * after the other, and as many at once as a pipeline may have. Values are strings, and all answers are made into strings.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { Arena, SharedCache } from '../lib/index.ts';
import { hasRedis } from './absent.ts';
import type { Effort } from './effort.ts';
import type { Figures } from './figure.ts';

const KEYS = Array.from({ length: 20_000 }, (_, i) => `user:${String(i).padStart(7, '0')}`);
const valueFor = (key: string) => `value of ${key}`;
/** Gets in a pipeline, and in each sample. */
const AT_ONCE = 100;
const SCENARIO = 'get, beside a Redis on loopback';

export async function redis(figures: Figures, { rounds, seconds }: Effort): Promise<void> {
  if (!hasRedis) return;
  const cache = new SharedCache<string, string>(Arena.create({ bytes: 32 << 20 }));
  for (const key of KEYS) cache.set(key, valueFor(key));
  const server = await Redis.start();
  try {
    for (let at = 0; at < KEYS.length; at += AT_ONCE) {
      await server.ask(KEYS.slice(at, at + AT_ONCE).map((key) => ['SET', key, valueFor(key)]));
    }
    const peers: Record<string, (keys: readonly string[]) => unknown> = {
      SharedCache: (keys) => {
        for (const key of keys) check(key, cache.get(key));
      },
      Redis: async (keys) => {
        for (const key of keys) check(key, (await server.ask([['GET', key]]))[0]);
      },
      'Redis, 100 gets in a pipeline': async (keys) => {
        const values = await server.ask(keys.map((key) => ['GET', key]));
        for (const [at, key] of keys.entries()) check(key, values[at]);
      },
    };
    for (let round = 0; round < rounds; round++) {
      for (const [peer, ask] of Object.entries(peers)) {
        figures.add(SCENARIO, peer, 'ns', (await best(ask, seconds)) / AT_ONCE);
      }
    }
  } finally {
    server.stop();
  }
}

/** The shortest of the samples taken in that time, ns: only others can make one longer. */
async function best(ask: (keys: readonly string[]) => unknown, seconds: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY;
  const end = performance.now() + seconds * 1000;
  for (let at = 0; performance.now() < end; at = (at + AT_ONCE) % KEYS.length) {
    const keys = KEYS.slice(at, at + AT_ONCE);
    const start = performance.now();
    const asked = ask(keys);
    if (asked instanceof Promise) await asked;
    least = Math.min(least, performance.now() - start);
  }
  return least * 1e6;
}

function check(key: string, value: string | undefined): void {
  if (value === undefined || value.length !== valueFor(key).length) throw new Error(`${key} has ${value}`);
}

/** A server of the suite's own, and one connection to it. */
class Redis {
  readonly #socket: Socket;
  readonly #stop: () => void;
  #received = '';
  #missing = 0;
  #answers: string[] = [];
  #settle: ((answers: string[]) => void) | undefined;

  static async start(): Promise<Redis> {
    const port = await freePort();
    const options = `--bind 127.0.0.1 --port ${port} --save '' --appendonly no`;
    // Ends with this process, however that ends: its standard input does.
    const server = spawn('sh', ['-c', `redis-server ${options} & read -r end; kill $!`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const log: string[] = [];
    for await (const line of createInterface({ input: server.stdout })) {
      log.push(line);
      if (!line.includes('Ready to accept connections')) continue;
      server.stdout.resume();
      const socket = connect(port, '127.0.0.1').setNoDelay(true);
      await once(socket, 'connect');
      return new Redis(socket, () => server.stdin.end());
    }
    throw new Error(`redis-server did not start:\n${log.join('\n')}`);
  }

  private constructor(socket: Socket, stop: () => void) {
    this.#socket = socket.setEncoding('latin1');
    this.#stop = stop;
    socket.on('data', (text: string) => this.#take(text));
  }

  /** Sends commands at once, and resolves to their answers. */
  ask(commands: readonly (readonly string[])[]): Promise<string[]> {
    this.#missing = commands.length;
    this.#answers = [];
    let request = '';
    for (const words of commands) {
      request += `*${words.length}\r\n`;
      for (const word of words) request += `$${word.length}\r\n${word}\r\n`;
    }
    this.#socket.write(request, 'latin1');
    return new Promise((resolve) => (this.#settle = resolve));
  }

  stop(): void {
    this.#socket.destroy();
    this.#stop();
  }

  /** Answers are a line, or `$` and a length and so many characters. */
  #take(text: string): void {
    const received = this.#received + text;
    let at = 0;
    for (;;) {
      const end = received.indexOf('\r\n', at);
      if (end < 0) break;
      const line = received.slice(at, end);
      if (line.startsWith('-')) throw new Error(`Redis answers ${line}`);
      if (line.startsWith('$')) {
        const length = Number(line.slice(1));
        const next = end + 2 + length + 2;
        if (received.length < next) break;
        this.#answers.push(received.slice(end + 2, next - 2));
        at = next;
      } else {
        this.#answers.push(line);
        at = end + 2;
      }
      this.#missing--;
    }
    this.#received = received.slice(at);
    if (this.#missing === 0) this.#settle?.(this.#answers);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
