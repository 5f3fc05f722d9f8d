import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import { type Limits, PIN_ON_USE, PINNED_ALL } from './layout.ts';

/** The first SharedCache of a name says what its limits are. */
export interface SharedCacheOptions {
  /** The most entries. @default as many as the arena has memory for */
  max?: number | undefined;
  /** The most bytes of entries: each takes 52 and those of key and value, in blocks of a multiple of 32. @default the arena's */
  maxBytes?: number | undefined;
  /** The most bytes of entries that are pinned. @default maxBytes */
  maxPinnedBytes?: number | undefined;
  /** After how many ms an entry is too old; 0 for never. @default 0 */
  ttl?: number | undefined;
}

/** Which entries `pinAll` pins, and when. */
export interface CachePinOptions {
  /** Those that are there now. @default true */
  current?: boolean | undefined;
  /** Those that come in from now on. @default false */
  future?: boolean | undefined;
  /** Each of them not before it is used. @default false */
  onFirstUse?: boolean | undefined;
}

const UNLIMITED = 2 ** 31 - 1;

export function limitsOf(options: SharedCacheOptions): Limits {
  checkOptionNames(options, ['max', 'maxBytes', 'maxPinnedBytes', 'ttl']);
  const words = bytesIn('maxBytes', options.maxBytes, UNLIMITED);
  return {
    entries: countIn('max', options.max),
    words,
    pinned: bytesIn('maxPinnedBytes', options.maxPinnedBytes, words),
    ttl: timeToLive(options.ttl ?? 0),
  };
}

/** What `pinAll` sets in the entries that are there, if in any, and what in new ones. Throws EINVAL for what it can't do. */
export function pinningOf(options: CachePinOptions): { isCurrent: boolean; flag: number; pinning: number } {
  checkOptionNames(options, ['current', 'future', 'onFirstUse']);
  const { current = true, future = false, onFirstUse = false } = options;
  for (const [name, value] of Object.entries({ current, future, onFirstUse })) {
    if (typeof value !== 'boolean') {
      throw new HoldfastError('EINVAL', `${name} is true or false, received ${shown(value)}`);
    }
  }
  if (!current && !future) throw new HoldfastError('EINVAL', 'pinAll() of neither what is there nor what comes in');
  const flag = onFirstUse ? PIN_ON_USE : PINNED_ALL;
  return { isCurrent: current, flag, pinning: future ? flag : 0 };
}

/** Throws EINVAL for what is no time that an entry lives, ms. */
export function timeToLive(ttl: number): number {
  if (typeof ttl !== 'number' || !(ttl >= 0 && ttl <= 2 ** 50)) {
    throw new HoldfastError('EINVAL', `ttl is a number of milliseconds, 0 for ever; received ${shown(ttl)}`);
  }
  return Math.ceil(ttl);
}

function countIn(name: string, value: number | undefined): number {
  if (value === undefined) return UNLIMITED;
  if (Number.isInteger(value) && value >= 1 && value <= UNLIMITED) return value;
  throw new HoldfastError('EINVAL', `${name} is a whole number from 1 to ${UNLIMITED}; received ${shown(value)}`);
}

function bytesIn(name: string, value: number | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  if (Number.isInteger(value) && value >= 0 && value <= 4 * UNLIMITED) return Math.floor(value / 4);
  throw new HoldfastError('EINVAL', `${name} is a whole number of bytes, at least 0; received ${shown(value)}`);
}
