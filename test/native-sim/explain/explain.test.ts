/** The microscope: what its recordings hold, and that the page shows the same step whichever way it is reached. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { explainPage } from '../../../native-sim/explain/page.ts';
import { type Explanation, explain, scenarios } from '../../../native-sim/explain/programs.ts';
import { Machine } from '../../../native-sim/machine/machine.ts';
import { profiles } from '../../../native-sim/machine/profiles.ts';
import { lockKind } from '../../../native-sim/scale/locks.ts';

const all = explain('all');
const named = (name: string): Explanation => all.find((one) => one.name === name)!;
const notesOf = ({ recording }: Explanation) => recording.steps.flatMap(({ notes }) => notes.map(([, text]) => text));

/** All parts as they are after the last step. */
function end({ recording }: Explanation): Record<string, unknown> {
  return Object.assign({}, ...recording.steps.map(({ changes }) => changes));
}

it('the seven scenarios and three locks', () => {
  expect(scenarios).toHaveLength(7);
  expect(all.map(({ name }) => name)).toEqual([...scenarios.map(({ name }) => name), 'ticket', 'mcs', 'qspinlock']);
});

describe.each(all.map((one) => [one.name, one] as const))('%s', (_, explanation) => {
  const { recording } = explanation;

  it('goes forward in time', () => {
    const times = recording.steps.map(({ time }) => time);
    expect(times.length).toBeGreaterThan(5);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  it('knows all states from its first step on, and every step says what happened', () => {
    const [first] = recording.steps;
    for (const { line } of recording.lines) {
      for (let core = 0; core < recording.cores; core++)
        expect(first!.changes[`${core}.line.${line}`]).toMatch(/^[MESIOF]$/);
    }
    for (const { notes } of recording.steps) expect(notes.length).toBeGreaterThan(0);
  });

  it('ends with nothing in a buffer, nothing under way, and all operations done', () => {
    const state = end(explanation);
    expect(state.messages).toEqual([]);
    for (let core = 0; core < recording.cores; core++) {
      expect(state[`${core}.buffer`]).toEqual([]);
      expect(state[`${core}.now`]).toBeNull();
      expect(state[`${core}.done`]).toBe(recording.operations[core]!.length);
    }
  });
});

describe('what each scenario is to show', () => {
  it('1: the load of a is answered with the old value while a = 1 is in the buffer', () => {
    const { recording, outcome } = named('no-forwarding');
    expect(outcome).toContain('b = 1');
    expect(recording.operations[1]).toEqual(['a = 1', 'load a: 0', 'b = 1']);
  });
  it('2: b = 1 is visible before a = 1', () => {
    const notes = notesOf(named('store-buffer'));
    expect(notes.indexOf('b = 1 is visible to all')).toBeLessThan(notes.indexOf('a = 1 is visible to all'));
    expect(named('store-buffer').recording.operations[1]).toEqual(['spin on b: 1', 'load a: 0']);
  });
  it('3: the full barrier waits for a = 1', () => {
    const { recording } = named('full-barrier');
    const barrier = recording.waits.find(({ operation }) => operation === 'full barrier')!;
    expect(barrier).toMatchObject({ core: 0, what: 'its store buffer: a = 1' });
    expect(barrier.until).toBeGreaterThan(barrier.from);
    expect(recording.operations[1]!.at(-1)).toBe('load a: 1');
  });
  it('4: a load reads the line behind its queued invalidation', () => {
    const explanation = named('invalidate-queue');
    expect(notesOf(explanation)).toContain('reads a as it was before an invalidation that still waits in its queue');
    expect(explanation.recording.operations[1]!.at(-1)).toBe('load a: 0');
  });
  it('5, 6: with barriers on both sides it sends for the line', () => {
    for (const name of ['both-barriers', 'read-write-barriers']) {
      expect(notesOf(named(name))).toContain('acknowledges the invalidation of a and puts it into its queue');
      expect(notesOf(named(name))).toContain('sends read for a');
      expect(named(name).recording.operations[1]!.at(-1)).toBe('load a: 1');
    }
  });
  it('an invalidation that has been carried out is not in the queue any more', () => {
    const queues = named('both-barriers').recording.steps.flatMap(({ changes }) => changes['1.queue'] ?? []);
    expect(queues).toEqual(['invalidate a', 'invalidate a', 'invalidate b', 'invalidate b']);
    for (const core of [0, 1, 2]) expect(end(named('ticket'))[`${core}.queue`]).toEqual([]);
  });
  it('7: the store waits until the invalidation has been carried out', () => {
    const explanation = named('queued-invalidate');
    expect(explanation.recording.operations[0]).toEqual(['load a: 0', 'a = 2', 'full barrier']);
    expect(end(explanation)['word.0']).toBe(2);
  });
  it('locks: every core gets it, and waiting for the one in front is recorded', () => {
    for (const name of ['ticket', 'mcs', 'qspinlock']) {
      expect(named(name).outcome).toContain('cores 0, 1, 2');
      expect(
        named(name).recording.waits.some(({ operation }) => operation.startsWith('spin on')),
        name,
      ).toBe(true);
    }
  });
});

it('any lock of the laboratory can be looked at, on any machine', () => {
  const [mutex] = explain('mutex', profiles.get('graviton-64')!);
  expect(mutex!.machine).toBe('graviton-64');
  expect(notesOf(mutex!).some((text) => text.includes('mutex.owner'))).toBe(true);
  expect(() => explain('nothing')).toThrow('explain must be all or one of no-forwarding, ');
});

/** What a run leaves, with cores that run ahead of each other or not. */
function traceOf(lock: string, inOrder: boolean): unknown {
  const kind = lockKind(lock);
  const threads = 4;
  const machine = new Machine({
    profile: profiles.get('graviton-64')!,
    cores: threads,
    words: kind.words(threads) + 128,
    inOrder,
  });
  const { open } = kind.prepare({ machine, threads, spins: Number.POSITIVE_INFINITY, perCohort: 2 }, 0);
  const acquired: string[] = [];
  for (let me = 0; me < threads; me++) {
    const cpu = machine.cpu(me);
    let turns = 0;
    machine.spawn(
      () => {
        const held = open(me);
        held.enter(false);
        const at = cpu.now();
        held.leave(false);
        cpu.ndelay(37 * (me + 1));
        acquired.push(`${me} at ${at}`);
        return ++turns < 20;
      },
      me,
      me * 13,
    );
  }
  machine.run();
  const { arcs, messages, operations } = machine.counters;
  return { acquired: acquired.sort(), arcs, messages, operations, memory: machine.memory };
}

it.each(['ticket', 'mcs', 'qspinlock', 'mutex'])('%s: that cores run ahead changes nothing', (lock) => {
  expect(traceOf(lock, true)).toEqual(traceOf(lock, false));
});

/** As much of a browser's document as the page's script asks for. */
class Element {
  children: (Element | string)[] = [];
  className = '';
  textContent: unknown = '';
  value: unknown = '';
  disabled = false;
  max = 0;
  readonly listeners: Record<string, (event: unknown) => void> = {};
  get childElementCount(): number {
    return this.children.length;
  }
  append(...more: (Element | string)[]): void {
    this.children.push(...more);
  }
  replaceChildren(...more: (Element | string)[]): void {
    this.children = more;
  }
  addEventListener(name: string, listener: (event: unknown) => void): void {
    this.listeners[name] = listener;
  }
  text(): unknown {
    const children = this.children.map((child) => (typeof child === 'string' ? child : child.text()));
    return [this.className, this.textContent, ...children];
  }
}

describe('the page', () => {
  const page = explainPage(all);

  it('needs nothing else', () => {
    expect(page).not.toMatch(/https?:|src=|<link/);
  });

  it('shows the same step when it is reached from behind', () => {
    const elements = new Map<string, Element>();
    const element = (id: string): Element => {
      if (!elements.has(id)) elements.set(id, new Element());
      return elements.get(id)!;
    };
    element('explanations').textContent = /id="explanations">(.*?)<\/script>/s.exec(page)![1];
    const script = page.slice(page.lastIndexOf('<script>') + 8, page.lastIndexOf('</script>'));
    const document = { getElementById: element, createElement: () => new Element(), addEventListener: () => {} };
    runInNewContext(script, { document, location: { hash: '#4' } });
    const shown = () =>
      JSON.stringify(['place', 'notes', 'cores', 'messages', 'memory', 'waits'].map((id) => element(id).text()));
    const outlines = (text: string) => text.replaceAll(' changed', '');
    const forward = [shown()];
    while (!element('forward').disabled) {
      element('forward').listeners.click!({});
      forward.push(shown());
    }
    expect(forward).toHaveLength(named('invalidate-queue').recording.steps.length);
    expect(new Set(forward.map(outlines)).size).toBe(forward.length);
    const back = [shown()];
    while (!element('back').disabled) {
      element('back').listeners.click!({});
      back.unshift(shown());
    }
    expect(back).toEqual(forward);
    expect(forward.at(-1)).toContain('full barrier');
  });
});
