/** The forms in which a contention profile can be written, and what is written of an arena that runs. */
import type { ContentionProfile } from '../profile/read.ts';
import { collapsedStacks } from './collapsed.ts';
import { hdrLog } from './hdr-log.ts';
import { profilePage } from './html.ts';
import { livePage } from './live.ts';
import { lockStatText } from './lock-stat.ts';
import { pprofOf } from './pprof.ts';
import { profileText } from './terminal.ts';

/** By the end of the file's name: the first that fits. */
export const FORMATS: Readonly<Record<string, (profile: ContentionProfile) => string | Uint8Array>> = {
  'mutex.pb.gz': (profile) => pprofOf(profile, 'mutex'),
  '.html': profilePage,
  '.json': (profile) => `${JSON.stringify(profile)}\n`,
  '.pb.gz': (profile) => pprofOf(profile),
  '.collapsed': collapsedStacks,
  '.lock_stat': lockStatText,
  '.hlog': hdrLog,
  '.txt': (profile) => profileText(profile, 120),
};

/** The profile in the form that the file's name asks for; undefined for a name that asks for none. */
export function formatFor(file: string): ((profile: ContentionProfile) => string | Uint8Array) | undefined {
  return Object.entries(FORMATS).find(([end]) => file.endsWith(end))?.[1];
}

export { livePage, pprofOf, profileText };
