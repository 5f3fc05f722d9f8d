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

/** Throws EINVAL for what is none, or is too long. */
export function writeSuppressions(cpu: Cpu, tables: number, text: string): void {
  parseSuppressions(text);
  const bytes = utf8(text);
  if (bytes.length > SUPPRESSED_BYTES) {
    throw new HoldfastError('EINVAL', `suppressions have at most ${SUPPRESSED_BYTES} bytes, received ${bytes.length}`);
  }
  writeBytes(cpu, tables + Tables.suppressed, bytes);
  cpu.store(tables + Tables.suppressedLength, bytes.length);
}

export function isSuppressed(cpu: Cpu, tables: number, finding: Finding, names: readonly string[]): boolean {
  const text = readText(cpu, tables + Tables.suppressed, cpu.load(tables + Tables.suppressedLength));
  return parseSuppressions(text).some(
    (one) =>
      (one.finding === '*' || one.finding === finding) &&
      one.classes.every((pattern) => names.some((name) => pattern.test(name))),
  );
}
