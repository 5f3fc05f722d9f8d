import { expect, test } from 'vitest';
import { ProgressLine } from '../../lib/torture/progress.ts';

test('a line that a terminal of 80 columns breaks, and cannot clear', () => {
  let written = '';
  const stream = { columns: 80, write: (text: string) => (written = text) } as unknown as NodeJS.WriteStream;
  const line = new ProgressLine(stream, { seconds: 60, kill: true } as never, 1);
  const progress = { elapsed: 59.9, acquisitions: 1_234_567_890, kills: 1000, recoveries: 1000 };
  line.show('percpu-rw-semaphore', progress as never, 0);
  // Without what colours it, and clears the line.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are.
  const shown = written.replace(/\x1b\[[0-9]*[mK]|\r/g, '');
  expect(shown).toMatch(/^━{20} percpu-rw-semaphore 59\.9 of 60\.0 s: 1,234,567,890 acq/);
  expect(shown.length).toBe(79);
});
