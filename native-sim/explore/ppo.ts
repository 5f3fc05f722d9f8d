/**
 * What a thread keeps of its own order, model by model: the only place where the explored machine's models differ.
 * `order.ts` tells what else they have in common.
 */
import { ACQUIRE, FENCE, FENCE_LD, FENCE_ST, FULL, ORDINARY, PLAIN, READ, RELEASE, RMW, WRITE } from './events.ts';

export type ModelName = 'sc' | 'x86-tso' | 'armv8' | 'javascript';

/** Does the thread keep `a` before the later `b`? `near`: nothing was written to b's location in between. */
export type Ppo = (a: number, b: number, sameLocation: boolean, near: boolean) => boolean;

const sc: Ppo = () => true;

/** A store may be delayed past later loads; nothing else. */
const x86Tso: Ppo = (a, b) => {
  if (a & FENCE) return (a & FULL) !== 0;
  if (b & FENCE) return (b & FULL) !== 0;
  return (b & WRITE) !== 0 || (a & READ) !== 0 || ((a | b) & RMW) !== 0;
};

const armv8: Ppo = (a, b, sameLocation, near) => {
  if (b & FENCE) {
    if (a & FENCE) return false;
    return b & FULL ? true : b & FENCE_LD ? (a & READ) !== 0 : (a & WRITE) !== 0;
  }
  if (a & FENCE) return (a & (FULL | FENCE_LD)) !== 0 || ((a & FENCE_ST) !== 0 && (b & WRITE) !== 0);
  if (a & READ ? a & ACQUIRE : a & FULL) return true;
  if (b & WRITE) return (b & RELEASE) !== 0 || sameLocation;
  return (a & WRITE) !== 0 && (b & ACQUIRE) !== 0 && ((a & RELEASE) !== 0 || (sameLocation && near && (a & RMW) !== 0));
};

/**
 * ECMAScript's atomics are sequentially consistent, whatever order the code asks for. Its ordinary accesses that race have no
 * order at all, so they are reported, not explored; those that do not race see what they see under sequential consistency
 * (ECMA-262, "Data Race Freedom").
 */
const javascript = sc;

export const PPO: Record<ModelName, Ppo> = { sc, 'x86-tso': x86Tso, armv8, javascript };

/** The models in which each thread keeps its whole order. */
export function keepsProgramOrder(model: ModelName): boolean {
  return PPO[model] === sc;
}

/** The access is no atomic one, so that another that conflicts with it must be ordered by the program. */
export function isPlain(model: ModelName, flags: number): boolean {
  return (flags & (model === 'javascript' ? PLAIN | ORDINARY : PLAIN)) !== 0;
}
