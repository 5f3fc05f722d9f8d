/**
 * One suite, in a process of its own, so that no suite runs on what V8 learned from another: node suite.ts NAME EFFORT.
 * The figures go to the parent as messages, one each time something has been measured, then what the suite took; the
 * parent then ends this process.
 */
import { asynchronous } from './asynchronous.ts';
import { cache } from './cache.ts';
import { clock } from './clock.ts';
import { contended, contendedBesideV8, permits, profile, reading } from './contended.ts';
import type { Effort } from './effort.ts';
import { Figures } from './figure.ts';
import { flags } from './flags.ts';
import { garbage } from './garbage.ts';
import { inversion } from './inversion.ts';
import { map } from './map.ts';
import { pool } from './pool.ts';
import { programs } from './programs.ts';
import { rcu } from './rcu.ts';
import { rcuscale, refscale } from './rcu-scale.ts';
import { redis } from './redis.ts';
import { sets } from './sets.ts';
import { single, singleBesideV8 } from './single.ts';
import type { SuiteName } from './suites.ts';
import { maple, xarray } from './trees.ts';
import { Usage } from './usage.ts';

const suites: Record<SuiteName, (figures: Figures, effort: Effort) => void | Promise<void>> = {
  single,
  garbage,
  asynchronous,
  contended,
  profile,
  programs,
  reading,
  permits,
  inversion,
  sets,
  flags,
  rcu,
  refscale,
  rcuscale,
  clock,
  map,
  xarray,
  maple,
  cache,
  redis,
  pool,
  'v8-single': singleBesideV8,
  'v8-contended': contendedBesideV8,
};

const [name, effort] = process.argv.slice(2) as [SuiteName, string];
const figures = new Figures((measured) => process.send?.(measured));
const usage = new Usage();
await suites[name](figures, JSON.parse(effort) as Effort);
process.send?.({ others: usage.others() });
