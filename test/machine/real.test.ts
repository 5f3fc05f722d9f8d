import { expect, it, vi } from 'vitest';
import { RealCpu } from '../../lib/machine/real.ts';

it.each(['load', 'loadAcquire'] as const)('%s is a load that V8 may not leave out', (operation) => {
  const cpu = new RealCpu(new Int32Array(new SharedArrayBuffer(64)));
  const loads = vi.spyOn(Atomics, 'load');
  try {
    cpu[operation](3);
    cpu[operation](3);
    expect(loads.mock.calls).toEqual([
      [cpu.words, 3],
      [cpu.words, 3],
    ]);
  } finally {
    loads.mockRestore();
  }
});
