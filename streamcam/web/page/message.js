// Wire messages in a browser: docs/reference/browser-protocol.md and docs/reference/message-format.md.

const text = new TextDecoder();

/** float16 → float32, for all 65536 values. */
const HALF = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent === 31 ? (fraction ? NaN : Infinity)
    : exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  HALF[bits] = bits & 0x8000 ? -size : size;
}

/**
 * Split a binary WebSocket message.
 * @param {ArrayBuffer} buffer
 * @returns {{camera: string, header: object, payloads: Map<string, {info: object, bytes: Uint8Array}>}}
 */
export function decode(buffer) {
  const view = new DataView(buffer), count = view.getUint32(0, true);
  const parts = [];
  let at = align(4 + 4 * count);
  for (let i = 0; i < count; i++) {
    const length = view.getUint32(4 + 4 * i, true);
    parts.push(new Uint8Array(buffer, at, length));
    at = align(at + length);
  }
  const header = JSON.parse(text.decode(parts[2]));
  const payloads = new Map(header.parts.map((info, i) => [info.name, { info, bytes: parts[3 + i] }]));
  return { camera: text.decode(parts[0]), header, payloads };
}

const align = (offset) => Math.ceil(offset / 8) * 8;

/**
 * Read a tensor.
 * @returns {{shape: number[], data: Float32Array}} in C order
 */
export function tensor(payload) {
  const { shape } = payload.info;
  return { shape, data: numbers(payload, 0, shape.reduce((a, b) => a * b, 1)) };
}

/** Read some of a tensor's numbers, in C order. @returns {Float32Array} */
export function numbers({ info, bytes }, start, count) {
  const data = new Float32Array(count);
  if (info.dtype === "f2") {
    const halves = new Uint16Array(bytes.buffer, bytes.byteOffset + 2 * start, count);
    for (let i = 0; i < count; i++) data[i] = HALF[halves[i]] / info.scale;
  } else if (info.dtype === "f4") {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset + 4 * start, count);
    for (let i = 0; i < count; i++) data[i] = floats[i] / info.scale;
  } else {
    throw new Error(`tensor ${info.name}: expected f2 or f4, got ${info.dtype}`);
  }
  return data;
}

/** Decode the picture of a `frame` or an `overlay`. @returns {Promise<ImageBitmap>} */
export const picture = (message) =>
  createImageBitmap(new Blob([message.payloads.get("image").bytes], { type: "image/jpeg" }));
