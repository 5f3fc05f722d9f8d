import { expect, test } from 'vitest';
import { type Member, Roster } from '../../lib/machine/roster.ts';

const member = (name: number): Member & { name: number } => ({ name, place: undefined });
const names = (roster: Roster<Member & { name: number }>) => roster.values().map(({ name }) => name);

test('members out of order, or lost, when others go', () => {
  const roster = new Roster<Member & { name: number }>();
  const all = Array.from({ length: 200 }, (_, name) => member(name));
  all.forEach((each) => void roster.add(each));
  for (const each of all) if (each.name % 7 > 0) roster.remove(each);
  expect(names(roster)).toEqual(all.filter(({ name }) => name % 7 === 0).map(({ name }) => name));
  expect(roster.size).toBe(29);
  // Where the gaps were closed, each must still know its place.
  for (const each of all) if (each.name % 2 === 0) roster.remove(each);
  expect(names(roster)).toEqual(all.map(({ name }) => name).filter((name) => name % 14 === 7));
  const last = member(1000);
  roster.add(last);
  expect(names(roster).at(-1)).toBe(1000);
});

test('a member that goes twice takes another with it', () => {
  const roster = new Roster<Member & { name: number }>();
  const [one, two] = [member(1), member(2)];
  roster.add(one);
  roster.remove(one);
  roster.add(two);
  roster.remove(one);
  expect(names(roster)).toEqual([2]);
});

test('a member that goes after all were taken out', () => {
  const roster = new Roster<Member & { name: number }>();
  const [one, two, three] = [member(1), member(2), member(3)];
  roster.add(one);
  roster.add(two);
  expect(roster.takeAll()).toEqual([one, two]);
  roster.add(three);
  roster.remove(one);
  roster.remove(two);
  expect(names(roster)).toEqual([3]);
  expect(roster.size).toBe(1);
});

test('gaps that are never closed', () => {
  const roster = new Roster<Member & { name: number }>();
  const first = member(0);
  roster.add(first);
  let before = member(1);
  roster.add(before);
  for (let name = 2; name < 10_000; name++) {
    const next = member(name);
    roster.add(next);
    roster.remove(before);
    before = next;
  }
  expect(names(roster)).toEqual([0, 9999]);
  expect(before.place).toBeLessThan(50);
});
