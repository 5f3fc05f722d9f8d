/**
 * The suites, and the options of Node that each runs with. V8's Atomics.Mutex comes with --harmony-struct, which crashes
 * Node 20 now and then: only the rows that compare with it run with it.
 */
const V8_MUTEX = ['--harmony-struct'];

export const SUITES = {
  single: [],
  garbage: ['--expose-gc'],
  asynchronous: [],
  contended: [],
  profile: [],
  programs: [],
  reading: [],
  permits: [],
  inversion: [],
  sets: [],
  flags: [],
  rcu: [],
  refscale: [],
  rcuscale: [],
  clock: [],
  map: [],
  xarray: [],
  maple: [],
  cache: [],
  redis: [],
  pool: [],
  'v8-single': V8_MUTEX,
  'v8-contended': V8_MUTEX,
} as const satisfies Record<string, readonly string[]>;

export type SuiteName = keyof typeof SUITES;
