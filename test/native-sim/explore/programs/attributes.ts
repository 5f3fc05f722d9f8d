/**
 * A queue gets other attributes while an item comes, and while a third thread goes through its pwqs: the item is in a pool that the queue
 * has, and nobody comes across a pwq that is not complete.
 */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { applyAttributes } from '../../../../lib/workqueue/attributes.ts';
import { Item, itemAt, PENDING, Pool, Pwq, Root, Wq } from '../../../../lib/workqueue/layout.ts';
import { openPoolFor, openRoot } from '../../../../lib/workqueue/objects.ts';
import { FREEZABLE, UNBOUND } from '../../../../lib/workqueue/options.ts';
import { WorkerPool } from '../../../../lib/workqueue/pool.ts';
import { adjust } from '../../../../lib/workqueue/pool-care.ts';
import { currentPwq, pwqsOf } from '../../../../lib/workqueue/pwqs.ts';
import { NEEDY } from '../../../../lib/workqueue/watch.ts';
import type { FinalMemory, Program } from '../../../../native-sim/explore/program.ts';
import { makeQueues } from '../../../workqueue/needy.ts';
import { makeArenas, type View } from './holdfast.ts';

const ARENA_WORDS = 16_384;

interface Shared extends View {
  root: number;
  wq: number;
  item: number;
  pools: readonly number[];
}

/** What the third thread does to all pwqs: nothing, or it freezes the queue. */
export function attributes(third: 'looks' | 'freezes'): Program {
  const view = ({ cpu, thread }: Arena, pool: number) => new WorkerPool(cpu, pool, thread.id, () => {});
  const program: Program<Shared> = {
    words: ARENA_WORDS,
    setup(cpu) {
      const made = makeArenas(cpu, 3, Number.POSITIVE_INFINITY, ARENA_WORDS, 0);
      const [arena] = made.arenas as [Arena];
      const { root, pool, queues, slab } = makeQueues(arena, { slots: 2 }, [UNBOUND | FREEZABLE]);
      const other = openPoolFor(arena, openRoot(arena), 5, [0, 1]);
      // Without the steps of a timer, which is another matter.
      for (const each of [pool, other]) cpu.write(each + Pool.watched, NEEDY);
      return { ...made, root, wq: queues[0] as number, item: itemAt(slab, 0), pools: [pool, other] };
    },
    threads: [
      (cpu: Cpu, _me: number, { arenas, wq, item }: Shared) => {
        const pwq = currentPwq(cpu, wq);
        cpu.write(item + Item.pwq, pwq);
        cpu.storeUnordered(item + Item.state, PENDING);
        view(arenas[0] as Arena, cpu.read(pwq + Pwq.pool)).queue(item, item);
      },
      (_cpu: Cpu, _me: number, { arenas, wq }: Shared) => {
        const arena = arenas[1] as Arena;
        applyAttributes(arena, wq, { nice: 5 }, (pool) => view(arena, pool));
      },
      (cpu: Cpu, _me: number, { arenas, wq, root }: Shared) => {
        if (third === 'freezes') cpu.xchg(root + Root.frozen, 1);
        for (const pwq of pwqsOf(cpu, wq)) {
          const pool = cpu.read(pwq + Pwq.pool);
          if (third === 'freezes') adjust(view(arenas[2] as Arena, pool), pwq);
        }
      },
    ],
    check(memory: FinalMemory, { wq, item, pools }) {
      const added = memory.read(wq + Wq.added);
      if (added === 0 || memory.read(wq + Wq.current) === wq + Wq.pwqs)
        throw new Error('the attributes are not applied');
      const isThere = pools.some(
        (pool) => memory.read(pool + Pool.incoming) === item || memory.read(pool + Pool.first) === item,
      );
      const isListed = memory.read(item + Item.state) !== PENDING;
      if (!isThere && !isListed) throw new Error('the item is in no pool');
      const limits = [wq + Wq.pwqs, memory.read(wq + Wq.current)].map((pwq) => memory.read(pwq + Pwq.maxActive));
      if (third === 'freezes' && limits.some((limit) => limit !== 0)) throw new Error('a pwq is not frozen');
    },
  };
  return program as unknown as Program;
}
