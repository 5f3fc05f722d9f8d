/** A slab cache as a program to explore: threads that take, mark, and give back, some after a grace period; and deaths. */
import type { Arena } from '../../../../lib/arena/arena.ts';
import type { Cpu } from '../../../../lib/machine/cpu.ts';
import { CacheWords, Magazine, objectOf } from '../../../../lib/rcu/slab/layout.ts';
import { adopt, claim, give, putClaimed, splice, turn } from '../../../../lib/rcu/slab/magazine.ts';
import { CACHE_KIND } from '../../../../lib/rcu/slab/repair.ts';
import { Slabs } from '../../../../lib/rcu/slab/slabs.ts';
import type { Program } from '../../../../native-sim/explore/program.ts';
import { makeArenas, reapFor, type View } from './holdfast.ts';
import { inspectAfterDeath } from './inspection.ts';

/**
 * take: takes an object, uses it and gives it back, twice; doom: gives it to be freed later, and frees it then; several:
 * takes more than a magazine holds.
 */
export type SlabAct = 'take' | 'doom' | 'several';

const ARENA_WORDS = 1 << 13;
/** Three objects in a slab; a magazine that has given some back keeps one. */
const OBJECT_WORDS = 300;

interface Shared extends View {
  places: Slabs[];
}

/** Uses the object: a data race, or another's mark, if another thread has it, too. */
function use(cpu: Cpu, { thread, magazine, cache }: Slabs, slot: number): void {
  const object = objectOf(cpu, slot);
  cpu.write(object, thread.id);
  if (cpu.read(object) !== thread.id) throw new Error(`the object at ${object} is another thread's, too`);
  if (!claim(cpu, magazine, slot, thread.id)) throw new Error(`the object at ${object} is free already`);
  give(cpu, cache, magazine, slot, thread.id);
}

const BODIES: Record<SlabAct, (cpu: Cpu, place: Slabs) => void> = {
  take(cpu, place) {
    for (let i = 0; i < 2; i++) use(cpu, place, place.take());
  },
  several(cpu, place) {
    const slots = [place.take(), place.take(), place.take()];
    for (const slot of slots) use(cpu, place, slot);
  },
  doom(cpu, place) {
    const { cache, magazine, thread } = place;
    adopt(cpu, cache, magazine, thread.id);
    const slot = place.take();
    if (!claim(cpu, magazine, slot, thread.id)) throw new Error('an object in use is free already');
    putClaimed(cpu, magazine, magazine + Magazine.next, slot);
    turn(cpu, magazine);
    splice(cpu, cache, magazine, thread.id);
    use(cpu, place, place.take());
  },
};

/** After a death the reaper takes all that there is: each object is there once, and none is lost but those in use. */
export function slab(acts: readonly SlabAct[], deaths = 1): Program {
  const program: Program<Shared> = {
    words: ARENA_WORDS + 1,
    setup(cpu) {
      const view = makeArenas(cpu, acts.length, Number.POSITIVE_INFINITY, ARENA_WORDS, deaths);
      const [first] = view.arenas as [Arena];
      const cache = first.objects.create(CACHE_KIND);
      cpu.write(cache + CacheWords.objectWords, OBJECT_WORDS);
      cpu.write(cache + CacheWords.batch, 1);
      const places = view.arenas.map(({ thread, heap }) => new Slabs(thread, heap, cache));
      // One slab is there already, its objects in the depot and in a magazine.
      const place = places[0] as Slabs;
      const slots = [place.take(), place.take(), place.take()];
      for (const slot of slots) use(cpu, place, slot);
      return { ...view, places };
    },
    threads: acts.map((act) => (cpu: Cpu, me: number, { places }: Shared) => {
      BODIES[act](cpu, places[me] as Slabs);
    }),
    reaper(cpu, died, shared, me, inherited) {
      reapFor(shared, died, me, inherited, deaths, 2);
      const place = shared.places[me] as Slabs;
      adopt(cpu, place.cache, place.magazine, place.thread.id);
      turn(cpu, place.magazine);
      splice(cpu, place.cache, place.magazine, place.thread.id);
      for (let i = 0; i < 3; i++) {
        const slot = place.take();
        if (slot === 0) throw new Error('a death has cost the cache its memory');
        use(cpu, place, slot);
      }
    },
    check: inspectAfterDeath,
  };
  return program as unknown as Program;
}
