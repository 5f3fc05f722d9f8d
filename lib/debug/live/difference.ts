import type { ContentionProfile, StackContention } from '../profile/read.ts';

/** The places of a profile, with what was waited there after `before` was read of the same session. */
export function difference(profile: ContentionProfile, before: ContentionProfile): ContentionProfile {
  const startedAt = new Date(Date.parse(profile.startedAt) + before.duration / 1e6).toISOString();
  return {
    ...profile,
    startedAt,
    duration: profile.duration - before.duration,
    stacks: since(profile.stacks, before.stacks),
    unlocks: since(profile.unlocks, before.unlocks),
  };
}

function since(stacks: readonly StackContention[], before: readonly StackContention[]): StackContention[] {
  const counted = new Map(before.map((stack) => [keyOf(stack), stack]));
  return stacks
    .map((stack) => {
      const { contentions = 0, delay = 0 } = counted.get(keyOf(stack)) ?? {};
      return { ...stack, contentions: stack.contentions - contentions, delay: stack.delay - delay };
    })
    .filter(({ contentions }) => contentions > 0);
}

function keyOf({ lock, shared, thread, async, frames }: StackContention): string {
  return JSON.stringify([lock, shared, thread, async, frames]);
}
