/** `npx tsx test/structures/models/long.ts [CALLS [SEED]]`: a million random calls for each structure, others each time. */
import { compare } from './model.ts';
import { MODELS } from './models.ts';

const calls = Number(process.argv[2] ?? 1e6);
const seed = Number(process.argv[3] ?? Date.now() & 0x7fffffff);

for (const model of MODELS) {
  const start = performance.now();
  const made = compare(model, calls, seed);
  console.log(`${model.name}: ${made} calls in ${((performance.now() - start) / 1000).toFixed(1)} s, seed ${seed}`);
}
