/**
 * `holdfast litmus`: directories are walked, one bad file does not cost the others their verdicts, and whoever reads
 * the JSON can tell a verdict from a withheld one.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { registerLitmus } from '../../../lib/cli/litmus.ts';
import { type LitmusCommandOptions, runLitmusCommand } from '../../../native-sim/litmus/command.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';

let directory = '';
const sb = `C SB
{}
P0(int *x, int *y) { int r0; WRITE_ONCE(*x, 1); r0 = READ_ONCE(*y); }
P1(int *x, int *y) { int r0; WRITE_ONCE(*y, 1); r0 = READ_ONCE(*x); }
exists (0:r0=0 /\\ 1:r0=0)
`;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'litmus-'));
  mkdirSync(join(directory, 'inner'));
  writeFileSync(join(directory, 'inner', 'a.litmus'), sb);
  writeFileSync(join(directory, 'bad.litmus'), sb.replace('READ_ONCE(*y)', 'READ_ONCE(*y'));
  writeFileSync(join(directory, 'mips.litmus'), 'MIPS T\n{}\n');
  writeFileSync(join(directory, 'notes.txt'), 'not a test');
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

async function run(options: LitmusCommandOptions) {
  let out = '';
  let error = '';
  const summary = await runLitmusCommand([directory], options, {
    out: (text) => (out += text),
    error: (text) => (error += text),
  });
  return { out, error, summary };
}

it('walks directories, and a bad file costs no other its verdict', async () => {
  const { out, error, summary } = await run({});
  expect(summary).toEqual({ verdicts: 1, withheld: 2 });
  expect(out).toContain('Observation SB Sometimes 1 3');
  expect(error).toBe(
    `${join(directory, 'bad.litmus')}:3:66: expected "," or ")", found ";"\n` +
      `${join(directory, 'mips.litmus')}:1:1: unsupported: architecture MIPS\n`,
  );
});

it('--json tells malformed, unsupported and verdicts apart', async () => {
  const { out } = await run({ json: true, model: 'sc' });
  expect(JSON.parse(out)).toMatchObject([
    { error: { kind: 'malformed', line: 3, column: 66, expected: '"," or ")"' } },
    { test: 'SB', model: 'sc', observation: 'Never', ok: false, positive: 0, negative: 3 },
    { error: { kind: 'unsupported', construct: 'architecture MIPS' } },
  ]);
});

it('--machine runs the tests on a simulated machine, and says what its model forbids', async () => {
  const { out, summary } = await run({ machine: profiles.get('graviton-64')!, iterations: 200 });
  expect(summary.verdicts).toBe(1);
  expect(out).toContain('Test SB (graviton-64, armv8)');
  expect(out).toMatch(/Executions: \d, forbidden by armv8: 0\nObservation SB Sometimes/);
  const json = JSON.parse((await run({ machine: profiles.get('sc-8')!, iterations: 50, json: true })).out);
  expect(json[1]).toMatchObject({ test: 'SB', machine: 'sc-8', runs: 50, positive: 0, forbidden: [] });
});

it('a path that is not there costs no other its verdict', async () => {
  let error = '';
  const absent = join(directory, 'absent.litmus');
  const summary = await runLitmusCommand(
    [absent, join(directory, 'inner')],
    {},
    {
      out: () => {},
      error: (text) => (error += text),
    },
  );
  expect(summary).toEqual({ verdicts: 1, withheld: 1 });
  expect(error).toBe(`${absent}: no such file\n`);
});

it('the command exits with an error where a verdict is withheld', async () => {
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const errors = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  try {
    const program = new Command().exitOverride();
    registerLitmus(program);
    await program.parseAsync(['litmus', join(directory, 'inner'), '--model', 'x86-tso'], { from: 'user' });
    expect(process.exitCode).toBeUndefined();
    expect(written.mock.calls.join('')).toContain('Observation SB Sometimes 1 3');
    await program.parseAsync(['litmus', directory], { from: 'user' });
    expect(process.exitCode).toBe(1);
    await expect(program.parseAsync(['litmus', directory, '--model', 'alpha'], { from: 'user' })).rejects.toThrow(
      'alpha',
    );
  } finally {
    process.exitCode = undefined;
    written.mockRestore();
    errors.mockRestore();
  }
});

it('the example of the documentation comes out as it says', async () => {
  const page = readFileSync(new URL('../../../docs/litmus.md', import.meta.url), 'utf8');
  const block = (language: string): string => new RegExp(`\`\`\`${language}\\n([^]*?)\`\`\``).exec(page)![1]!;
  const file = join(directory, 'inner', 'a.litmus');
  writeFileSync(file, block('litmus'));
  let out = '';
  await runLitmusCommand([file], {}, { out: (text) => (out += text), error: () => {} });
  expect(out.trim()).toBe(block('text').trim());
});
