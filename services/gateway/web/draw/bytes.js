// Bytes, their written forms, and SHA-256.
import { sha256 as noble } from "./noble.js";

const encoder = new TextEncoder();
// A byte order mark is not dropped: the JSON of a record can't begin with one.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export const ascii = (text) => encoder.encode(text);
export const utf8 = (bytes) => decoder.decode(bytes);
export const sha256 = (bytes) => noble(bytes);

export function hex(bytes) {
  let text = "";
  for (const byte of bytes) text += digits[byte];
  return text;
}

export function fromHex(text) {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw new Error(`${JSON.stringify(text)} is not hexadecimal`);
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

export const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

export function fromBase64(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  if (base64(bytes) !== text) throw new Error(`${JSON.stringify(text)} is not base64`);
  return bytes;
}

// readUint returns the unsigned big-endian integer in the first bytes.
export function readUint(bytes, size) {
  let value = 0n;
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(bytes[i]);
  return value;
}

// uint returns an unsigned big-endian integer in so many bytes.
export function uint(value, size) {
  const bytes = new Uint8Array(size);
  for (let i = size - 1, left = BigInt(value); i >= 0; i--, left >>= 8n) bytes[i] = Number(left & 255n);
  return bytes;
}

export function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
