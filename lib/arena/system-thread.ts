/** What a system thread does, from its start to its end: kthreadd, or a thread that it has started for one task. */
import { parentPort } from 'node:worker_threads';
import { setInterval } from '../machine/host.ts';
import { Arena, type ArenaHandle } from './arena.ts';
import { Kthreadd, runTask, type SystemThreadData } from './kthreadd.ts';

/** The longest interval of a host timer, ms. */
const LONG_MS = 2 ** 31 - 1;

export async function runSystemThread({ arena: handle, maker, record }: SystemThreadData): Promise<void> {
  const alive = setInterval(() => {}, LONG_MS);
  if (maker !== undefined) await serve(handle as ArenaHandle, maker);
  else if (record !== undefined) await runOne(Arena.attach(handle as ArenaHandle), record);
  clearInterval(alive);
}

async function serve(handle: ArenaHandle, maker: number): Promise<void> {
  const arena = Arena.attachSystem(handle);
  const kthreadd = new Kthreadd(arena);
  if (kthreadd.begin(maker)) await kthreadd.serve();
}

async function runOne(arena: Arena, record: number): Promise<void> {
  const control = new AbortController();
  parentPort?.on('message', () => control.abort()).unref();
  await runTask(arena, record, control.signal);
}
