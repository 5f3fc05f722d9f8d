/** What tests of a pool begin with that may have no worker for its items. */
import type { Arena } from '../../lib/arena/arena.ts';
import { pwqAt } from '../../lib/workqueue/layout.ts';
import { makePort, makeSlab, openPool, openRoot, openWq } from '../../lib/workqueue/objects.ts';

/** A pool of that slot, -1 for none, and a queue in it for each of `flags`. */
export function makeQueues(
  arena: Arena,
  { slot = -1, slots = 1, maxWorkers = 1, maxActive = 4 },
  flags: readonly number[],
) {
  const root = openRoot(arena, { slots, maxWorkers, maxAwaited: 8 });
  const pool = openPool(arena, root, slot, false);
  const queues = flags.map((each, i) => openWq(arena, `wq ${i}`, each, maxActive, [pool]));
  const port = makePort(arena);
  const slab = makeSlab(arena, port, 0, 0);
  return { root: root.address, pool, queues, pwqs: queues.map((wq) => pwqAt(wq, 0)), port, slab };
}
