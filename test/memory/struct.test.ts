/** Names of words: what tools show where a number would say nothing. */
import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { expect, it } from 'vitest';
import { Header } from '../../lib/memory/header.ts';
import { arrayOf, struct, wordName } from '../../lib/memory/struct.ts';
import { Pool, Pwq } from '../../lib/workqueue/layout.ts';

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

it('a long struct is an object whose fields V8 reads as constants', () => {
  setFlagsFromString('--allow-natives-syntax');
  const hasFastProperties = runInThisContext('(object) => %HasFastProperties(object)') as (object: object) => boolean;
  const slow = { ...Inner } as Record<string, number>;
  for (let i = 0; i < 200; i++) slow[`field${i}`] = i;
  expect(hasFastProperties(slow)).toBe(false);
  expect([Header, Pool, Pwq].map((layout) => Object.keys(layout).length > 20 && hasFastProperties(layout))).toEqual([
    true,
    true,
    true,
  ]);
});
