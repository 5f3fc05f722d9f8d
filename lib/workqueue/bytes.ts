/**
 * Bytes on their way into shared memory and out of it. The engine copies what is shared word by word, and byte by byte where either side
 * does not begin at a multiple of 8: 1 MB takes 38 us, or 285 (Node 20). `Buffer.fill` with as many bytes as it fills copies them as the C
 * library does, in 26 us wherever they begin. That is for what begins elsewhere only: what the C library has written is in no cache,
 * and costs the thread that reads it more than that.
 */

/** From that many bytes on `fill`, which takes 50 ns more to begin with, is faster. */
const LARGE = 256;

/** Copies `bytes`, which may begin anywhere, to `memory`, from `start` on. */
export function copyIn(memory: Buffer, start: number, bytes: Uint8Array): void {
  const isAligned = ((bytes.byteOffset | start) & 7) === 0;
  if (isAligned || bytes.length < LARGE) memory.set(bytes, start);
  else memory.fill(bytes, start, start + bytes.length);
}

/** A copy of those bytes, which share no memory with others. What is large begins at a multiple of 8, as blocks of the heap do. */
export function copyOut(memory: Buffer, start: number, length: number): Buffer {
  // Not filled with zeros first: for 1 MB that takes longer than to copy it.
  const copy = Buffer.allocUnsafeSlow(length);
  memory.copy(copy, 0, start, start + length);
  return copy;
}
