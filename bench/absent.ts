/** Peers that only some versions of Node can run. */

/** `multithreading` asks for `navigator` when it is loaded, which Node has from 21 on. */
export const hasMultithreading = typeof navigator !== 'undefined';

/** The Web Locks API, from Node 24 on. */
export const webLocks = (globalThis.navigator as Partial<Navigator> | undefined)?.locks;

/** What this Node cannot be compared with. */
export const absent: readonly string[] = [
  ...(hasMultithreading ? [] : ['multithreading, which needs Node 22: its rows are skipped']),
  ...(webLocks === undefined ? ['navigator.locks, which needs Node 24: its row is skipped'] : []),
];
