/**
 * What is not to be reported: lines of text, which all threads of the arena obey.
 *
 *   # the ledger has one writer, whatever the order
 *   circular  mutex "ledger"  mutex "account #"
 *   *         rw-semaphore "catalogue*"
 *
 * A finding or `*`, and then classes of locks as reports name them, with two blanks between them and `*` for any text. A report is
 * suppressed when each of them is one of its classes.
 */
import { HoldfastError, shown } from '../../errors.ts';
import type { Cpu } from '../../machine/cpu.ts';
import { readText, utf8, writeBytes } from '../../memory/text.ts';
import { SUPPRESSED_BYTES, Tables } from './layout.ts';
import { FINDINGS, type Finding } from './words.ts';

interface Suppression {
  readonly finding: string;
  readonly classes: readonly RegExp[];
}

/** Throws EINVAL for a line that says nothing. */
export function parseSuppressions(text: string): Suppression[] {
  if (typeof text !== 'string')
    throw new HoldfastError('EINVAL', `suppressions are lines of text, received ${shown(text)}`);
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map(parseLine);
}

function parseLine(line: string): Suppression {
  const [finding = ''] = line.split(/\s/, 1);
  if (finding !== '*' && !(FINDINGS as readonly string[]).includes(finding)) {
    throw new HoldfastError(
      'EINVAL',
      `a suppression begins with one of *, ${FINDINGS.join(', ')}; received ${shown(line)}`,
    );
  }
  const classes = line
    .slice(finding.length)
    .trim()
    .split(/\s{2,}/)
    .filter((pattern) => pattern !== '');
  if (classes.length === 0) {
    throw new HoldfastError('EINVAL', `a suppression names a class of locks, or *; received ${shown(line)}`);
  }
  return { finding, classes: classes.map(patternOf) };
}

function patternOf(text: string): RegExp {
  const escaped = text.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${escaped.join('.*')}$`);
}

/** In `suppressedAt`: bytes, and above them how often that has changed. */
const LENGTH_BITS = 13;
const LENGTH = (1 << LENGTH_BITS) - 1;

/** Throws EINVAL for what is none, or is too long. One thread at a time. */
export function writeSuppressions(cpu: Cpu, tables: number, text: string): void {
  parseSuppressions(text);
  const bytes = utf8(text);
  if (bytes.length > SUPPRESSED_BYTES) {
    throw new HoldfastError('EINVAL', `suppressions have at most ${SUPPRESSED_BYTES} bytes, received ${bytes.length}`);
  }
  const word = tables + Tables.suppressedAt;
  const next = ((cpu.load(word) >>> LENGTH_BITS) + 1) << LENGTH_BITS;
  writeBytes(cpu, placeOf(tables, next), bytes);
  // Pairs with the acquire in `readSuppressions`. Until here the text before counts, should this thread die.
  cpu.storeRelease(word, next | bytes.length);
}

/** Where the text is that a value of `suppressedAt` names. */
function placeOf(tables: number, at: number): number {
  return tables + Tables.suppressed + ((at >>> LENGTH_BITS) & 1) * (SUPPRESSED_BYTES / 4);
}

function readSuppressions(cpu: Cpu, tables: number): string {
  const word = tables + Tables.suppressedAt;
  for (;;) {
    const at = cpu.loadAcquire(word);
    const text = readText(cpu, placeOf(tables, at), at & LENGTH);
    // Pairs with the release above: a thread that writes there again has changed the word before.
    cpu.rmb();
    if (cpu.load(word) === at) return text;
  }
}

export function isSuppressed(cpu: Cpu, tables: number, finding: Finding, names: readonly string[]): boolean {
  return parseSuppressions(readSuppressions(cpu, tables)).some(
    (one) =>
      (one.finding === '*' || one.finding === finding) &&
      one.classes.every((pattern) => names.some((name) => pattern.test(name))),
  );
}
