import { afterEach, expect, test, vi } from 'vitest';
import { Arena, Rcu, type RcuDomain, rcuSelfTest } from '../../lib/index.ts';

/** What all flavours inherit their waits from. */
const domain = Object.getPrototypeOf(Rcu.prototype) as RcuDomain;

const make = () => Arena.create({ bytes: 1 << 20, maxThreads: 4 });

async function failures(arena: Arena, timeout = 10_000): Promise<Record<string, string>> {
  const failed = (await rcuSelfTest(arena, { timeout })).filter(({ problem }) => problem !== undefined);
  return Object.fromEntries(failed.map(({ flavour, check, problem }) => [`${flavour}.${check}`, problem as string]));
}

afterEach(() => void vi.restoreAllMocks());

test('each flavour is tried, and nothing stays behind', async () => {
  const arena = make();
  const results = await rcuSelfTest(arena);
  expect([...new Set(results.map(({ flavour }) => flavour))]).toEqual(['Rcu', 'RcuQsbr', 'Srcu', 'TasksRcu']);
  expect(results).toHaveLength(20);
  expect(results.filter(({ problem }) => problem !== undefined)).toEqual([]);
  const { blocks } = arena.use();
  await rcuSelfTest(arena);
  arena.objects.makeRoom();
  expect(arena.use().blocks).toBe(blocks);
  expect(arena.fsck()).toEqual([]);
});

test('a period that ends with a reader inside', async () => {
  vi.spyOn(domain, 'pollState').mockReturnValue(true);
  expect(await failures(make())).toEqual({
    'Rcu.pollState': 'a period ended with a reader inside',
    'RcuQsbr.pollState': 'a period ended with a reader inside',
    'Srcu.pollState': 'a period ended with a reader inside',
  });
});

test('a wait that is over before its period, and a cookie that is never reached', async () => {
  vi.spyOn(domain, 'synchronizeAsync').mockResolvedValue();
  vi.spyOn(domain, 'pollState').mockReturnValue(false);
  expect(await failures(make())).toMatchObject({
    'Rcu.pollState': 'the cookie was not reached after a period',
    'Rcu.synchronize': 'it ended before its period',
    'TasksRcu.synchronizeExpedited': 'it ended before its period',
    'RcuQsbr.call': 'a callback ran before its period was over',
  });
});

test('callbacks that are lost, or run in another order', async () => {
  const callbacks: (() => unknown)[] = [];
  vi.spyOn(domain, 'call').mockImplementation((callback) => void callbacks.push(callback));
  expect(await failures(make())).toMatchObject({
    'Rcu.call': 'barrier() ended when 0 of 3 callbacks had run',
    'TasksRcu.call': 'barrier() ended when 0 of 3 callbacks had run',
  });
  vi.spyOn(domain, 'barrierAsync').mockImplementation(async () => {
    for (const callback of callbacks.splice(0).toReversed()) callback();
  });
  expect(await failures(make())).toMatchObject({ 'Srcu.call': 'a callback ran before its period was over' });
  vi.spyOn(domain, 'pollState').mockReturnValue(true);
  expect(await failures(make())).toMatchObject({ 'Srcu.call': 'callbacks ran in the order 2, 1, 0' });
});

test('an object that is not freed, and a period that somebody holds up', async () => {
  vi.spyOn(domain, 'kfree').mockReturnValue();
  expect(await failures(make())).toMatchObject({ 'Rcu.kfree': 'barrier() ended before the object was free' });
  vi.restoreAllMocks();
  const arena = make();
  using _reader = new Rcu(arena).read();
  const failed = await failures(arena, 5);
  const ofRcu = Object.keys(failed).filter((check) => check.startsWith('Rcu.'));
  expect(ofRcu).toEqual(['Rcu.pollState', 'Rcu.synchronize', 'Rcu.synchronizeExpedited', 'Rcu.call', 'Rcu.kfree']);
  expect(failed['Rcu.synchronize']).toContain('ETIMEDOUT');
  // Other flavours may have found 5 ms too short, where the machine is busy.
  for (const [check, reason] of Object.entries(failed))
    if (!ofRcu.includes(check)) expect(reason).toContain('ETIMEDOUT');
});

test('bad options, and a thread that has left', async () => {
  const arena = make();
  await expect(rcuSelfTest(arena, { timeout: -1 })).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(rcuSelfTest(arena, { wait: 1 } as never)).rejects.toMatchObject({ code: 'EINVAL' });
  arena.detach();
  await expect(rcuSelfTest(arena)).rejects.toMatchObject({ code: 'EINVAL' });
});
