/**
 * `npm run fuzz:explore [PROGRAMS [FIRST SEED]]`: so many random programs, with every feature and under every model in turn; what
 * `npm test` has no time for. Exits with 1 at the first that differs, and shows it.
 */
import { comparison } from './compare.ts';
import { FEATURES } from './program.ts';

const programs = Number(process.argv[2] ?? 20_000);
const firstSeed = Number(process.argv[3] ?? 1 + (Date.now() % 1e9));
const targets = FEATURES.flatMap((feature) => {
  return (['sc', 'x86-tso', 'armv8'] as const).map((model) => ({ feature, model, equal: 0, 'too large': 0 }));
});

function report(done: number): void {
  console.log(`${done} programs, seeds from ${firstSeed}`);
  for (const { feature, model, equal, 'too large': tooLarge } of targets) {
    console.log(`  ${feature}, ${model}: ${equal} equal, ${tooLarge} too large`);
  }
}

for (let done = 0; done < programs; done++) {
  const target = targets[done % targets.length]!;
  const found = comparison(firstSeed + Math.floor(done / targets.length), target.feature, target.model);
  if (found.kind === 'different') {
    console.log(found.what);
    process.exit(1);
  }
  target[found.kind]++;
  if ((done + 1) % 10_000 === 0) report(done + 1);
}
report(programs);
