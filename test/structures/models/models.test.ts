import { describe, expect, test } from 'vitest';
import { compare } from './model.ts';
import { MODELS } from './models.ts';

describe.each(MODELS)('a structure that differs from a plain one: $name', (model) => {
  test('in one of some thousand random calls', () => {
    // The same calls each time: what `npm test` finds it finds again.
    expect(compare(model, 4000, 20_261_126)).toBeGreaterThanOrEqual(4000);
  });
});
