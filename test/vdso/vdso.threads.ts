import { type Arena, CLOCK_MONOTONIC, CLOCK_MONOTONIC_COARSE, Vdso } from '../../lib/index.ts';
import { say } from '../support/stage.ts';

/** Answers each 1 in the word with the time, until it is told 3. */
export function answers(arena: Arena, word: number, times: Float64Array) {
  const { words } = arena;
  const vdso = new Vdso(arena);
  for (;;) {
    let asked = Atomics.load(words, word);
    while (asked !== 1 && asked !== 3) {
      Atomics.wait(words, word, asked, 10);
      asked = Atomics.load(words, word);
    }
    if (asked === 3) return;
    times[0] = vdso.clockGettime(CLOCK_MONOTONIC);
    say(arena, word, 2);
  }
}

export function reads(arena: Arena, clock: number) {
  return new Vdso(arena).clockGettime(clock);
}

export function readsBoth(arena: Arena) {
  const vdso = new Vdso(arena);
  return { fine: vdso.clockGettime(CLOCK_MONOTONIC), rough: vdso.clockGettime(CLOCK_MONOTONIC_COARSE) };
}
