/** Peers that only some versions of Node can run, or that are not on every machine. */
import { spawnSync } from 'node:child_process';

/** `multithreading` asks for `navigator` when it is loaded, which Node has from 21 on. */
export const hasMultithreading = typeof navigator !== 'undefined';

/** The Web Locks API, from Node 24 on. */
export const webLocks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;

interface SortedTree {
  set(key: number, value: unknown): boolean;
}

/** From `sorted-btree`, where that is installed: `npm install --no-save sorted-btree`. */
export const BTree: (new () => SortedTree) | undefined = await import('sorted-btree' as string).then(
  ({ default: module }) => module.default ?? module,
  () => undefined,
);

/** On Debian: `apt-get install redis-server`. */
export const hasRedis = spawnSync('redis-server', ['--version']).status === 0;

/** What this Node, here, cannot be compared with. */
export const absent: readonly string[] = [
  ...(hasMultithreading ? [] : ['multithreading, which needs Node 22: its rows are skipped']),
  ...(BTree !== undefined ? [] : ['sorted-btree, a package: its rows are skipped']),
  ...(hasRedis ? [] : ['redis-server, which Debian has as a package: the suite redis is skipped']),
  ...(webLocks === undefined ? ['navigator.locks, which needs Node 24: its row is skipped'] : []),
];
