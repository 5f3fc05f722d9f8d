import { expect, test } from 'vitest';
import { copyIn, copyOut } from '../../lib/workqueue/bytes.ts';

test.each([0, 1, 255, 256, 257, 5000])(
  '%i bytes that come over as others, change their neighbours, or stay shared',
  (length) => {
    for (const start of [0, 1, 64]) {
      const memory = Buffer.from(new SharedArrayBuffer(8192));
      memory.fill(0xff);
      const bytes = Uint8Array.from({ length }, (_, i) => i % 251);
      copyIn(memory, start, bytes);
      expect([...memory.subarray(start, start + length)]).toEqual([...bytes]);
      const others = [...memory.subarray(0, start), ...memory.subarray(start + length)];
      expect(others.every((byte) => byte === 0xff)).toBe(true);
      const copy = copyOut(memory, start, length);
      memory.fill(0);
      expect([...copy]).toEqual([...bytes]);
      expect(copy.buffer.byteLength).toBe(length);
    }
  },
);
