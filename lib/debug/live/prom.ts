/** An arena's metrics for the register of `prom-client` that a service has already. Nothing of that package is needed here. */
import type { Arena } from '../../arena/arena.ts';
import { HoldfastError, shown } from '../../errors.ts';
import { DETACHED } from '../../sched/thread.ts';
import { Live } from './live.ts';
import { type Metric, metricsOf, type PromFigures } from './metrics.ts';
import type { LiveOptions } from './options.ts';

/** A metric for a register of `prom-client` 15. */
export interface PromMetric extends Omit<PromFigures, 'values'> {
  /** A register of OpenMetrics takes `_total` from it. */
  name: string;
  get(): Promise<PromFigures>;
  /** Does nothing: the figures are the arena's. */
  reset(): void;
}

/** See `promMetrics`. */
export interface PromMetrics extends Disposable {
  readonly metrics: readonly PromMetric[];
  /** Calls `registerMetric` with each metric. Throws EINVAL for no register. */
  registerIn(register: { registerMetric(metric: never): void }): void;
  /** Ends the profile, unless a handler of this thread shows it. */
  close(): void;
}

/**
 * What `GET /metrics` of `holdfastHandler` says, as metrics for a `Registry` of `prom-client`, which takes those of one arena. The
 * arena is looked at once each time the register is asked. Metrics that only a profile knows have no values where none is made,
 * and no metric has any once the thread has detached. Options, profile and errors are those of `holdfastHandler`.
 */
export function promMetrics(arena: Arena, options: LiveOptions = {}): PromMetrics {
  const live = new Live(arena, options, 'promMetrics');
  let latest: readonly Metric[] | undefined;
  const look = () => {
    if (latest === undefined) {
      latest = metricsOf(live.state());
      // A register asks all of its metrics in one step.
      queueMicrotask(() => {
        latest = undefined;
      });
    }
    return latest;
  };
  const metrics = look().map(
    ({ name, help, type, aggregator }, i): PromMetric => ({
      name,
      help,
      type,
      aggregator,
      async get() {
        const values = arena.thread.self === DETACHED ? [] : (look()[i] as Metric).values;
        return { name: this.name, help, type, values, aggregator };
      },
      reset() {},
    }),
  );
  const close = () => live.close();
  return {
    metrics,
    registerIn(register) {
      if (typeof register?.registerMetric !== 'function') {
        throw new HoldfastError('EINVAL', `registerIn() expects a Registry, received ${shown(register)}`);
      }
      for (const metric of metrics) register.registerMetric(metric as never);
    },
    close,
    [Symbol.dispose]: close,
  };
}
