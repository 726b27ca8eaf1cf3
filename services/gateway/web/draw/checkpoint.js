// Signed checkpoints (c2sp.org/tlog-checkpoint) and receipts (c2sp.org/tlog-proof).
import { ascii, base64, concat, fromBase64, readUint, sha256 } from "./bytes.js";
import { leafHash, rootByProof } from "./tree.js";

// Unknown is what can't be told, as opposed to what is wrong.
export class Unknown extends Error {}

// parseCheckpoint returns the three lines of a checkpoint, their parts, and its
// signatures by name. It verifies none.
export function parseCheckpoint(signed) {
  const [, text, origin, size, root, signatures] =
    /^(([^\n]+)\n([1-9]\d*)\n([A-Za-z0-9+/]{43}=)\n)\n((?:— [^ \n+]+ [A-Za-z0-9+/]+=*\n)+)$/.exec(signed) ?? [];
  if (text === undefined || Number(size) > 2 ** 30 || base64(fromBase64(root)) !== root) throw new Error("this is no checkpoint");
  const signers = signatures.trimEnd().split("\n").map((line) => line.slice(2).split(" "));
  return { text, origin, size: Number(size), root, signers };
}

// verifyCheckpoint throws unless one of the keys, in the form name+hash+key and one on a
// line, has signed it and may. It throws Unknown if there is no key, or no way to verify here.
export async function verifyCheckpoint(checkpoint, keys = "") {
  const known = keys.split(/\s+/).filter(Boolean).map(parseKey);
  if (known.length === 0) throw new Unknown("no key was given to check the signature with");
  let signed = false;
  for (const [name, text] of checkpoint.signers) {
    const bytes = fromBase64(text);
    const key = known.find((k) => k.name === name && bytes.length > 4 && k.hash === readUint(bytes, 4));
    if (!key) continue;
    if (!(await isValid(key, bytes.subarray(4), checkpoint.text))) throw new Error(`the signature of ${name} is not valid`);
    if (!checkpoint.origin.startsWith(`${name}/raffle/`)) throw new Error(`the key of ${name} can't sign for ${checkpoint.origin}`);
    signed = true;
  }
  if (!signed) throw new Error("none of the keys has signed it");
}

// parseKey returns the name, hash and bytes of an Ed25519 key.
function parseKey(text) {
  const [, name, hash, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(text) ?? [];
  const key = encoded ? fromBase64(encoded) : new Uint8Array();
  const digest = sha256(concat(ascii(`${name}\n`), key));
  if (key.length !== 33 || key[0] !== 1 || readUint(digest, 4) !== BigInt(`0x${hash}`)) throw new Error(`${text} is no verifier key`);
  return { name, hash: readUint(digest, 4), bytes: key.subarray(1) };
}

async function isValid({ bytes }, signature, text) {
  try {
    const key = await crypto.subtle.importKey("raw", bytes, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", key, signature, ascii(text));
  } catch {
    throw new Unknown("this browser can't verify Ed25519 signatures on this page");
  }
}

const receiptHeader = "c2sp.org/tlog-proof@v1\n";

// parseKept returns a checkpoint, or a receipt with its checkpoint, that was kept.
export function parseKept(text) {
  if (!text.startsWith(receiptHeader)) return { checkpoint: parseCheckpoint(text), receipt: null };
  const [, extra, index, proof, signed] =
    /^(?:extra ([A-Za-z0-9+/]+=*)\n)?index (0|[1-9]\d*)\n((?:[A-Za-z0-9+/]{43}=\n)*)\n([^]*)$/.exec(text.slice(receiptHeader.length)) ?? [];
  if (signed === undefined) throw new Error("this is no receipt");
  const receipt = {
    extra: extra === undefined ? null : fromBase64(extra),
    index: Number(index),
    proof: proof.split("\n").filter(Boolean).map(fromBase64),
  };
  return { checkpoint: parseCheckpoint(signed), receipt };
}

// provesRecord reports whether a receipt proves that a record stands where it says.
export function provesRecord({ checkpoint, receipt }, record) {
  if (receipt.extra && (receipt.extra.length !== record.length || receipt.extra.some((byte, i) => byte !== record[i]))) return false;
  return rootByProof(leafHash(record), receipt.index, checkpoint.size, receipt.proof) === checkpoint.root;
}
