export { CounterexampleError, expectExplored } from './expect.ts';
export { type ExploreOptions, type ExploreResult, explore } from './explore.ts';
export type { Program } from './program.ts';
