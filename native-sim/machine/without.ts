/**
 * The four causes for which a store is seen late or out of order, each of which can be taken out of a machine, to see what
 * it is there for: what the machine is slower without it, and which weak outcomes it no longer shows.
 */
import { type Profile, SimError } from './profile.ts';

export const CAUSES = ['write-back', 'lazy-coherence', 'store-buffer', 'out-of-order'] as const;
export type Cause = (typeof CAUSES)[number];

/** Checks a list that a person has written. Throws SimError. */
export function parseCauses(names: readonly string[]): Cause[] {
  for (const name of names) {
    if (!CAUSES.includes(name as Cause)) {
      throw new SimError(`without must be some of ${CAUSES.join(', ')}; received ${name}`);
    }
  }
  return CAUSES.filter((cause) => names.includes(cause));
}

/**
 * The machine without `causes`. Without `write-back` a store goes on to memory at once: `Machine` and `MemorySystem` do
 * that, as the profile says nothing about it. Without `lazy-coherence` an invalidation is acknowledged when it has been
 * carried out; without `store-buffer` a core waits until its store is visible; without `out-of-order` it makes its loads in
 * order, and its stores become visible in order.
 */
export function withoutCauses(profile: Profile, causes: readonly Cause[]): Profile {
  if (causes.length === 0) return profile;
  const { model } = profile;
  return {
    ...profile,
    name: `${profile.name} without ${causes.join(', ')}`,
    ...(causes.includes('lazy-coherence') ? { invalidateQueue: { ...profile.invalidateQueue, entries: 0 } } : {}),
    ...(causes.includes('store-buffer') ? { storeBuffer: { ...profile.storeBuffer, entries: 0 } } : {}),
    ...(causes.includes('out-of-order') && model !== 'sc' ? { model: 'x86-tso' } : {}),
  };
}
