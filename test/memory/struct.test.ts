/** Names of words: what tools show where a number would say nothing. */
import { expect, it } from 'vitest';
import { arrayOf, struct, wordName } from '../../lib/memory/struct.ts';

const Inner = struct({ first: 1, last: 2 });
const Outer = struct({ header: 2, inner: Inner, nodes: arrayOf(3, Inner), end: 1 });

it('a struct in a struct is as long as it is, and so is an array of them', () => {
  expect(Outer).toMatchObject({ header: 0, inner: 2, nodes: 5, end: 14, words: 15 });
});

it.each([
  [0, 'header[0]'],
  [1, 'header[1]'],
  [2, 'inner.first'],
  [4, 'inner.last[1]'],
  [5, 'nodes[0].first'],
  [7, 'nodes[0].last[1]'],
  [11, 'nodes[2].first'],
  [13, 'nodes[2].last[1]'],
  [14, 'end'],
  [15, '+0'],
  [17, '+2'],
])('word %i is %s', (offset, name) => {
  expect(wordName(Outer, offset)).toBe(name);
});
