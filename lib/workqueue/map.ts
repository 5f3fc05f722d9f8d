/** Calls of a function with each of many values, and their results as they come or in order: `Workqueue.map`. */

/** `call` begins one call. Takes the next value only when fewer than `concurrency` calls are under way. */
export async function* mapped<Value, Result>(
  values: Iterable<Value> | AsyncIterable<Value>,
  call: (value: Value) => Promise<Result>,
  isOrdered: boolean,
  concurrency: number,
): AsyncGenerator<Result, void, void> {
  interface Settled {
    readonly result: Result;
    readonly self: Promise<Settled>;
  }
  const under = new Set<Promise<Settled>>();
  const next = async () => {
    const { result, self } = await (isOrdered ? ([...under][0] as Promise<Settled>) : Promise.race(under));
    under.delete(self);
    return result;
  };
  for await (const value of values) {
    const settled: Promise<Settled> = call(value).then((result) => ({ result, self: settled }));
    // A caller that leaves the loop early hears of no further failure.
    settled.catch(() => {});
    under.add(settled);
    if (under.size >= concurrency) yield await next();
  }
  while (under.size > 0) yield await next();
}
