/** What a profile can be asked for. */
import { checkOptionNames, HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { utf8 } from '../../memory/text.ts';
import { DELAYS, Delay, NAME_WORDS, Profile } from './layout.ts';

export interface ProfileOptions {
  /**
   * Count locks that are free, too, and how long they are held. A free lock costs some 2.5 times as much meanwhile, because its fast path
   * is not taken. @default false
   */
  holds?: boolean | undefined;
  /**
   * Locks that are held longer than the program has them, such as `'100us@accounts'`: what the service loses by that is what the lock costs it.
   * The name is a lock's, or a class's with `#` for numbers. At most 8, of up to 1 s. Asks for `holds`.
   */
  delays?: readonly string[] | undefined;
  /** Waits of so many ms are published as `holdfast:long-wait`; see docs/profile.md. @default 100 */
  longWait?: number | undefined;
}

/** What was asked for, checked. */
export interface ProfileSettings {
  readonly holds: boolean;
  readonly delays: readonly { readonly ns: number; readonly name: Uint8Array }[];
  readonly longWait: number;
}

const UNITS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** Throws EINVAL for what is no ProfileOptions. */
export function profileSettings(options: ProfileOptions): ProfileSettings {
  if (typeof options !== 'object' || options === null) {
    throw new HoldfastError('EINVAL', `expected options like { holds: true }, received ${shown(options)}`);
  }
  checkOptionNames(options, ['holds', 'delays', 'longWait']);
  const { holds = false, delays = [], longWait = 100 } = options;
  if (typeof holds !== 'boolean') throw new HoldfastError('EINVAL', `holds is true or false, received ${shown(holds)}`);
  if (!(typeof longWait === 'number' && longWait >= 1 && longWait <= 2 ** 31 - 1)) {
    throw new HoldfastError('EINVAL', `longWait is a number of ms, 1 or more; received ${shown(longWait)}`);
  }
  if (!Array.isArray(delays) || delays.length > DELAYS) {
    throw new HoldfastError(
      'EINVAL',
      `delays are at most ${DELAYS} texts like '100us@accounts', received ${shown(delays)}`,
    );
  }
  return { holds: holds || delays.length > 0, delays: delays.map(parseDelay), longWait: Math.round(longWait) };
}

function parseDelay(text: unknown): { ns: number; name: Uint8Array } {
  const [, time = '', unit = '', name = ''] =
    (typeof text === 'string' && /^(\d+(?:\.\d+)?)(ns|us|ms|s)@(.+)$/s.exec(text)) || [];
  const ns = Math.round(Number(time) * (UNITS[unit] ?? 0));
  const bytes = utf8(name);
  if (!(ns > 0 && ns <= 1e9) || bytes.length > NAME_WORDS * 4) {
    const example = `a time of up to 1s and a lock's name, such as '100us@accounts'`;
    throw new HoldfastError('EINVAL', `a delay is ${example}; received ${shown(text)}`);
  }
  return { ns, name: bytes };
}

/** Nobody records. */
export function writeSettings(cpu: Cpu, profile: number, { delays, longWait }: ProfileSettings): void {
  cpu.store(profile + Profile.longWait, longWait);
  for (const [i, { ns, name }] of delays.entries()) {
    const delay = profile + Profile.delays + i * Delay.words;
    cpu.store(delay + Delay.ns, ns);
    for (let j = 0; j < name.length; j += 4) {
      const word = [0, 1, 2, 3].reduce((sum, k) => sum | ((name[j + k] ?? 0) << (k * 8)), 0);
      cpu.store(delay + Delay.name + (j >> 2), word);
    }
    cpu.store(delay + Delay.nameLength, name.length);
  }
}
