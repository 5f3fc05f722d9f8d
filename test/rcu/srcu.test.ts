import { describe, expect, test } from 'vitest';
import { Srcu } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';
import { thrown } from '../support/threads.ts';

function domains(threads: number) {
  const stage = stepper(threads);
  const first = new Srcu(stage.arenas[0]!);
  const rcus = [first, ...stage.arenas.slice(1).map((arena) => Srcu.from(arena, first.handle))] as [
    Srcu,
    Srcu,
    ...Srcu[],
  ];
  return { ...stage, rcus };
}

describe('a domain', () => {
  test('waits for its own readers, and not for those of another', () => {
    const { rcus, arenas } = domains(2);
    const other = new Srcu(arenas[0]!, 'other');
    const index = rcus[1].readLock();
    other.synchronize();
    const cookie = rcus[0].startPoll();
    expect(rcus[0].pollState(cookie)).toBe(false);
    rcus[1].readUnlock(index);
    expect(rcus[0].pollState(cookie)).toBe(true);
    expect(thrown(() => other.pollState(cookie)).code).toBe('EINVAL');
  });

  test('with overlapping readers on a thread waits for those that were inside, and no longer', () => {
    const { rcus } = domains(2);
    let index = rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    for (let i = 0; i < 3; i++) {
      const next = rcus[1].readLock();
      rcus[1].readUnlock(index);
      index = next;
    }
    expect(rcus[0].pollState(cookie)).toBe(true);
    rcus[1].readUnlock(index);
  });

  test("refuses another thread's unlock, one too many, and what is no index", () => {
    const { rcus } = domains(2);
    const index = rcus[1].readLock();
    expect(thrown(() => rcus[0].readUnlock(index)).code).toBe('EPERM');
    expect(thrown(() => rcus[1].readUnlock(2 as never)).code).toBe('EINVAL');
    rcus[1].readUnlock(index);
    expect(thrown(() => rcus[1].readUnlock(index)).code).toBe('EPERM');
  });

  test('is not destroyed with a reader inside, or a callback that has not run', async () => {
    const { rcus } = domains(2);
    const guard = rcus[1].read();
    expect(thrown(() => rcus[0].destroy()).code).toBe('EBUSY');
    guard.release();
    rcus[0].call(() => {});
    expect(thrown(() => rcus[0].destroy()).code).toBe('EBUSY');
    await rcus[0].barrierAsync();
    rcus[0].destroy();
    expect(thrown(() => Srcu.from(rcus[1].arena, rcus[1].handle)).code).toBe('EINVAL');
  });

  test('in the place of one that was destroyed knows its readers', () => {
    const { rcus, arenas } = domains(2);
    const { address } = rcus[0];
    rcus[0].destroy();
    // The other thread has heard of it.
    for (const arena of arenas) arena!.objects.makeRoom();
    const first = new Srcu(arenas[0]!);
    const second = Srcu.from(arenas[1]!, first.handle);
    expect(first.address).toBe(address);
    const index = second.readLock();
    const cookie = first.startPoll();
    expect(first.pollState(cookie)).toBe(false);
    second.readUnlock(index);
    expect(first.pollState(cookie)).toBe(true);
  });

  test('is free of a reader that dies', () => {
    const { rcus, die, reap } = domains(2);
    rcus[1].readLock();
    const cookie = rcus[0].startPoll();
    die(1);
    expect(reap(0)).toBe('done');
    expect(rcus[0].pollState(cookie)).toBe(true);
    rcus[0].destroy();
  });
});
