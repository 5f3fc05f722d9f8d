/** An arena's metrics in a register of prom-client, beside what the handler says. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AggregatorRegistry, Gauge, type OpenMetricsContentType, Registry } from 'prom-client';
import { afterEach, expect, test, vi } from 'vitest';
import { Arena, holdfastHandler, type LiveHandler, Mutex, promMetrics, startProfile } from '../../lib/index.ts';
import { stepper } from '../support/stepper.ts';

const clean: (() => unknown)[] = [];

afterEach(() => {
  for (const end of clean.splice(0).reverse()) end();
});

const created = () => Arena.create({ bytes: 1 << 20 });

async function waitFor(arena: Arena, ...names: string[]): Promise<void> {
  for (const name of names) {
    const mutex = new Mutex(arena, name);
    const held = await mutex.acquireAsync();
    const waits = mutex.acquireAsync();
    held.release();
    (await waits).release();
  }
}

async function textOf(handler: LiveHandler): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  clean.push(() => server.close());
  return (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)).text();
}

/** Its lines. Pressure falls from one look to the next, so only the names of its lines are here. */
const linesOf = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^(holdfast_pressure\{.*\}) [0-9.e-]+$/, '$1'));

test('a register prints what the handler says', async () => {
  const arena = created();
  using handler = holdfastHandler(arena);
  using ours = promMetrics(arena);
  const register = new Registry();
  ours.registerIn(register);
  await waitFor(arena, 'branch 7', 'branch 8', 'a "quoted\\\nname"');
  const mutex = new Mutex(arena, 'held');
  const held = await mutex.acquireAsync();
  const waits = mutex.acquireAsync();
  const text = await register.metrics();
  expect(linesOf(text)).toEqual(linesOf(await textOf(handler)));
  expect(text).toContain('holdfast_waiting{class="mutex \\"held\\"",mode="async"} 1\n');
  const labels = 'class="mutex \\"branch #\\"",mode="async",access="exclusive"';
  expect(text).toContain(`holdfast_lock_wait_seconds_count{${labels}} 2\n`);
  expect(text).toMatch(/^holdfast_pressure\{window="10s"\} [0-9.e-]+$/m);
  held.release();
  (await waits).release();
  expect(await register.metrics()).not.toContain('holdfast_waiting{');
});

test('all metrics of a register are of one look, and the next time of a new one', async () => {
  const arena = created();
  using ours = promMetrics(arena);
  const register = new Registry();
  new Gauge({ name: 'of_the_program', help: 'Its own.', registers: [register] });
  ours.registerIn(register);
  await Promise.resolve();
  const looks = vi.spyOn(arena, 'waits');
  await register.metrics();
  expect(looks).toHaveBeenCalledTimes(1);
  await register.getMetricsAsJSON();
  expect(looks).toHaveBeenCalledTimes(2);
});

test('a register of OpenMetrics says `_total` once', async () => {
  const arena = created();
  using ours = promMetrics(arena);
  const register = new Registry<OpenMetricsContentType>();
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  ours.registerIn(register);
  for (let i = 0; i < 2; i++) {
    const text = await register.metrics();
    expect(text).toContain('# TYPE holdfast_profile_dropped_waits counter\nholdfast_profile_dropped_waits_total 0\n');
    expect(text).toMatch(/# EOF\n$/);
  }
});

test('the figures of several processes are added up, and pressure is their average', async () => {
  using ours = promMetrics(created());
  const register = new Registry();
  ours.registerIn(register);
  const figures = await register.getMetricsAsJSON();
  const pressure = { ...figures.find(({ name }) => name === 'holdfast_pressure') };
  const of = (value: number) => [
    ...figures.filter(({ name }) => name !== 'holdfast_pressure'),
    { ...pressure, values: [{ value, labels: { window: '10s' } }] },
  ];
  const all = await AggregatorRegistry.aggregate([of(0.25), of(0.75)]).metrics();
  expect(all).toContain('holdfast_threads{state="alive"} 2\n');
  expect(all).toContain('holdfast_pressure{window="10s"} 0.5\n');
});

test('a handler and metrics share a profile, which the last of them ends', async () => {
  const arena = created();
  const handler = holdfastHandler(arena);
  const ours = promMetrics(arena);
  const count = async () => (await ours.metrics.find(({ type }) => type === 'histogram')?.get())?.values.length;
  await waitFor(arena, 'a');
  handler.close();
  handler.close();
  expect(await count()).toBeGreaterThan(0);
  expect(() => startProfile(arena)).toThrow(/^EBUSY/);
  ours.close();
  ours.close();
  expect(await count()).toBe(0);
  startProfile(arena).stop();
  using again = promMetrics(arena);
  expect(again.metrics.length).toBe(ours.metrics.length);
  expect(() => startProfile(arena)).toThrow(/^EBUSY/);
});

test('there are the same metrics without a profile, and after the thread has left the arena', async () => {
  const arena = created();
  const session = startProfile(arena);
  const ours = promMetrics(arena);
  const register = new Registry();
  ours.registerIn(register);
  const before = await register.metrics();
  expect(before).toContain('holdfast_threads{state="alive"} 1\n');
  expect(before).not.toMatch(/^holdfast_(lock|pressure|profile)/m);
  session.stop();
  ours.close();
  arena.detach();
  register.resetMetrics();
  const after = await register.metrics();
  expect(after.match(/^# HELP holdfast_/gm)?.length).toBe(ours.metrics.length);
  expect(after).not.toMatch(/^holdfast/m);
});

test('what is closed once the thread has left the arena fails for the profile that another thread has begun', () => {
  const [arena, other] = stepper(2, { words: 1 << 19 }).arenas as [Arena, Arena];
  const handler = holdfastHandler(arena);
  arena.detach();
  const session = startProfile(other);
  handler.close();
  expect(() => startProfile(other)).toThrow(/^EBUSY/);
  session.stop();
});

test('what is no arena, options that are none, and no register are refused', () => {
  const arena = created();
  expect(() => promMetrics({} as Arena)).toThrow(/^EINVAL: promMetrics\(\) expects an Arena/);
  expect(() => promMetrics(arena, { profile: 1 as never })).toThrow(/^EINVAL: profile is true or false/);
  expect(() => promMetrics(arena, { port: 1 } as never)).toThrow(/^EINVAL/);
  using ours = promMetrics(arena);
  for (const none of [undefined, null, {}, 'register']) {
    expect(() => ours.registerIn(none as never)).toThrow(/^EINVAL: registerIn\(\) expects a Registry, received/);
  }
});
