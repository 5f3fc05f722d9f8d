/** A part of a profile: as `perf lock contention` has its filters. */
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { ContentionProfile, StackContention } from './read.ts';

export interface ProfileFilter {
  /** A lock's name, or what reports call it or its class, with `*` for any text. */
  lock?: string | undefined;
  /** The number of a thread, which waits, or holds, or gives back. */
  thread?: number | undefined;
  /** A text in one of the frames, as reports show them: `name (file:line:column)`. */
  caller?: string | undefined;
}

/**
 * What the filter leaves of a profile. Places, unlocks and pairs are those of it alone; a lock's own figures are of all threads and
 * places, and locks are left out of which none of these is left. Throws EINVAL for what is no filter.
 */
export function filterProfile(profile: ContentionProfile, filter: ProfileFilter): ContentionProfile {
  checkOptionNames(filter, ['lock', 'thread', 'caller']);
  const { lock, thread, caller } = filter;
  for (const text of [lock, caller]) {
    if (text !== undefined && typeof text !== 'string') {
      throw new HoldfastError('EINVAL', `a filter has texts and the number of a thread, received ${shown(text)}`);
    }
  }
  if (thread !== undefined && !Number.isInteger(thread)) {
    throw new HoldfastError('EINVAL', `thread is the number of a thread, received ${shown(thread)}`);
  }
  const isOfLock = lockMatcher(lock);
  const isOfThread = (...threads: number[]) => thread === undefined || threads.includes(thread);
  const isPlace = (place: StackContention) =>
    isOfLock(place) && isOfThread(place.thread) && (caller === undefined || hasCaller(place, caller));
  const stacks = profile.stacks.filter(isPlace);
  const unlocks = profile.unlocks.filter(isPlace);
  const waits = profile.waits.filter((pair) => isOfLock(pair) && isOfThread(pair.waiter, pair.holder));
  const left = new Set([...stacks, ...unlocks, ...(caller === undefined ? waits : [])].map((part) => part.lock));
  const isPart = thread !== undefined || caller !== undefined;
  const locks = profile.locks.filter((row) => isOfLock(row) && (!isPart || left.has(row.lock)));
  return { ...profile, locks, stacks, unlocks, waits: caller === undefined ? waits : [] };
}

function hasCaller({ frames }: StackContention, text: string): boolean {
  return frames.some(({ name, file, line, column }) => `${name} (${file}:${line}:${column})`.includes(text));
}

function lockMatcher(lock: string | undefined): (part: { readonly lock: string; readonly class: string }) => boolean {
  if (lock === undefined) return () => true;
  const texts = lock.split('*').map((text) => text.replace(/[\\^$.+?()[\]{}|]/g, '\\$&'));
  const pattern = new RegExp(`^(?:.*")?${texts.join('.*')}"?$`, 's');
  return (part) => pattern.test(part.lock) || pattern.test(part.class);
}
