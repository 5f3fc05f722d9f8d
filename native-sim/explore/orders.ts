/**
 * Which orders does a program need? Two questions, both answered by exploring it again with one call site changed:
 * `suggestRepairs` strengthens single orders of a failing program and names those that repair it; `findIdleOrders`
 * weakens every order of a correct one in turn and names those whose weakening nothing catches: an order that is too
 * strong, or a check that is too weak.
 */

import { Op } from '../replay/operations.ts';
import { alteration, type Change, stronger, weaker } from './alter.ts';
import { Exploration } from './explore.ts';
import type { ExploreOptions, ExploreResult } from './options.ts';
import { type Site, siteKey } from './site.ts';

export interface ChangedOrder {
  site: Site;
  to: Change;
  result: ExploreResult;
}

/** Explores with `change` at one site. */
async function exploreChanged(options: ExploreOptions, at: Site, to: Change): Promise<ExploreResult> {
  const key = siteKey(at);
  const alter = alteration([at.op], (site) => (siteKey(site) === key ? to : null));
  return new Exploration({ ...options, alter }).run();
}

/** The call sites of ordered operations and fences that the program reaches. */
export async function sitesOf(options: ExploreOptions): Promise<Site[]> {
  const exploration = new Exploration({ ...options, alter: () => null });
  await exploration.run();
  return exploration.sites.all();
}

/** Single strengthened orders with which a failing program explores without failure. */
export async function suggestRepairs(
  options: ExploreOptions,
  onTry?: (site: Site, to: Change) => void,
): Promise<ChangedOrder[]> {
  const repairs: ChangedOrder[] = [];
  for (const site of await sitesOf(options)) {
    for (const to of stronger(Op[site.op])) {
      onTry?.(site, to);
      const result = await exploreChanged(options, site, to);
      if (result.verdict !== 'ok') continue;
      repairs.push({ site, to, result });
      break;
    }
  }
  return repairs;
}

/** Weakened orders that change nothing, in any of the given models: explored to the end without failure. */
export async function findIdleOrders(
  options: ExploreOptions,
  onTry?: (site: Site, to: Change) => void,
): Promise<{ tried: number; idle: ChangedOrder[] }> {
  const idle: ChangedOrder[] = [];
  let tried = 0;
  for (const site of await sitesOf(options)) {
    for (const to of weaker(Op[site.op])) {
      onTry?.(site, to);
      tried++;
      const result = await exploreChanged(options, site, to);
      if (result.verdict === 'ok') idle.push({ site, to, result });
    }
  }
  return { tried, idle };
}
