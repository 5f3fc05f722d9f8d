export { checkLitmus } from './check.ts';
export { readLitmus } from './read.ts';
