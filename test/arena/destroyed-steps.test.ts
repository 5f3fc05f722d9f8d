/** `destroy` at each step of other threads' calls: the object is in use, or gone. In both cases it is so for all. */
import { describe, expect, test } from 'vitest';
import type { Arena } from '../../lib/arena/arena.ts';
import type { SharedObject } from '../../lib/arena/shared-object.ts';
import { HoldfastError } from '../../lib/errors.ts';
import { Mutex, WaitQueue } from '../../lib/index.ts';
import { Task } from '../../lib/sched/task.ts';
import { CASES, type Calls, callsOf, type ObjectCase } from '../support/objects.ts';
import { Hang, step, stepper, type When } from '../support/stepper.ts';

const GONE = 'gone';
/** How a call ends that finds the object held. */
const REFUSED = ['ETIMEDOUT', 'EPERM'];

/** What became of a call: GONE when it found that its object was destroyed, else the code of its error, or nothing. */
function outcomeOf(error: unknown): string | undefined {
  if (!(error instanceof HoldfastError)) throw error;
  return error.code === 'EINVAL' && error.message.includes('was destroyed') ? GONE : error.code;
}

function outcome(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return outcomeOf(error);
  }
}

/** Three threads with a view each of one object. */
function stage({ make, args }: ObjectCase) {
  const { arenas, ...rest } = stepper(3, { words: 1 << 14 });
  const views = arenas.map((arena) => make(arena)) as [SharedObject, SharedObject, SharedObject];
  const [own, second, third] = views.map(callsOf) as [Calls, Calls, Calls];
  const words = (arenas[1] as Arena).alloc(16);
  return {
    ...rest,
    arenas: arenas as [Arena, Arena, Arena],
    views,
    own,
    second,
    third,
    given: args?.(arenas[1]!, words) ?? {},
  };
}

type Stage = ReturnType<typeof stage>;

/** Destroys the object if that has not happened yet: after all that is over, nothing may be in the way. */
function expectEnd({ arenas: [first], views, own }: Stage, isDestroyed: boolean, at: string): void {
  const destroyed = isDestroyed ? undefined : outcome(() => own.destroy!());
  const seen = views.map((view) => outcome(() => view.name));
  // One `expect` for all: there are tens of thousands of steps.
  expect([destroyed, ...seen, ...first.fsck()], at).toEqual([undefined, GONE, GONE, GONE]);
}

/** The `n`th step that thread 1 makes without a latch: with one, others that need it do nothing before it is free. */
function unlatchedStep({ real, arenas }: Stage, n: number): When {
  const { id } = arenas[1].thread;
  const held = new Set<number>();
  let seen = 0;
  return ({ op, address, args }) => {
    const isStep = held.size === 0 && ++seen === n;
    // `latch` and `unlatch`.
    if (op === 'cmpxchgAcquire' && (args[2] as number) >> 2 === id && real.load(address) === args[1]) held.add(address);
    if (op === 'xchgRelease' && args[1] === 0) held.delete(address);
    return isStep;
  };
}

/**
 * Before step 1, 2, … of `run`, which thread 1 makes, `other` runs; until there is no such step. `isStep`: which steps
 * count.
 */
async function atEachStep(
  object: ObjectCase,
  other: (stage: Stage) => void,
  run: (stage: Stage, interrupt: () => void) => unknown,
  check: (stage: Stage, result: string | undefined, at: string) => void,
  isStep: (stage: Stage, n: number) => When = (_stage, n) => step(n),
): Promise<void> {
  for (let n = 1; ; n++) {
    const each = stage(object);
    let result: string | undefined;
    let isPossible = true;
    const plan = () =>
      each.before(1, isStep(each, n), () => {
        try {
          other(each);
        } catch (error) {
          // It has to wait for this thread: it cannot get on at this step.
          isPossible &&= !(error instanceof Hang);
          throw error;
        }
      });
    try {
      await run(each, plan);
    } catch (error) {
      if (!isPossible) continue;
      // Nobody lets it go before this step: there are no more.
      if (error instanceof Hang && each.cancel(1)) return;
      result = outcomeOf(error);
    }
    if (each.cancel(1)) return;
    check(each, result, `step ${n}`);
  }
}

const sections = CASES.flatMap((object) => (object.sections ?? []).map((section) => ({ ...section, object })));
const nameOf = ({ object, take }: (typeof sections)[number]) => `${object.kind}.${take}()`;
const named = sections.map((each) => ({ ...each, name: nameOf(each) }));

describe.each(named)('$name', ({ object, take, release, acquireAsync, hasOptions }) => {
  const destroyed: (string | undefined)[] = [];
  const destroy = ({ own }: Stage) => void destroyed.push(outcome(() => own.destroy!()));
  let token: unknown;

  /** A caller that got in is in, and the object is there; one that did not, does not hold it. */
  function check(each: Stage, result: string | undefined, at: string): void {
    const isGone = destroyed.at(-1) === undefined;
    expect([undefined, 'EBUSY'], at).toContain(destroyed.at(-1));
    if (result === undefined) {
      expect(isGone, at).toBe(false);
      each.second[release]!(token);
    } else {
      expect(isGone ? [GONE, ...REFUSED] : REFUSED, at).toContain(result);
    }
    expectEnd(each, isGone, at);
  }

  test('while a thread takes it that is free', async () => {
    const run = ({ second }: Stage, plan: () => void) => {
      plan();
      token = second[take]!();
    };
    await atEachStep(object, destroy, run, check);
    expect(destroyed).toContain(undefined);
  });

  test('while a thread waits, and it comes free', async () => {
    let held: unknown;
    const other = (each: Stage) => {
      each.third[release]!(held);
      destroy(each);
    };
    const run = ({ second, third }: Stage, plan: () => void) => {
      held = third[take]!();
      plan();
      token = second[take]!(...(hasOptions ? [{ timeout: 1 }] : []));
    };
    await atEachStep(object, other, run, check, unlatchedStep);
    expect(destroyed.length).toBeGreaterThan(1);
  });

  test('and a thread takes it at each step of destroy()', () => {
    for (let n = 1; ; n++) {
      const each = stage(object);
      let allowed: (string | undefined)[] = [];
      each.before(0, step(n), () => {
        try {
          token = each.second[take]!();
          allowed = ['EBUSY'];
        } catch (error) {
          // It waits until it is known what becomes of the object; `destroy` may have met it on its way in or out.
          allowed = error instanceof Hang ? [undefined, 'EBUSY'] : [undefined];
          if (!(error instanceof Hang)) expect(outcomeOf(error), `step ${n}`).toBe(GONE);
        }
      });
      destroy(each);
      if (each.cancel(0)) return;
      expect(allowed, `step ${n}`).toContain(destroyed.at(-1));
    }
  });

  test('while a thread releases it', async () => {
    const run = ({ second }: Stage, plan: () => void) => {
      const own = second[take]!();
      plan();
      second[release]!(own);
    };
    await atEachStep(object, destroy, run, (each, result, at) => {
      expect(result, at).toBeUndefined();
      expectEnd(each, destroyed.at(-1) === undefined, at);
    });
    expect(destroyed).toContain('EBUSY');
  });

  test('after a thread has died that took and released it', () => {
    for (let n = 1; ; n++) {
      const each = stage(object);
      const isKilled = each.killBefore(1, step(n), () => each.second[release]!(each.second[take]!()));
      if (!isKilled) return;
      destroy(each);
      const isGone = destroyed.at(-1) === undefined;
      expect(each.reap(2), `step ${n}`).toBe('done');
      expectEnd(each, isGone, `step ${n}`);
      for (const arena of [each.arenas[0], each.arenas[2]]) arena.objects.makeRoom();
      expect(each.arenas[0].heap.isObject(each.views[0].address), `step ${n}`).toBe(false);
    }
  });

  if (acquireAsync === undefined) return;

  test.each(['comes free', 'is aborted'])('while an asynchronous call waits, and %s', async (how) => {
    let guard: { release(): void } | undefined;
    let isHeld = false;
    let held: unknown;
    const free = ({ third }: Stage) => {
      if (isHeld) third[release]!(held);
      isHeld = false;
    };
    const other = (each: Stage) => {
      free(each);
      destroy(each);
    };
    const run = async (each: Stage, plan: () => void) => {
      const { second, third } = each;
      guard = undefined;
      held = third[take]!();
      isHeld = true;
      const controller = new AbortController();
      if (how === 'comes free') plan();
      const acquired = second[acquireAsync]!({ signal: controller.signal }) as Promise<{ release(): void }>;
      if (how === 'comes free') free(each);
      else {
        // It waits already: what it does before is the same.
        plan();
        controller.abort(new HoldfastError('EAGAIN', 'aborted'));
      }
      guard = await acquired.finally(() => free(each));
    };
    await atEachStep(
      object,
      other,
      run,
      (each, result, at) => {
        const isGone = destroyed.at(-1) === undefined;
        if (guard === undefined) expect([GONE, 'EAGAIN'], at).toContain(result);
        else expect(isGone, at).toBe(false);
        guard?.release();
        expectEnd(each, isGone, at);
      },
      unlatchedStep,
    );
    expect(destroyed.length).toBeGreaterThan(1);
  });
});

const calls = CASES.flatMap((object) => (object.calls ?? []).map((call) => ({ object, call })));

describe.each(calls.map((each) => ({ ...each, name: `${each.object.kind}.${each.call}()` })))(
  '$name',
  ({ object, call }) => {
    test('while it is called', async () => {
      let isGone = false;
      const other = ({ own }: Stage) => {
        isGone = outcome(() => own.destroy!()) === undefined;
      };
      const run = ({ second, given }: Stage, plan: () => void) => {
        plan();
        second[call]!(...(given[call] ?? []));
      };
      await atEachStep(object, other, run, (each, result, at) => {
        // It came first, or was too late.
        if (result === GONE) expect(isGone, at).toBe(true);
        if (!isGone) object.settle?.(each.own);
        expectEnd(each, isGone, at);
      });
    });

    test('after a thread has died in it, before a reaper comes', () => {
      for (let n = 1; ; n++) {
        const each = stage(object);
        const { second, given } = each;
        if (!each.killBefore(1, step(n), () => outcome(() => second[call]!(...(given[call] ?? []))))) return;
        let isGone = false;
        try {
          isGone = outcome(() => each.own.destroy!()) === undefined;
          // Each thread that has heard of it gives the memory back, as far as the reaper does not need it.
          if (isGone) for (const arena of [each.arenas[2], each.arenas[0]]) arena.objects.makeRoom();
        } catch (error) {
          // The dead thread has a latch: nothing is destroyed or freed before the reaper comes.
          if (error instanceof Hang) continue;
          throw error;
        }
        expect(each.reap(2), `step ${n}`).toBe('done');
        if (!isGone) object.settle?.(each.third);
        expectEnd(each, isGone, `step ${n}`);
      }
    });
  },
);

test('an object that is held is freed, because a thread died that was about to find that', () => {
  for (let n = 1; ; n++) {
    const { arenas, killBefore, reap } = stepper(2, { words: 1 << 14 });
    const [first, second] = arenas as [Arena, Arena];
    const mutex = new Mutex(first);
    const theirs = Mutex.from(second, mutex.handle);
    theirs.lock();
    if (!killBefore(0, step(n), () => outcome(() => mutex.destroy()))) return;
    expect(reap(1), `step ${n}`).toBe('done');
    theirs.unlock();
    expect(second.fsck(), `step ${n}`).toEqual([]);
    theirs.destroy();
  }
});

test('a waiter lines up in a queue that was destroyed', () => {
  let destroyed = 0;
  for (let n = 1; ; n++) {
    const { arenas, before, cancel } = stepper(2, { words: 1 << 14 });
    const [own, theirs] = arenas.map((arena) => new WaitQueue(arena, 'x')) as [WaitQueue, WaitQueue];
    let isMet = false;
    let isGone = false;
    let isPossible = true;
    before(1, step(n), () => {
      isPossible = false;
      isGone = outcome(() => own.destroy()) === undefined;
      isMet = !isGone;
      if (isMet) own.wakeAll();
      isPossible = true;
    });
    let result: string | undefined;
    try {
      result = outcome(() => theirs.wait(() => isMet, { timeout: 1 }));
    } catch (error) {
      // Here `destroy` has to wait for this thread.
      if (!isPossible) continue;
      throw error;
    }
    if (cancel(1)) break;
    if (isGone) destroyed++;
    // ETIMEDOUT: it had left the queue.
    expect(isGone ? [GONE, 'ETIMEDOUT'] : [undefined, 'ETIMEDOUT'], `step ${n}`).toContain(result);
    if (isGone && result === 'ETIMEDOUT') expect(arenas[1]!.cpu.load(arenas[1]!.thread.self + Task.list)).toBe(0);
  }
  expect(destroyed).toBeGreaterThan(0);
});
