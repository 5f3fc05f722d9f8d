/**
 * Profiles of programs that know nothing of it: `HOLDFAST_PROFILE=report.html node app.js`, or `node --import holdfast/profile`.
 * Each arena that the process makes is profiled from then on, by the thread that made it; when that thread ends, the profile goes
 * to the files, and the tables to the standard error stream.
 *
 * What is asked for is in the global object under a registered symbol, or else in the environment: names of files, with commas
 * between; `-` for the tables only. HOLDFAST_PROFILE_OPTIONS may have `ProfileOptions`, as JSON. A second arena's files have a number in their names.
 */
import { Arena } from '../../arena/arena.ts';
import { report } from '../../arena/spawn.ts';
import { numbered, whenThreadEnds, writeReport } from '../ending.ts';
import { filterProfile, type ProfileFilter } from './filter.ts';
import { type Forms, loadForms } from './forms.ts';
import type { ProfileOptions } from './options.ts';
import { type ProfileSession, startProfile } from './session.ts';

export const ASKED = Symbol.for('holdfast.profile');
const TABLES_ONLY = '-';

const sessions: ProfileSession[] = [];
let formats: Forms | undefined;

/** The program has loaded what makes the files: also a program that ends before its event loop turns can have them. */
export function useFormats(loaded: Forms): void {
  formats = loaded;
}

function asked(): string | undefined {
  const value = (globalThis as { [ASKED]?: unknown })[ASKED] ?? process.env.HOLDFAST_PROFILE;
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** What HOLDFAST_PROFILE_OPTIONS says: `ProfileOptions`, and as `filter` a `ProfileFilter` for what is written. */
function optionsAsked(): { readonly options: ProfileOptions; readonly filter: ProfileFilter } {
  const { HOLDFAST_PROFILE_OPTIONS: text } = process.env;
  const { filter = {}, ...options } = (text ? JSON.parse(text) : {}) as ProfileOptions & { filter?: ProfileFilter };
  return { options, filter };
}

function begin(arena: Arena): void {
  if (asked() === undefined) return;
  try {
    sessions.push(startProfile(arena, optionsAsked().options));
  } catch (error) {
    process.emitWarning(`an arena is not profiled: ${(error as Error).message}`, { type: 'HoldfastWarning' });
    return;
  }
  if (sessions.length > 1) return;
  whenThreadEnds(end);
  // A bundle of the application's does not have them: its profiles are JSON.
  if (formats === undefined) loadForms().then(useFormats, () => {});
}

function end(): void {
  for (const [i, session] of sessions.entries()) {
    const profile = filterProfile(session.stop(), optionsAsked().filter);
    const files = (asked() ?? TABLES_ONLY).split(',').filter((file) => file !== TABLES_ONLY && file !== '');
    if (formats !== undefined) report(formats.profileText(profile, process.stderr.columns ?? 80).trimEnd());
    for (const file of files) {
      // A program that never let its event loop turn has not loaded the other forms.
      const format = formats?.formatFor(file);
      const isReady = format !== undefined || file.endsWith('.json');
      const name = numbered(isReady ? file : `${file}.json`, i);
      writeReport('profile', name, format?.(profile) ?? `${JSON.stringify(profile)}\n`);
    }
  }
}

Arena.onCreate.push(begin);
