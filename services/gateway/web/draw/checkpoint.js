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

// verifyCheckpoint throws unless the key, in the form name+hash+key, has signed it and may.
// It throws Unknown if there is no key, or no way to verify here.
export async function verifyCheckpoint(checkpoint, verifierKey) {
  if (!verifierKey) throw new Unknown("no key was given to check the signature with");
  const [, name, hash, encoded] = /^([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+=*)$/.exec(verifierKey) ?? [];
  const key = encoded ? fromBase64(encoded) : new Uint8Array();
  const keyHash = sha256(concat(ascii(`${name}\n`), key)).subarray(0, 4);
  if (key.length !== 33 || key[0] !== 1 || readUint(keyHash, 4) !== BigInt(`0x${hash}`)) throw new Error(`${verifierKey} is no verifier key`);
  const signature = checkpoint.signers
    .filter(([signer]) => signer === name)
    .map(([, text]) => fromBase64(text))
    .find((bytes) => bytes.length === 68 && readUint(bytes, 4) === readUint(keyHash, 4));
  if (!signature) throw new Error(`the key ${verifierKey} has not signed it`);
  if (!checkpoint.origin.startsWith(`${name}/raffle/`)) throw new Error(`the key of ${name} can't sign for ${checkpoint.origin}`);
  let valid;
  try {
    const imported = await crypto.subtle.importKey("raw", key.subarray(1), "Ed25519", false, ["verify"]);
    valid = await crypto.subtle.verify("Ed25519", imported, signature.subarray(4), ascii(checkpoint.text));
  } catch {
    throw new Unknown("this browser can't verify Ed25519 signatures on this page");
  }
  if (!valid) throw new Error(`the signature of ${name} is not valid`);
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
