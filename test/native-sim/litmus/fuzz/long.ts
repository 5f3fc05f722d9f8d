/**
 * `npm run fuzz:litmus [PROGRAMS [FIRST SEED]]`: so many random tests, in every language and under every model in turn; what
 * `npm test` has no time for. Exits with 1 at the first that differs, and shows it.
 */
import { compare, targets } from './compare.ts';

const programs = Number(process.argv[2] ?? 20_000);
const firstSeed = Number(process.argv[3] ?? 1 + (Date.now() % 1e9));
/** Candidates that the reference goes through for one test. Few have more. */
const LIMIT = 2000;

const counts = new Map(targets.map(({ name }) => [name, { equal: 0, 'too large': 0 }]));

function report(done: number): void {
  console.log(`${done} programs, seeds from ${firstSeed}`);
  for (const [name, count] of counts) console.log(`  ${name}: ${count.equal} equal, ${count['too large']} too large`);
}

for (let done = 0; done < programs; done++) {
  const target = targets[done % targets.length]!;
  const seed = firstSeed + Math.floor(done / targets.length);
  const comparison = compare(target, seed, LIMIT);
  if (comparison.kind === 'different') {
    console.log(`${target.name}, seed ${seed}: ${comparison.what}\n${comparison.text}`);
    process.exit(1);
  }
  counts.get(target.name)![comparison.kind]++;
  if ((done + 1) % 10_000 === 0) report(done + 1);
}
report(programs);
