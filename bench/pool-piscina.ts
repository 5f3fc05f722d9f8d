import { work } from './work.ts';

/** The functions of `pool-work.ts` as Piscina calls them: with one argument. */
export const add = ({ a, b }: { a: number; b: number }) => a + b;
export const greet = (name: string) => `hello ${name}`;
export const point = ({ a, b }: { a: number; b: number }) => ({ a: b, b: a });
export const sizeOf = (bytes: Uint8Array) => bytes.length;
export const compute = (steps: number) => work(steps, 1);
export const nap = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
