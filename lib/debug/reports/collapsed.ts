/** A contention profile as collapsed stacks, for flame graphs: a line for each place and lock, the outermost frame first, and ns. */
import type { ContentionProfile } from '../profile/read.ts';
import { placesOf } from './terminal.ts';

export function collapsedStacks({ stacks }: ContentionProfile): string {
  return placesOf(stacks)
    .map(({ lock, frames, delay }) => {
      const calls = frames.map(({ name, file, line }) => `${name === '' ? '(top level)' : name} ${file}:${line}`);
      return `${[...calls.reverse(), `[${lock}]`].map((part) => part.replaceAll(';', ':')).join(';')} ${delay}\n`;
    })
    .join('');
}
