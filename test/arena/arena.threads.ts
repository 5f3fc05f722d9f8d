import type { Arena } from '../../lib/index.ts';
import { sayAndStay } from '../support/stage.ts';

export const cpuNumber = (arena: Arena) => arena.thread.number;

/** Says that it is attached, and stays. */
export function holdPlace(arena: Arena, ready: number): Promise<never> {
  return sayAndStay(arena, ready);
}
