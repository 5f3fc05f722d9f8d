/** The ways in which an update waits for a grace period. A busted one does not. */
import type { Performer } from './performer.ts';

type Wait = (performer: Performer) => Promise<void>;

/** By polling, with turns of the event loop in between. */
async function poll(performer: Performer, isExpedited: boolean): Promise<void> {
  const { side } = performer;
  const cookie = isExpedited ? side.rcu.startPollExpedited() : side.rcu.startPoll();
  while (!side.rcu.pollState(cookie)) {
    side.pause();
    await performer.rest();
  }
}

/** The names are rcutorture's. */
const WAITS: Readonly<Record<string, Wait>> = {
  sync: async ({ side }) => side.rcu.synchronize(),
  exp: async ({ side }) => side.rcu.synchronizeExpedited(),
  sync_async: ({ side }) => side.rcu.synchronizeAsync(),
  exp_async: ({ side }) => side.rcu.synchronizeExpeditedAsync(),
  poll: (performer) => poll(performer, false),
  poll_exp: (performer) => poll(performer, true),
  async cond(performer) {
    const { rcu } = performer.side;
    const cookie = rcu.getState();
    await performer.rest();
    await rcu.condSynchronizeAsync(cookie);
  },
};

/** How an update that frees its element by a callback is told apart from those that wait. */
const DEFERRED = 'deferred';
const KINDS = [DEFERRED, ...Object.keys(WAITS)];

export interface Update {
  /** Waits for a grace period; undefined where a callback is to do the rest. */
  readonly wait: (() => Promise<void>) | undefined;
}

/** What the next update does. */
export function nextUpdate(performer: Performer): Update {
  const wait = WAITS[performer.random.pick(KINDS)];
  if (wait === undefined) return { wait: undefined };
  return { wait: performer.isBusted ? async () => {} : () => wait(performer) };
}

/** Runs `callback` after a grace period. */
export function defer({ side, isBusted }: Performer, callback: () => void): void {
  if (isBusted) callback();
  else side.rcu.call(callback);
}
