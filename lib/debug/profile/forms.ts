/**
 * What writes profiles down: several packages, in a file of its own that is loaded when it is asked for. Its address is computed, so that an
 * application's bundler leaves it alone: a library that imports a part of itself later would make several files of a bundle.
 */
import { HoldfastError } from '../../errors.ts';
import type * as formats from '../reports/formats.ts';

export type Forms = typeof formats;

/** Rejects with ENOSYS in a bundle of the application's, which has left the file behind. */
export async function loadForms(): Promise<Forms> {
  const here = import.meta.url;
  try {
    const file = here.endsWith('.ts') ? '../reports/formats.ts' : './reports.js';
    return (await import(/* webpackIgnore: true */ /* @vite-ignore */ new URL(file, here).href)) as Forms;
  } catch (error) {
    const why = `holdfast's reports.js is not there (${(error as Error).message})`;
    throw new HoldfastError('ENOSYS', `${why}: let holdfast be external to the bundle, or keep the profile as JSON`);
  }
}
