/** What the tests of workqueues run on workers. */
import { getPriority } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { threadId } from 'node:worker_threads';
import { osThread } from '../../lib/arena/liveness.ts';
import { Completion, currentWork, HoldfastError, Mutex, Work, Workqueue, work } from '../../lib/index.ts';

const refuse = () => {
  throw new Error('no');
};
const ODD = {
  'a thenable that calls back twice': () => {
    return {
      // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
      then(resolve: (value: number) => void, reject: (error: Error) => void) {
        resolve(1);
        resolve(2);
        reject(new Error('too late'));
      },
    };
  },
  // biome-ignore lint/suspicious/noThenProperty: that is what it is about.
  'a thenable that throws': () => ({ then: refuse }),
  'a thenable with a getter that throws': () => Object.defineProperty({}, 'then', { get: refuse }),
  'an error whose stack throws': () => {
    throw Object.defineProperty(new Error('mine'), 'stack', { get: refuse });
  },
  'an error with a getter that throws': () => {
    throw Object.defineProperty(new Error('mine'), 'own', { get: refuse, enumerable: true });
  },
  'an error that can’t be shown': () => {
    throw { [inspect.custom]: refuse, toString: refuse };
  },
  'an error that is nothing': async () => {
    await sleep(0);
    throw Object.assign(Object.create(null), { uncloneable: refuse });
  },
  'a proxy that was revoked': () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    throw proxy;
  },
} as const;

export const f = work(import.meta.url, {
  add: (a: number, b: number) => a + b,
  echo: <Value>(value: Value): Value => value,
  thread: () => threadId,
  niceness: () => getPriority(osThread()),
  nap: async (ms: number) => {
    await sleep(ms);
    return 1;
  },
  fail: (message: string) => {
    throw Object.assign(new TypeError(message), { code: 'E_MINE' });
  },
  failLater: async (message: string) => {
    await sleep(0);
    throw new RangeError(message);
  },
  /** Throws an error with a message of that many characters. */
  failAtLength: (characters: number) => {
    throw new TypeError('m'.repeat(characters));
  },
  uncloneable: () => () => {},
  /** Blocks its thread until the completion is complete. */
  block: (gate: string) => {
    new Completion(currentWork().arena, gate).wait();
    return threadId;
  },
  blockAsync: async (gate: string) => {
    await new Completion(currentWork().arena, gate).waitAsync();
    return threadId;
  },
  /** Computes so many ms. */
  computeFor: (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
    return threadId;
  },
  computeForAsync: async (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; );
    return threadId;
  },
  open: (gate: string) => {
    new Completion(currentWork().arena, gate).completeAll();
    return threadId;
  },
  /** Appends a number to the log at that address: its first word is the count. */
  note: (log: number, value: number) => {
    const { words } = currentWork().arena;
    Atomics.store(words, log + 1 + Atomics.add(words, log, 1), value);
  },
  noteAll: ({ at, values }: { at: number; values: number[] }) => {
    for (const value of values) f.note(at, value);
  },
  /** Queues that work in that ordered queue, and waits for it, blocking the thread. */
  queueAndFlush: (name: string, which: string) => {
    const { arena } = currentWork();
    const it = new Work(arena, which, f.note);
    new Workqueue(arena, name, { ordered: true }).queueWork(it);
    it.flushWork();
  },
  queueAndFlushAsync: (name: string, which: string) => {
    const { arena } = currentWork();
    const it = new Work(arena, which, f.note);
    new Workqueue(arena, name, { ordered: true }).queueWork(it);
    return it.flushWorkAsync();
  },
  /** Notes EDEADLK. */
  flushMyself: async (which: string, at: number) => {
    const { arena } = currentWork();
    const it = new Work(arena, which, f.flushMyself);
    for (const wait of [() => it.flushWork(), () => it.cancelWorkSync()]) {
      try {
        wait();
      } catch (error) {
        if (HoldfastError.from(error)?.code === 'EDEADLK') f.note(at, 35);
      }
    }
    await it.flushWorkAsync().catch(({ code }) => code === 'EDEADLK' || Promise.reject(code));
  },
  /** Once the gate is open. */
  queueBehind: async (gate: string, name: string, which: string) => {
    const { arena } = currentWork();
    await new Completion(arena, gate).waitAsync();
    return new Workqueue(arena, name).queueWork(new Work(arena, which, f.note));
  },
  /** Counts in the two words at that address those that run at once, and the most that there were. */
  gauge: async (at: number) => {
    const { words } = currentWork().arena;
    const now = Atomics.add(words, at, 1) + 1;
    let most = Atomics.load(words, at + 1);
    while (most < now)
      most = Atomics.compareExchange(words, at + 1, most, now) === most ? now : Atomics.load(words, at + 1);
    await sleep(1);
    Atomics.sub(words, at, 1);
  },
  nested: async (name: string, depth: number): Promise<number> => {
    const wq = new Workqueue(currentWork().arena, name);
    return depth === 0 ? 0 : 1 + (await wq.run(f.nested, name, depth - 1));
  },
  /** Queues so many notes in the named queue, each by the one before, and waits for none. */
  chain: (name: string, log: number, notes: number) => {
    const { arena } = currentWork();
    Atomics.add(arena.words, log, 1);
    if (notes > 1) void new Workqueue(arena, name).run(f.chain, name, log, notes - 1);
  },
  chainLater: async (name: string, log: number, notes: number, gate: string) => {
    const { arena } = currentWork();
    await new Completion(arena, gate).waitAsync();
    void new Workqueue(arena, name).run(f.chain, name, log, notes);
  },
  /** Waits, before its first await, for its own queue. */
  flushWithin: (name: string, how: 'flush' | 'drain' | 'close') => new Workqueue(currentWork().arena, name)[how](),
  spinOn: (us: number) => {
    const end = performance.now() + us / 1e3;
    while (performance.now() < end);
    return threadId;
  },
  spin: (us: number) => {
    const end = performance.now() + us / 1000;
    while (performance.now() < end);
  },
  /** The codes with which the three blocking waits for that queue end. */
  flushSyncWithin: (name: string) => {
    const wq = new Workqueue(currentWork().arena, name);
    const codes = [() => wq.flushSync(), () => wq.drainSync(), () => wq.closeSync()].map((wait) => {
      try {
        wait();
        return '';
      } catch (error) {
        return HoldfastError.from(error)?.code ?? String(error);
      }
    });
    return codes.join(' ');
  },
  /** Computes until that word is not 0. */
  spinUntil: (at: number) => {
    const { words } = currentWork().arena;
    while (Atomics.load(words, at) === 0);
  },
  /** Writes `value` in the word, if nobody has written there, once the event loop has had a turn. */
  sayFirst: async (at: number, value: number) => {
    const { words } = currentWork().arena;
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.compareExchange(words, at, 0, value);
  },
  /** Computes for 100 us in each of so many items, one after the other, as long as nobody writes there; then it does. */
  computeInTurn: (name: string, at: number, value: number, times: number) => {
    const { arena } = currentWork();
    f.spin(100);
    if (times === 0) Atomics.compareExchange(arena.words, at, 0, value);
    else if (Atomics.load(arena.words, at) === 0)
      void new Workqueue(arena, name).run(f.computeInTurn, name, at, value, times - 1);
  },
  /** Asks for a lock, and leaves it to come. */
  lockLater: (name: string) => {
    const { arena } = currentWork();
    void new Mutex(arena, name).acquireAsync().then((held) => held.release());
  },
  /** What a function can come to that is neither a value nor an error like any other. */
  odd: (how: keyof typeof ODD) => ODD[how](),
  exit: () => process.exit(3),
  throwLater: async () => {
    setImmediate(() => {
      throw new Error('nobody catches this');
    });
    await new Promise(() => {});
  },
  untilAborted: (begun: string) => {
    const context = currentWork();
    new Completion(currentWork().arena, begun).completeAll();
    while (!context.aborted);
  },
  untilSignal: async (begun: string, over: string) => {
    const { arena, signal } = currentWork();
    new Completion(currentWork().arena, begun).completeAll();
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    new Completion(arena, over).completeAll();
  },
});
