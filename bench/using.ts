/**
 * `using held = mutex.acquire()` in a loop. In the engine's own form, which exists from Node 24 on, made from text,
 * because compilers rewrite it; and as the compiler in use rewrites it for older versions. Both forms keep a stack of
 * resources on the heap, whatever the guard does: `using` of a guard that does nothing shows how much that is.
 */
interface Lock {
  acquire(): Disposable;
}

type Loop = (lock: Lock, times: number) => void;

export const emptyGuard: Disposable = { [Symbol.dispose]() {} };

export function usingLoops(): Map<'native' | 'compiled', Loop> {
  const loops = new Map<'native' | 'compiled', Loop>();
  if (!rewritten.toString().includes('using held')) loops.set('compiled', rewritten);
  try {
    const body = 'for (let i = 0; i < times; i++) { using held = lock.acquire(); }';
    loops.set('native', new Function('lock', 'times', body) as Loop);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return loops;
}

function rewritten(lock: Lock, times: number): void {
  for (let i = 0; i < times; i++) {
    using held = lock.acquire();
    held satisfies Disposable;
  }
}
