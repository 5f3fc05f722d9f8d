/**
 * The unknown value: what goes round in a circle of copies, where no write of a constant is (see `thin-air.ts`).
 */
import { type Execution, Kind } from '../models/execution.ts';

/** Like no other value, and recognized by its low 32 bits alone. */
export const unknown = 0x51_3ade_68b1n;

/** How an execution holds it. */
const unknownWord = Number(BigInt.asIntN(32, unknown));

/** Do reads and what is calculated from them go round in a circle? */
export function isCircular(x: Execution): boolean {
  return !x.data.or(x.rf).isAcyclic();
}

/** Is the unknown all that goes round in circles, and does no branch depend on it? */
export function isOfUnknown(x: Execution): boolean {
  const round = x.data.or(x.rf).plus();
  for (let event = 0; event < x.count; event++) {
    const isUnknown = x.value[event] === unknownWord;
    if (round.has(event, event) && !isUnknown) return false;
    if (isUnknown && x.kind[event] === Kind.read && x.ctrl.domain().has(event)) return false;
  }
  return true;
}
