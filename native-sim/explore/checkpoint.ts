/**
 * A search that its time limit has stopped, to be gone on with another time: how far it has come, and which of its subtrees
 * are open. A subtree is the way that leads to it, a list of numbers, so all of it is a JSON document.
 */

import type { Subtree } from './alternative.ts';
import type { PlansState } from './deaths.ts';
import { ExploreError, type Kill } from './program.ts';

const FORMAT = 1;

/** A plan of deaths of which parts are open. */
export interface OpenPlan {
  readonly kills: readonly Kill[];
  /** Its share of all plans. */
  readonly weight: number;
  readonly outcome: { executions: number; blocked: number; complete: boolean; longest: number[] };
  /** `weight`: of the plan. */
  readonly open: Subtree[];
}

export interface Checkpoint {
  readonly format: typeof FORMAT;
  /** What was searched, as `describeSearch` says it: the ways lead elsewhere in any other. */
  readonly search: string;
  readonly executions: number;
  readonly blocked: number;
  /** The share of the search that is done, and that of the plans that were begun. */
  readonly share: number;
  readonly given: number;
  /** False when there is more than any search finds: more revisits than `bound`. */
  readonly isFull: boolean;
  readonly notExcluded: readonly string[];
  readonly plans: PlansState;
  readonly open: readonly OpenPlan[];
}

/** For a search that stops when its time is up, and goes on another time. */
export interface Checkpointing {
  /** What an earlier call has saved, or what that is as JSON. */
  readonly from?: unknown;
  /** Called once: with what is still to be searched, which may be written as JSON; undefined: nothing is. */
  save(checkpoint: object | undefined): void;
}

/** Throws ExploreError for what is no checkpoint, or one of another search. */
export function checkpointOf(value: unknown, search: string): Checkpoint {
  const { format, search: other } = (value ?? {}) as Partial<Checkpoint>;
  if (format !== FORMAT) throw new ExploreError(`explore: no checkpoint of format ${FORMAT}`);
  if (other !== search) {
    throw new ExploreError(
      `explore: the checkpoint is of another search, or of the program as it was before it changed:\n  ${other}\nexpected\n  ${search}`,
    );
  }
  return value as Checkpoint;
}

export function newCheckpoint(search: string, state: Omit<Checkpoint, 'format' | 'search'>): Checkpoint {
  return { format: FORMAT, search, ...state };
}
