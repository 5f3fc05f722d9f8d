/**
 * Names that come from the code, in an initial state or a condition. A label as a value: `P0:L0`, `0:L0`, or, as herd writes it
 * today, `label:"P0:L0"`. A register that has a name instead of a number: `%a` belongs to the one thread whose code has it.
 */
import type { CodeMap } from './code-map.ts';
import type { Cursor } from './tokens.ts';

/** `%a`; undefined: something else stands here. */
export function parseNamedRegister(cursor: Cursor, code: CodeMap): { thread: number; name: string } | undefined {
  if (!cursor.accept('%')) return undefined;
  const thread = code.threadWith(cursor.token.text);
  if (thread === undefined) cursor.fail('a register that is named in the code of one thread, and only there');
  return { thread, name: cursor.name('a register').text };
}

/** Undefined: something else stands here. */
export function parseCodeLabel(cursor: Cursor, code: CodeMap): bigint | undefined {
  if (cursor.peek().text !== ':') return undefined;
  const { text } = cursor.token;
  if (text === 'label') return parseQuoted(cursor, code);
  if (!/^P?[0-9]+$/.test(text)) return undefined;
  const address = code.own(cursor.peek(2).text, Number(text.replace('P', '')));
  if (address !== undefined) cursor.at += 3;
  return address;
}

function parseQuoted(cursor: Cursor, code: CodeMap): bigint {
  const match = /^"P?([0-9]+):(\w+)"$/.exec(cursor.peek(2).text);
  const address = match === null ? undefined : code.own(match[2]!, Number(match[1]));
  cursor.at += 2;
  if (address === undefined) return cursor.fail('a label of the test in quotes ("P0:L0")');
  cursor.next();
  return address;
}
