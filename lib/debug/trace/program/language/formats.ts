/** Formats of printf: `%d`, `%u`, `%x` for numbers, `%s` for the rest, `%%`; with a width, and `-` for the left: `%-20s`. */
import type { Format, ValueType } from '../program.ts';
import { MOST_ARGUMENTS } from '../program.ts';

const CONVERSION = /%(-?)(\d*)(?:l{0,2})([duxs%])/g;

/** A message where the format is none, or does not fit its values. */
export function formatOf(text: string, types: readonly ValueType[]): Format | string {
  const pieces: string[] = [''];
  const as: { form: 'd' | 'x' | 's'; width: number }[] = [];
  let end = 0;
  const append = (piece: string) => void (pieces[pieces.length - 1] += piece);
  for (const match of text.matchAll(CONVERSION)) {
    const [whole, left, width, form] = match as unknown as [string, string, string, string];
    append(text.slice(end, match.index));
    end = match.index + whole.length;
    if (form === '%') {
      append('%');
      continue;
    }
    as.push({ form: form === 'u' ? 'd' : (form as 'd' | 'x' | 's'), width: Number(width) * (left === '' ? 1 : -1) });
    pieces.push('');
  }
  append(text.slice(end));
  const percent = pieces.find((piece) => piece.replaceAll('%', '') !== piece && !text.includes('%%'));
  if (percent !== undefined) return 'a % is followed by d, u, x, s or another %';
  if (as.length !== types.length) return `the format has ${as.length} values, and ${types.length} are given`;
  if (as.length > MOST_ARGUMENTS) return `printf() takes at most ${MOST_ARGUMENTS} values`;
  const wrong = as.findIndex(({ form }, i) => (form === 's') === (types[i] === 'number'));
  if (wrong >= 0) {
    const expected = types[wrong] === 'number' ? '%d, %u or %x' : '%s';
    return `value ${wrong + 1} is a ${types[wrong]}: its place in the format is ${expected}`;
  }
  return { pieces, arguments: types, as };
}

/** The line for such values, which `show` turns into text. */
export function formatted({ pieces, as }: Format, values: readonly (number | string)[]): string {
  return pieces.map((piece, i) => piece + (as[i] === undefined ? '' : padded(as[i], values[i] ?? ''))).join('');
}

function padded({ form, width }: Format['as'][number], value: number | string): string {
  const text = form === 'x' && typeof value === 'number' ? value.toString(16) : `${value}`;
  return width < 0 ? text.padEnd(-width) : text.padStart(width);
}
