import { type Arena, Completion } from '../../lib/index.ts';
import { arrive } from '../support/stage.ts';

/** Adds 1 to `stage`, waits, and adds 1 to `stage + 1`. */
export function waitFor(arena: Arena, name: string, stage: number): void {
  const completion = new Completion(arena, name);
  arrive(arena, stage);
  completion.wait();
  arrive(arena, stage + 1);
}

/** Passes the turn back and forth. Returns the last number. */
export function rally(arena: Arena, mine: string, theirs: string, ball: number, times: number): number {
  const my = new Completion(arena, mine);
  const their = new Completion(arena, theirs);
  for (let i = 0; i < times; i++) {
    my.wait();
    arena.words[ball] = (arena.words[ball] as number) + 1;
    their.complete();
  }
  return arena.words[ball] as number;
}
