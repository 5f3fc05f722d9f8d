/** Profiles as files and as text, for programs. What makes them is loaded when it is asked for. */
import { writeFile } from 'node:fs/promises';
import { HoldfastError, shown } from '../../errors.ts';
import { loadForms } from './forms.ts';
import type { ContentionProfile } from './read.ts';

/**
 * Writes a profile in the form that the file's name ends in: `.html`, a report with everything; `.txt`, the tables for a terminal;
 * `.json`; `.pb.gz`, for `go tool pprof` and the like; `.collapsed`, stacks for flame graphs; `.lock_stat`, as /proc/lock_stat; `.hlog`, histograms for
 * HdrHistogram's readers.
 * Rejects with EINVAL for another name, with ENOSYS in a bundle of the application's, which does not have what makes these files,
 * and with the system's error when the file can't be written.
 */
export async function saveProfile(profile: ContentionProfile, file: string): Promise<void> {
  const { FORMATS, formatFor } = await loadForms();
  const format = typeof file === 'string' ? formatFor(file) : undefined;
  if (format === undefined) {
    const ends = Object.keys(FORMATS).join(', ');
    throw new HoldfastError('EINVAL', `a profile's file ends in one of ${ends}; received ${shown(file)}`);
  }
  await writeFile(file, format(profile));
}

/** A profile as tables for a terminal that is `width` characters wide. Rejects with ENOSYS as `saveProfile`. */
export async function profileTable(profile: ContentionProfile, width = 80): Promise<string> {
  const { profileText } = await loadForms();
  return profileText(profile, width);
}
