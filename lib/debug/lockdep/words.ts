/** What reports say: the words are those of the kernel's (kernel/locking/lockdep.c), as far as they have a meaning here. */
import type { Frame } from '../profile/stacks.ts';

/** What was found. */
export type Finding =
  | 'circular'
  | 'recursive'
  | 'context'
  | 'balance'
  | 'release-order'
  | 'await'
  | 'exit'
  | 'not-held'
  | 'guard';

export const FINDINGS: readonly Finding[] = [
  'circular',
  'recursive',
  'context',
  'balance',
  'release-order',
  'await',
  'exit',
  'not-held',
  'guard',
];

const TITLES: Record<Finding, string> = {
  circular: 'WARNING: possible circular locking dependency detected',
  recursive: 'WARNING: possible recursive locking detected',
  context: '[ BUG: Invalid wait context ]',
  balance: 'WARNING: bad unlock balance detected!',
  'release-order': 'WARNING: wrong release order detected',
  await: 'WARNING: lock held across an await for too long',
  exit: 'WARNING: thread still has locks held!',
  'not-held': 'WARNING: suspicious use of a lock that is not held',
  guard: 'WARNING: lock held by a guard that nobody has any more',
};

/** How a lock that is held or wanted is named: its class, how it is taken, and where that was. */
export interface Mention {
  readonly label: string;
  readonly mode: string;
  readonly frames: readonly Frame[];
}

function at({ frames }: Mention): string {
  const [frame] = frames;
  return frame === undefined ? '' : `, at: ${place(frame)}`;
}

export function named(mention: Mention): string {
  return `${mention.label} {${mention.mode}}${at(mention)}`;
}

function place({ name, file, line, column }: Frame): string {
  if (file === '') return name;
  const where = `${file}:${line}:${column}`;
  return name === '' ? where : `${name} (${where})`;
}

/** Lines of a stack, the innermost `depth` frames of it. */
export function stackOf(frames: readonly Frame[], depth: number): string[] {
  if (frames.length === 0) return ['       (not known)'];
  const lines = frames.slice(0, depth).map((frame) => `       ${place(frame)}`);
  return frames.length > depth ? [...lines, `       ... ${frames.length - depth} more`] : lines;
}

/** A whole report: its title between rules, and its lines. */
export function banner(finding: Finding, lines: readonly string[]): string {
  const title = TITLES[finding];
  const rule = (sign: string) => sign.repeat(title.length);
  return ['', rule('='), title, rule('-'), ...lines].join('\n');
}

/** What two threads could do: the order that was there before, and the new one. */
export function scenario(path: readonly string[]): string[] {
  const [wanted = ''] = path;
  const held = path.at(-1) ?? '';
  const chain = path.length > 2 ? ['Chain exists of:', `  ${path.join(' --> ')}`, ''] : [];
  const left = (text: string) => `  lock(${text});`;
  const right = (text: string) => `${' '.repeat(32)}lock(${text});`;
  return [
    ...chain,
    ' Possible unsafe locking scenario:',
    '',
    '       CPU0                    CPU1',
    '       ----                    ----',
    left(held),
    right(path.at(-2) ?? ''),
    right(held),
    left(wanted),
    '',
    ' *** DEADLOCK ***',
  ];
}

/** What one thread could do by itself. */
export function recursion(held: string, wanted: string): string[] {
  return [
    ' Possible unsafe locking scenario:',
    '',
    '       CPU0',
    '       ----',
    `  lock(${held});`,
    `  lock(${wanted});`,
    '',
    ' *** DEADLOCK ***',
    '',
    ' May be due to missing lock nesting notation',
  ];
}

export function heldLines(thread: number, held: readonly Mention[]): string[] {
  if (held.length === 0) return [`no locks held by thread ${thread}.`];
  const plural = held.length === 1 ? '1 lock' : `${held.length} locks`;
  return [`${plural} held by thread ${thread}:`, ...held.map((mention, i) => ` #${i}: ${named(mention)}`)];
}
