/** A worker's side of the RCU torture: plays its part until it is told to stop, or to leave, and leaves the arena. */
import { parentPort, workerData } from 'node:worker_threads';
import { Arena } from '../../arena/arena.ts';
import { type Part, Performer, type Role, type Said } from './performer.ts';
import { flood, postCallbacks, testBarriers } from './pressure.ts';
import { read } from './reader.ts';
import { slowPeriods } from './slow-periods.ts';
import { write, writeNothing } from './writer.ts';

const tell = (line: string) => parentPort?.postMessage({ line } satisfies Said);

const ROLES: Readonly<Record<Role, (performer: Performer) => Promise<void>>> = {
  reader: read,
  writer: write,
  fakewriter: writeNothing,
  callback: postCallbacks,
  barrier: testBarriers,
  flood: (performer) => flood(performer, tell),
};

export async function runRcuTortureThread(): Promise<void> {
  const part = workerData as Part;
  const arena = Arena.attach(part.arena);
  const performer = new Performer(arena, part);
  const { rcu } = performer.side;
  slowPeriods(arena.cpu, rcu.address, part.delays, performer.random, (ms) => performer.nap(ms));
  await ROLES[part.role](performer);
  await rcu.barrierAsync();
  arena.detach();
}
