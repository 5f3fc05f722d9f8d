/** A reader of protobuf's wire format that knows nothing of how a trace is written. */

export type Field = number | Uint8Array;
export type Decoded = ReadonlyMap<number, readonly Field[]>;

/** Each field of a message, by number: its values in order. Throws for what is no message. */
export function decode(bytes: Uint8Array): Decoded {
  const fields = new Map<number, Field[]>();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error('a number is cut off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const type = tag & 7;
    let value: Field;
    if (type === 0) value = varint();
    else if (type === 1) {
      value = Number(new DataView(bytes.buffer, bytes.byteOffset + at, 8).getBigUint64(0, true));
      at += 8;
    } else if (type === 2) {
      const length = varint();
      if (at + length > bytes.length) throw new Error('a field is cut off');
      value = bytes.subarray(at, at + length);
      at += length;
    } else throw new Error(`wire type ${type}`);
    const number = tag >>> 3;
    fields.set(number, [...(fields.get(number) ?? []), value]);
  }
  return fields;
}

export function number(message: Decoded, field: number): number | undefined {
  return message.get(field)?.[0] as number | undefined;
}

export function text(message: Decoded, field: number): string | undefined {
  const bytes = message.get(field)?.[0] as Uint8Array | undefined;
  return bytes && new TextDecoder().decode(bytes);
}

export function inner(message: Decoded, field: number): Decoded | undefined {
  const bytes = message.get(field)?.[0] as Uint8Array | undefined;
  return bytes && decode(bytes);
}

export function all(message: Decoded, field: number): Decoded[] {
  return (message.get(field) ?? []).map((bytes) => decode(bytes as Uint8Array));
}
