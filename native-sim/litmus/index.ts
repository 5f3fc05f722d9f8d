export { type CheckOptions, checkLitmus, type State, type Verdict } from './check.ts';
export type { ModelName } from './dialect.ts';
export { readLitmus } from './read.ts';
export type { Architecture, LitmusTest } from './test-file.ts';
