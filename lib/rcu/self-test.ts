/**
 * The early self-test: each flavour's periods, callbacks and frees are tried once, for a program that wants to know at its start
 * that RCU works on this machine. `rcu_early_boot_tests` and `rcu_verify_early_boot_tests` of kernel/rcu/update.c.
 */
import type { Arena } from '../arena/arena.ts';
import { checkOptionNames } from '../errors.ts';
import { limitsOf } from '../sched/drive.ts';
import type { RcuDomain } from './domain.ts';
import { Rcu } from './rcu.ts';
import { RcuQsbr } from './rcu-qsbr.ts';
import { KmemCache } from './slab/kmem-cache.ts';
import { Srcu } from './srcu.ts';
import { TasksRcu } from './tasks-rcu.ts';

export interface RcuSelfTestOptions {
  /** How long each wait may take, ms. @default 10,000 */
  timeout?: number | undefined;
}

export interface RcuSelfTestResult {
  /** Name of the flavour's class. */
  readonly flavour: string;
  /** The call that was tried. */
  readonly check: string;
  /** What went wrong; undefined where nothing did. */
  readonly problem: string | undefined;
}

/** A domain to be tried. */
interface Subject {
  readonly arena: Arena;
  readonly rcu: RcuDomain;
  /** A reader goes in; what this returns takes it out. Undefined where readers have no calls. */
  readonly hold: (() => () => void) | undefined;
  readonly wait: { readonly timeout: number };
}

const TIMEOUT = 10_000;
const CALLBACKS = 3;
const OBJECT_WORDS = 4;

/** Each returns what is wrong, or throws it. */
const CHECKS: Readonly<Record<string, (subject: Subject) => Promise<string | undefined>>> = {
  async pollState({ rcu, hold, wait }) {
    const leave = hold?.();
    const cookie = rcu.startPoll();
    const isEarly = leave !== undefined && rcu.pollState(cookie);
    leave?.();
    if (isEarly) return 'a period ended with a reader inside';
    await rcu.condSynchronizeAsync(cookie, wait);
    return rcu.pollState(cookie) ? undefined : 'the cookie was not reached after a period';
  },
  async synchronize({ rcu, wait }) {
    const cookie = rcu.getState();
    await rcu.synchronizeAsync(wait);
    return rcu.pollState(cookie) ? undefined : 'it ended before its period';
  },
  async synchronizeExpedited({ rcu, wait }) {
    const cookie = rcu.getState();
    await rcu.synchronizeExpeditedAsync(wait);
    return rcu.pollState(cookie) ? undefined : 'it ended before its period';
  },
  async call({ rcu, wait }) {
    const cookie = rcu.getState();
    const ran: number[] = [];
    let isEarly = false;
    for (let i = 0; i < CALLBACKS; i++) {
      rcu.call(() => {
        isEarly ||= !rcu.pollState(cookie);
        ran.push(i);
      });
    }
    await rcu.barrierAsync(wait);
    if (isEarly) return 'a callback ran before its period was over';
    if (ran.length !== CALLBACKS) return `barrier() ended when ${ran.length} of ${CALLBACKS} callbacks had run`;
    return ran.every((number, i) => number === i) ? undefined : `callbacks ran in the order ${ran.join(', ')}`;
  },
  async kfree({ arena, rcu, wait }) {
    const cache = new KmemCache(arena, undefined, { words: OBJECT_WORDS, rcu });
    rcu.kfree(cache.alloc());
    await rcu.barrierAsync(wait);
    if (cache.leaks().length > 0) return 'barrier() ended before the object was free';
    cache.destroy();
    return undefined;
  },
};

/**
 * Tries each flavour of RCU in this arena once: polled periods with a reader inside, normal and expedited ones, callbacks and
 * `barrier`, and `kfree`. Resolves to a result for each, those that failed among them: a wait that takes too long is one of
 * these, so a reader that is held elsewhere may be the reason. It makes the arena's domains that are not there yet, and the
 * calling thread takes part in `TasksRcu` from then on. Rejects with EINVAL for bad options and after `arena.detach()`.
 *
 *     const failed = (await rcuSelfTest(arena)).filter(({ problem }) => problem !== undefined);
 */
export async function rcuSelfTest(
  arena: Arena,
  options: RcuSelfTestOptions = {},
): Promise<readonly RcuSelfTestResult[]> {
  checkOptionNames(options, ['timeout']);
  const wait = { timeout: options.timeout ?? TIMEOUT };
  limitsOf(arena.cpu, wait);
  const rcu = new Rcu(arena);
  const qsbr = new RcuQsbr(arena);
  const srcu = new Srcu(arena);
  const flavours: [string, RcuDomain, Subject['hold']][] = [
    ['Rcu', rcu, () => hold(rcu)],
    ['RcuQsbr', qsbr, () => hold(qsbr)],
    ['Srcu', srcu, () => hold(srcu)],
    ['TasksRcu', new TasksRcu(arena), undefined],
  ];
  const results: RcuSelfTestResult[] = [];
  for (const [flavour, domain, goIn] of flavours) {
    for (const [check, run] of Object.entries(CHECKS)) {
      const problem = await run({ arena, rcu: domain, hold: goIn, wait }).catch((error: Error) => error.message);
      results.push({ flavour, check, problem });
    }
  }
  // One that is in use after all stays: the results say why.
  if (results.every(({ flavour, problem }) => flavour !== 'Srcu' || problem === undefined)) srcu.destroy();
  return results;
}

function hold(rcu: Rcu | RcuQsbr | Srcu): () => void {
  const index = rcu.readLock();
  return () => rcu.readUnlock(index as never);
}
