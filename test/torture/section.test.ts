import { beforeEach, describe, expect, test } from 'vitest';
import { Arena } from '../../lib/index.ts';
import { formatStage, type Mortal, Section, type Step } from '../../lib/torture/section.ts';
import { Seat, Stage, seatAddress, stageWords } from '../../lib/torture/words.ts';

const SEATS = 2;

let arena: Arena;
let stage: number;
let lock: { ownerDied: boolean; makeConsistent(): void };

beforeEach(() => {
  arena = Arena.create({ bytes: 1 << 16, maxThreads: 2 });
  stage = arena.alloc(stageWords(SEATS));
  formatStage(arena.cpu, stage, stageWords(SEATS));
  for (let seat = 0; seat < SEATS; seat++) arena.cpu.store(seatAddress(stage, seat) + Seat.incarnation, 1);
  lock = {
    ownerDied: false,
    makeConsistent: () => {
      lock.ownerDied = false;
    },
  };
  return () => arena.detach();
});

const section = (seat: number, mortal: Mortal = lock, isRobust = true) =>
  new Section(arena.cpu, stage, SEATS, seat, mortal, isRobust);

/** Runs the section of `seat` up to `last`, and leaves it there. */
function die(seat: number, last: Step): void {
  for (const step of section(seat).write()) if (step === last) break;
  arena.cpu.store(seatAddress(stage, seat) + Seat.incarnation, -1);
  lock.ownerDied = true;
}

const pass = (seat: number) => [...section(seat).write()];

test('what one leaves is in order for the next', () => {
  expect(pass(0)).toEqual(['arrived', 'torn', 'written']);
  expect(pass(1)).toEqual(['arrived', 'torn', 'written']);
  expect([...section(0).read()]).toEqual(['torn']);
  expect(arena.cpu.read(stage + Stage.counter)).toBe(2);
});

describe('two inside that nobody notices', () => {
  test('a writer comes while another is inside', () => {
    const first = section(0).write();
    first.next();
    first.next();
    expect(() => pass(1)).toThrow(/thread 0 is inside as well/);
  });

  test('two writers come at the same time', () => {
    const first = section(0).write();
    const second = section(1).write();
    first.next();
    second.next();
    first.next();
    second.next();
    expect(() => first.next()).toThrow(/not alone: thread 1/);
  });

  test('a writer came and went', () => {
    const first = section(0).write();
    first.next();
    const second = section(1).write();
    second.next();
    first.next();
    for (const _ of second);
    expect(() => first.next()).toThrow(/not alone/);
  });

  test('a reader comes while a writer is inside, or a writer while a reader is', () => {
    const writer = section(0).write();
    writer.next();
    writer.next();
    expect(() => [...section(1).read()]).toThrow(/thread 0 is inside as well/);
    for (const _ of writer);
    const reader = section(1).read();
    reader.next();
    pass(0);
    expect(() => reader.next()).toThrow(/was written while/);
  });
});

describe('a death whose traces stay', () => {
  test.each<Step>(['arrived', 'torn', 'written'])('at %s', (step) => {
    pass(0);
    die(0, step);
    expect(pass(1)).toEqual(['wrecked', 'arrived', 'torn', 'written']);
    expect(lock.ownerDied).toBe(false);
    expect(pass(1)).toEqual(['arrived', 'torn', 'written']);
  });

  test.each<Step>(['torn', 'written'])('at %s, and the lock does not say so', (step) => {
    die(0, step);
    lock.ownerDied = false;
    expect(() => pass(1)).toThrow(/thread 0 died inside, and the lock did not say so/);
  });

  test('the lock calls an owner dead that lives', () => {
    const first = section(0).write();
    first.next();
    first.next();
    lock.ownerDied = true;
    expect(() => pass(1)).toThrow(/thread 0 lives/);
  });

  test('a record that no single death leaves', () => {
    die(0, 'torn');
    arena.cpu.write(stage + Stage.record + 7, 99);
    expect(() => pass(1)).toThrow(/no single death leaves this record/);
  });

  test('a lock that cannot say so: who was inside tells', () => {
    die(0, 'torn');
    lock.ownerDied = false;
    const steps = [...section(1, lock, false).write()];
    expect(steps).toEqual(['wrecked', 'arrived', 'torn', 'written']);
  });
});

describe('a torn copy that a reader takes for whole', () => {
  const reader = (copy: (address: number, into: Int32Array) => boolean) =>
    section(1, { ownerDied: false, makeConsistent: () => {}, snapshot: copy });
  const careless = (address: number, into: Int32Array) => {
    into.set(arena.words.subarray(address, address + into.length));
    return true;
  };
  const reads = () => arena.cpu.read(seatAddress(stage, 1) + Seat.reads);

  test('a whole one counts, one that cannot be had does not', () => {
    pass(0);
    for (const _ of reader(careless).read());
    expect(reads()).toBe(1);
    for (const _ of reader(() => false).read());
    expect(reads()).toBe(1);
  });

  test('a writer is in the middle', () => {
    const writer = section(0).write();
    writer.next();
    writer.next();
    expect(() => [...reader(careless).read()]).toThrow(/thread 0 is inside as well/);
  });

  test.each([
    ['half of the record is of the next version', () => stage + Stage.record, /torn/],
    ['the counter is ahead', () => stage + Stage.counter, /1 updates of the counter too many/],
    ["a seat's count is ahead", () => seatAddress(stage, 0) + Seat.writes, /1 updates of the counter lost/],
  ])('%s', (_, word, fault) => {
    pass(0);
    const torn = (address: number, into: Int32Array) => {
      careless(address, into);
      const index = word() - address;
      into[index] = (into[index] as number) + 1;
      return true;
    };
    expect(() => [...reader(torn).read()]).toThrow(fault);
  });
});
