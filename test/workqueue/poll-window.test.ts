import { expect, test } from 'vitest';
import { PollWindow } from '../../lib/workqueue/poll-window.ts';

const LONGEST = 40e3;

/** The lengths of so many windows in vain. */
function inVain(window: PollWindow, count: number): number[] {
  return Array.from({ length: count }, () => {
    const { length } = window;
    window.miss();
    return length;
  });
}

test('a window that stays long although nothing ever comes in it, or that never becomes long again', () => {
  const window = new PollWindow(LONGEST);
  expect(inVain(window, 6)).toEqual([40e3, 20e3, 10e3, 5e3, 2.5e3, 0]);
  // A look now and then: the other side may run on another core by now.
  const later = inVain(window, 90);
  expect(later.filter((length) => length === LONGEST)).toHaveLength(3);
  expect(later.filter((length) => length > 0)).toHaveLength(3);
  window.hit();
  expect(inVain(window, 2)).toEqual([40e3, 20e3]);
});

test('a window that shrinks while what it is for comes in time', () => {
  const window = new PollWindow(LONGEST);
  for (let i = 0; i < 100; i++) {
    expect(window.length).toBe(LONGEST);
    window.hit();
  }
});
