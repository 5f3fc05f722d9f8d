/** `steps` dependent multiplications: time that passes on the processor and nowhere else. */
export function work(steps: number, seed: number): number {
  let x = seed | 0;
  for (let i = 0; i < steps; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return x;
}

/** How many steps take a nanosecond on this machine: the best of several tries, as others share it. */
export function stepsPerNanosecond(): number {
  const steps = 2_000_000;
  let best = Number.POSITIVE_INFINITY;
  let x = 1;
  for (let i = 0; i < 10; i++) {
    const start = performance.now();
    x = work(steps, x);
    best = Math.min(best, performance.now() - start);
  }
  if (x === 0.5) throw new Error('unreachable: keeps the result alive');
  return steps / (best * 1e6);
}
