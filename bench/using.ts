import type { Mutex } from '../lib/index.ts';

/**
 * A loop of `using held = mutex.acquire()` in the engine's own implementation, or undefined before Node 24. Made from
 * text, because the compilers rewrite `using` for older versions, with a helper that allocates.
 */
export function nativeUsing(): ((mutex: Mutex, times: number) => void) | undefined {
  try {
    return new Function('mutex', 'times', 'for (let i = 0; i < times; i++) { using held = mutex.acquire(); }') as (
      mutex: Mutex,
      times: number,
    ) => void;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
