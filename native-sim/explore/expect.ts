/**
 * For tests: explores, and throws what a person wants to read if there is a failure, or if not everything was seen.
 *
 *     test('nobody is let in twice', () => expectExplored({ model: 'armv8', words: 4, threads: [f, f] }));
 */
import { explore } from './explore.ts';
import type { ExploreOptions, ExploreResult } from './options.ts';
import { printCounterexample } from './report.ts';

export class CounterexampleError extends Error {
  override readonly name = 'CounterexampleError';
  readonly result: ExploreResult;

  constructor(result: ExploreResult, message: string) {
    super(message);
    this.result = result;
  }
}

export async function expectExplored<Context>(options: ExploreOptions<Context>): Promise<ExploreResult> {
  const result = await explore(options);
  if (result.failure !== null) {
    throw new CounterexampleError(
      result,
      `after ${result.executions} executions\n${printCounterexample(result.failure)}`,
    );
  }
  if (result.verdict === 'incomplete') {
    const share = (result.share * 100).toFixed(1);
    throw new CounterexampleError(
      result,
      `only ${share}% explored: ${result.executions} executions of about ${result.estimate} in ${Math.round(result.elapsed)} ms`,
    );
  }
  return result;
}
