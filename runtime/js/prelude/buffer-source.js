// What the standards call a buffer source: an ArrayBuffer or a view of one.

/** The bytes of it, not copied. */
export function bytesOf(source) {
  if (source instanceof Uint8Array && source.constructor === Uint8Array) return source;
  if (ArrayBuffer.isView(source)) return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  throw new TypeError("an ArrayBuffer or a view of one, such as a Uint8Array, is needed here");
}

/** Whether a value is one. */
export function isBufferSource(value) {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value);
}

/** Several arrays of bytes as one. */
export function joined(parts) {
  if (parts.length === 1) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
