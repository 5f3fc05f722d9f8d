import { type Arena, type ObjectHandle, WwClass, WwMutex, type WwPolicy } from '../../lib/index.ts';
import { arrive, awaitArrivals, sayAndStay } from '../support/stage.ts';

/** Each round takes a random set of the locks, some tasks at a time on the event loop, and counts in each lock's word. */
export async function transfer(
  arena: Arena,
  policy: WwPolicy,
  handles: ObjectHandle[],
  counters: number,
  rounds: number,
  size: number,
  seed: number,
  injectDeadlocks: boolean,
): Promise<{ taken: number; backOffs: number; torn: number }> {
  const wwClass = new WwClass(arena, 'ww', { policy });
  const locks = handles.map((handle) => WwMutex.from(wwClass, handle));
  const { words } = arena;
  let [state, taken, backOffs, torn] = [seed, 0, 0, 0];
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >> 8) % below;
  };
  const pick = () => {
    const chosen = new Set<number>();
    while (chosen.size < size) chosen.add(random(locks.length));
    return [...chosen];
  };
  const count = (chosen: number[]) => {
    for (const i of chosen) {
      const at = counters + 2 * i;
      const value = words[at] as number;
      if (words[at + 1] !== value) torn++;
      words[at] = value + 1;
      words[at + 1] = value + 1;
    }
    taken += chosen.length;
  };
  const flow = async () => {
    for (let round = 0; round < rounds; round++) {
      const chosen = pick();
      using context = wwClass.beginAsync({ injectDeadlocks });
      await context.acquireAllAsync(chosen.map((i) => locks[i] as WwMutex));
      count(chosen);
      await new Promise((resolve) => setImmediate(resolve));
      backOffs += context.backOffs;
    }
  };
  const flows = [flow(), flow(), flow()];
  await Promise.all(flows);
  for (let round = 0; round < rounds; round++) {
    const chosen = pick();
    using context = wwClass.begin({ injectDeadlocks });
    context.acquireAll(chosen.map((i) => locks[i] as WwMutex));
    count(chosen);
    backOffs += context.backOffs;
  }
  return { taken, backOffs, torn };
}

/** Takes `first` and, once `stage` is 2, `second`; whether it had to back off. */
export function cross(arena: Arena, policy: WwPolicy, first: string, second: string, stage: number): boolean {
  const wwClass = new WwClass(arena, 'ww', { policy });
  const [a, b] = [new WwMutex(wwClass, first), new WwMutex(wwClass, second)];
  using context = wwClass.begin();
  a.lock(context);
  arrive(arena, stage);
  awaitArrivals(arena, stage, 2);
  try {
    b.lock(context);
    return false;
  } catch (error) {
    if ((error as { code: string }).code !== 'EDEADLK') throw error;
  }
  // By wait-die, it has to back off again while the older one, which lets go of one lock after the other, has only let
  // go of the first.
  for (let [inTheWay, other] = [b, a]; ; [inTheWay, other] = [other, inTheWay]) {
    context.unlockAll();
    inTheWay.lockSlow(context);
    if (other.attempt(context)) return true;
  }
}

/** Takes all the locks, and never lets go. */
export function holdForEver(arena: Arena, names: string[], stage: number): Promise<never> {
  const wwClass = new WwClass(arena, 'ww');
  wwClass.begin().acquireAll(names.map((name) => new WwMutex(wwClass, name)));
  return sayAndStay(arena, stage);
}
