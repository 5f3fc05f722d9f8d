import { type Arena, Futex } from '../../lib/index.ts';
import { arrive, bump } from '../support/stage.ts';

/** Adds one to `stage`, then waits for `word`; what came of it. */
export function waitOn(arena: Arena, stage: number, word: number, value: number, timeout?: number): string {
  const futex = new Futex(arena);
  arrive(arena, stage);
  return outcome(() => futex.wait(word, value, { timeout }));
}

/** `waitOn` for each of several words at once: the index, or the code. */
export function waitOnAll(arena: Arena, stage: number, words: number[]): string {
  const futex = new Futex(arena);
  arrive(arena, stage);
  return outcome(() => futex.waitv(words.map((word) => ({ word, value: 0 }))));
}

/** A mutex of one word, as futex(7) has it: `times` times adds to the two words behind `record`. */
export function increment(arena: Arena, lock: number, record: number, times: number): number {
  const futex = new Futex(arena);
  const { words } = arena;
  let torn = 0;
  for (let i = 0; i < times; i++) {
    for (let seen = Atomics.compareExchange(words, lock, 0, 1); seen !== 0; seen = Atomics.exchange(words, lock, 2)) {
      if (seen === 1 && Atomics.exchange(words, lock, 2) === 0) break;
      outcome(() => futex.wait(lock, 2));
    }
    torn += bump(arena, record);
    if (Atomics.exchange(words, lock, 0) === 2) futex.wake(lock);
  }
  return torn;
}

/** Moves waiters between words for ever. */
export function shuffle(arena: Arena, stage: number, from: number, to: number): void {
  const futex = new Futex(arena);
  arrive(arena, stage);
  for (;;) {
    for (let i = 0; i < 8; i++) {
      futex.requeue(from, 0, to, 2);
      futex.requeue(to, 0, from, 3);
    }
    // Latches are not fair: others come in here.
    Atomics.wait(arena.words, stage + 1, 0, 0.1);
  }
}

/** Lies down and rises again for ever, on two words and a vector of them. */
export function restless(arena: Arena, stage: number, words: number[]): void {
  const futex = new Futex(arena);
  arrive(arena, stage);
  for (let i = 0; ; i++) {
    if (i % 2 === 0) outcome(() => futex.wait(words[0] as number, 0, { timeout: 0 }));
    else
      outcome(() =>
        futex.waitv(
          words.map((word) => ({ word, value: 0 })),
          { deadline: 0 },
        ),
      );
    futex.wake(words[1] as number);
  }
}

/** Changes the word and dies before it wakes anybody. */
export function changeAndDie(arena: Arena, word: number): void {
  Atomics.add(arena.words, word, 1);
  process.exit(1);
}

function outcome(call: () => number): string {
  try {
    return String(call());
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/**
 * The program's side of the robust protocol. `list` is the head, `entries` the locks in order: each entry is two
 * words, its link and its futex word. Holds them all and ends in the middle of what `how` says.
 */
export function holdRobustly(arena: Arena, stage: number, list: number, entries: number[], how: string): void {
  const futex = new Futex(arena);
  const { words } = arena;
  words[list] = list;
  words[list + 1] = 1;
  words[list + 2] = 0;
  futex.setRobustList(list);
  for (const entry of entries) {
    words[list + 2] = entry;
    words[entry + 1] = futex.tid;
    words[entry] = words[list] as number;
    words[list] = entry;
    words[list + 2] = 0;
  }
  const [first] = entries as [number];
  if (how === 'circular') words[first] = entries.at(-1) as number;
  if (how === 'astray') words[first] = 2 ** 29;
  if (how === 'taking' || how === 'releasing') {
    // Taken but not linked in; or unlinked and let go, but nobody woken yet.
    words[list] = list;
    words[list + 2] = first;
    if (how === 'releasing') Atomics.store(words, first + 1, 0);
  }
  arrive(arena, stage);
  setInterval(() => {}, 1000);
}

export function robustListHere(arena: Arena): number {
  return new Futex(arena).getRobustList();
}

/** Wakes one waiter of `word` as soon as there are `count`: moves them to and fro to count them. */
export function wakeWhenThereAre(arena: Arena, word: number, count: number): void {
  const futex = new Futex(arena);
  while (futex.requeue(word, 0, word + 1, Infinity) < count) {
    futex.requeue(word + 1, 0, word, Infinity);
    Atomics.wait(arena.words, word, 0, 1);
  }
  futex.requeue(word + 1, 0, word, Infinity);
  futex.wake(word, 1);
}
