/**
 * Where readers went in, for stall warnings: while a thread's debug mode is on, it writes the stack of the reader that enters
 * a lane into shared memory, where the thread that reports a stall finds it. (No thread can ask one that blocks.)
 *
 *   header | for each thread and lane: length in bytes, UTF-8 text
 *
 * A domain gets its object with the first thread whose debug mode is turned on. The texts guard nothing and are guarded by
 * nothing: one that is read while it is written over is garbled.
 */
import type { Cpu } from '../machine/cpu.ts';
import { defineKind } from '../memory/kinds.ts';
import type { Objects } from '../memory/object-store.ts';
import { ObjectHeader } from '../memory/objects.ts';
import type { Repairer } from '../memory/repairer.ts';
import { LINE_WORDS, struct } from '../memory/struct.ts';
import { readText, utf8, writeBytes } from '../memory/text.ts';
import { maxThreads } from '../sched/slot.ts';
import { LANES, RcuWords } from './layout.ts';

const Words = struct({ header: ObjectHeader, pad: LINE_WORDS - ObjectHeader.words });
const TEXT_WORDS = 8 * LINE_WORDS;
const LONGEST = (TEXT_WORDS - 1) * 4;

const KIND = defineKind<Repairer>({
  name: 'rcu-stacks',
  words: Words,
  trailing: (cpu) => maxThreads(cpu) * LANES * TEXT_WORDS,
  format: () => {},
  holder: () => 0,
  isBusy: () => false,
  // Those of the dead are taken out with their readers.
  repair: () => true,
});

/** The domain's stacks, made if it has none, for a thread that is to write there. Throws ENOMEM. */
export function openStacks(cpu: Cpu, objects: Objects, rcu: number): void {
  // Several threads may write it: all write the same.
  // Pairs with the acquire in `textAt`: a thread that finds the stacks finds them made.
  cpu.storeRelease(rcu + RcuWords.stacks, objects.open(KIND, `holdfast.rcu-stacks.${rcu}`));
}

/** After the domain at `rcu` was destroyed, whose `stacks` word said `stacks`. */
export function destroyStacks(objects: Objects, stacks: number): void {
  if (stacks !== 0) objects.destroy(KIND, stacks, () => false);
}

export function writeStack(cpu: Cpu, rcu: number, place: { number: number; lane: number }, stack: string): void {
  const at = textAt(cpu, rcu, place);
  if (at === 0) return;
  const bytes = utf8(stack).subarray(0, LONGEST);
  cpu.store(at, 0);
  writeBytes(cpu, at + 1, bytes);
  // Pairs with the acquire in `readStack`: the text stands before its length does.
  cpu.storeRelease(at, bytes.length);
}

/** Where the reader in that lane went in, or '' where nobody has noted it. */
export function readStack(cpu: Cpu, rcu: number, place: { number: number; lane: number }): string {
  const at = textAt(cpu, rcu, place);
  return at === 0 ? '' : readText(cpu, at + 1, Math.min(cpu.loadAcquire(at), LONGEST));
}

/** The thread with that number is dead, or notes no stacks from here on. */
export function clearStacks(cpu: Cpu, rcu: number, number: number): void {
  if (cpu.load(rcu + RcuWords.stacks) === 0) return;
  for (let lane = 0; lane < LANES; lane++) cpu.store(textAt(cpu, rcu, { number, lane }), 0);
}

function textAt(cpu: Cpu, rcu: number, { number, lane }: { number: number; lane: number }): number {
  const stacks = cpu.loadAcquire(rcu + RcuWords.stacks);
  return stacks === 0 ? 0 : stacks + Words.words + (number * LANES + lane) * TEXT_WORDS;
}
