import { describe, expect, test } from 'vitest';
import type { Cpu } from '../../../lib/machine/cpu.ts';
import { explore } from '../../../native-sim/explore/explore.ts';
import type { Program } from '../../../native-sim/explore/program.ts';

const isFree = (value: number) => value === 0;
const forever = Number.POSITIVE_INFINITY;
const [LOCK, SHARED] = [0, 1];

/** A spin lock whose word names its owner, and a reaper that may or may not take it from the dead. */
function owned(reaper: Program['reaper'], threads = 2): Program {
  const body = (cpu: Cpu, me: number) => {
    while (cpu.cmpxchgAcquire(LOCK, 0, me + 1) !== 0) cpu.condLoad(LOCK, isFree, 0, forever);
    cpu.write(SHARED, cpu.read(SHARED) + 1);
    cpu.storeRelease(LOCK, 0);
  };
  return { words: 2, threads: Array.from({ length: threads }, () => body), reaper };
}

describe('a thread that dies', () => {
  test('while it holds a lock strands the others, unless somebody takes it away', async () => {
    const { failure } = await explore({ ...owned(undefined), kill: true });
    expect(failure?.kind).toBe('deadlock');
    expect(failure?.kills).toEqual([{ thread: 0, step: 1 }]);
    const repaired = owned((cpu, died) => void cpu.cmpxchg(LOCK, died + 1, 0));
    expect(await explore({ ...repaired, kill: true })).toMatchObject({ verdict: 'ok', complete: true });
  });

  test('is not mistaken by a reaper that frees the lock whoever holds it', async () => {
    const { failure } = await explore({ ...owned((cpu) => cpu.storeRelease(LOCK, 0), 3), kill: true });
    expect(failure?.kind).toBe('data-race');
  });

  test('dies before each of its operations, and after none of them twice', async () => {
    const seen: string[] = [];
    const program: Program = {
      words: 2,
      threads: [
        (cpu) => {
          cpu.store(0, 1);
          cpu.store(0, 2);
        },
      ],
      check: (memory) => void seen.push(`${memory.died.length > 0 ? 'died at' : 'lived to'} ${memory.read(0)}`),
    };
    const result = await explore({ ...program, kill: true });
    expect(seen).toEqual(['lived to 2', 'died at 0', 'died at 1']);
    expect(result).toMatchObject({ kills: 2, executions: 3, complete: true });
  });

  test('leaves its plain data to the reaper without a race, and to nobody else', async () => {
    const threads = [
      (cpu: Cpu) => {
        cpu.write(0, 1);
        cpu.load(1);
      },
    ];
    const reaper = (cpu: Cpu) => cpu.write(0, cpu.read(0) + 1);
    expect((await explore({ words: 2, threads, reaper, kill: true })).verdict).toBe('ok');
    const bystander = (cpu: Cpu) => void cpu.read(0);
    const racing = await explore({ words: 2, threads: [...threads, bystander], kill: { threads: [0] } });
    expect(racing.failure?.kind).toBe('data-race');
  });

  test('while it sleeps no longer stands in the queue', async () => {
    // One wake-up for two sleepers, the first of which may be dead: it must reach the other.
    const threads = [
      (cpu: Cpu) => void cpu.wait(0, 0, forever),
      (cpu: Cpu) => {
        while (cpu.load(0) === 0) cpu.wait(0, 0, forever);
      },
      (cpu: Cpu) => {
        cpu.xchg(0, 1);
        cpu.wake(0, 2);
      },
    ];
    const reaper = (cpu: Cpu) => void cpu.wake(0, 2);
    expect(await explore({ words: 1, threads, reaper, kill: true })).toMatchObject({ verdict: 'failure' });
    expect(await explore({ words: 1, threads, reaper, kill: { threads: [0, 1] } })).toMatchObject({ verdict: 'ok' });
  });

  test('may be one of several in one execution', async () => {
    const died = new Set<string>();
    const program: Program = {
      words: 2,
      threads: [(cpu) => cpu.store(0, 1), (cpu) => cpu.store(1, 1), (cpu) => cpu.store(1, 2)],
      check: (memory) => void died.add(memory.died.join()),
    };
    await explore({ ...program, kill: { count: 2 } });
    expect([...died].sort()).toEqual(['', '0', '0,1', '0,2', '1', '1,2', '2']);
  });

  test('is killed before every operation that any run has shown, however rare, at random too', async () => {
    const program = { ...owned((cpu, died) => void cpu.cmpxchg(LOCK, died + 1, 0)), kill: true };
    const all = await explore(program);
    expect(all.points.missed).toEqual([]);
    const random = await explore({ ...program, mode: 'random', executions: 200 });
    expect(random).toMatchObject({ verdict: 'ok', points: { known: random.points.reached, missed: [] } });
    expect(random.points.reached).toBeGreaterThanOrEqual(8);
  });

  test('is named where the search ended before it got there', async () => {
    const limited = await explore({
      ...owned((cpu, died) => void cpu.cmpxchg(LOCK, died + 1, 0), 3),
      kill: true,
      timeLimit: 1,
    });
    expect(limited.verdict).toBe('incomplete');
    const { known, reached, missed } = limited.points;
    expect(missed).toHaveLength(known - reached);
    for (const point of missed) expect(point).toMatch(/^thread \d before its operation \d+$/);
  });

  test('may be the reaper, after which another comes', async () => {
    const reapers = new Set<string>();
    const program: Program = {
      words: 3,
      threads: [(cpu) => cpu.store(0, 1)],
      reaper: (cpu, died, _context, me) => cpu.store(me, died + 10),
      check: (memory) => void reapers.add(`${memory.died.join()}: ${memory.read(1)} ${memory.read(2)}`),
    };
    await explore({ ...program, kill: { count: 2 } });
    expect([...reapers].sort()).toEqual(['0,1: 0 11', '0: 10 0', ': 0 0']);
    reapers.clear();
    await explore({ ...program, kill: { count: 2 }, mode: 'random', executions: 20 });
    expect([...reapers].sort()).toEqual(['0,1: 0 11', '0: 10 0', ': 0 0']);
  });

  test('is nobody where no thread may, and no model is taken for another', async () => {
    expect(await explore({ ...owned(undefined), kill: { threads: [] } })).toMatchObject({ verdict: 'ok', kills: 0 });
    await expect(explore({ ...owned(undefined), model: 'lkmm' as 'sc' })).rejects.toThrow(
      'model lkmm; expected one of',
    );
  });
});
