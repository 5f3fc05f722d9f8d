import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';

export interface LiveOptions {
  /**
   * Keep a profile of contention, for as long as it is served: the hottest locks, and the counters of waits. It costs about a
   * tenth of a contended lock's throughput, and nothing where nobody waits. Default true.
   */
  profile?: boolean | undefined;
}

/** Whether to profile. Throws EINVAL for what is no LiveOptions; `further`: names of other options that the caller has. */
export function wantsProfile(options: LiveOptions, further: readonly string[] = []): boolean {
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('EINVAL', `expected options like { profile: false }, received ${shown(options)}`);
  }
  checkOptionNames(options, ['profile', ...further]);
  const { profile = true } = options;
  if (typeof profile !== 'boolean') {
    throw new HoldfastError('EINVAL', `profile is true or false, received ${shown(profile)}`);
  }
  return profile;
}
