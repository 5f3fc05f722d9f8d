import { describe, expect, test } from 'vitest';
import { Arena, Workqueue } from '../../lib/index.ts';
import { f } from './functions.ts';

const arena = Arena.create({ bytes: 8 << 20 });
Workqueue.configure(arena, { slots: 2, maxWorkers: 3 });

/** Bytes of its own, and the buffer under them. */
function fresh(length = 1 << 16) {
  const bytes = new Uint8Array(length).map((_, i) => i);
  return { bytes, buffer: bytes.buffer, copy: bytes.slice() };
}

describe('buffers that a call takes away', () => {
  test('stay with the caller, or come over as something else', async () => {
    const wq = new Workqueue(arena, 'transfer');
    const [one, other] = [fresh(), fresh(3)];
    const call = wq.runWith({ transferList: [one.buffer, other.buffer] }, f.echo, {
      a: one.bytes,
      b: [other.bytes, 'c'],
    });
    expect([one.buffer.byteLength, other.buffer.byteLength, one.bytes.length]).toEqual([0, 0, 0]);
    expect(await call).toEqual({ a: one.copy, b: [other.copy, 'c'] });
    const whole = fresh();
    const back = await wq.runWith({ transferList: [whole.buffer], timeout: 60_000 }, f.echo, whole.buffer);
    expect(new Uint8Array(back as ArrayBuffer)).toEqual(whole.copy);
    expect(whole.buffer.byteLength).toBe(0);
  });

  test('are gone although the call can’t be queued', async () => {
    const wq = new Workqueue(arena, 'transfer refused');
    const { bytes, buffer } = fresh();
    const gone = fresh();
    structuredClone(gone.buffer, { transfer: [gone.buffer] });
    const lists = [
      buffer,
      [bytes],
      [buffer, buffer],
      [buffer, null],
      [new SharedArrayBuffer(8)],
      [buffer, gone.buffer],
    ];
    for (const transferList of lists) {
      const call = wq.runWith({ transferList } as object, f.echo, bytes);
      await expect(call, String(transferList)).rejects.toMatchObject({ code: 'EINVAL' });
    }
    const refused = [
      wq.runWith({ transferList: [buffer] }, (value: Uint8Array) => value, bytes),
      wq.runWith({ transferList: [buffer] }, f.echo as (...values: unknown[]) => unknown, bytes, () => {}),
      wq.runWith({ transferList: [buffer], slot: 7 }, f.echo, bytes),
    ];
    for (const call of refused) await expect(call).rejects.toMatchObject({ code: 'EINVAL' });
    await wq.close();
    await expect(wq.runWith({ transferList: [buffer] }, f.echo, bytes)).rejects.toMatchObject({ code: 'EINVAL' });
    expect([buffer.byteLength, wq.counts.ended]).toEqual([1 << 16, 0]);
  });

  test('can’t be taken, and the call runs', async () => {
    const wq = new Workqueue(arena, 'transfer wasm');
    const { buffer } = new WebAssembly.Memory({ initial: 1 });
    const call = wq.runWith({ transferList: [buffer] }, f.echo, 1);
    // Node 20 leaves it as it is.
    const outcome = await call.then(
      (value) => value,
      (error) => error.code,
    );
    expect([1, 'EINVAL']).toContain(outcome);
    expect(buffer.byteLength).toBe(1 << 16);
    if (outcome === 'EINVAL') expect(wq.statistics.run.count).toBe(0);
  });
});
