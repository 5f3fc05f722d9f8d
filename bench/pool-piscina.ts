/** The functions of `pool-work.ts` as Piscina calls them: with one argument. */
export const add = ({ a, b }: { a: number; b: number }) => a + b;
export const greet = (name: string) => `hello ${name}`;
export const point = ({ a, b }: { a: number; b: number }) => ({ a: b, b: a });
