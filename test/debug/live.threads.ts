import { type Arena, Mutex } from '../../lib/index.ts';
import { say } from '../support/stage.ts';
import { asleep } from '../support/threads.ts';

/** Asks `url` while another thread sleeps for the mutex in a synchronous call. Says at `ready` that it has the mutex. */
export async function askBeside(arena: Arena, name: string, ready: number, url: string): Promise<unknown> {
  const mutex = new Mutex(arena, name);
  const held = mutex.acquire();
  say(arena, ready, 1);
  await asleep(arena, 1, mutex.address);
  const response = await fetch(url);
  const said = await response.json();
  held.release();
  return said;
}
