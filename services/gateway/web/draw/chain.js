// Chains of drand: sources of randomness that everybody can verify.
import { ascii, concat, fromHex, hex, sha256, uint } from "./bytes.js";
import { bls12_381 } from "./noble.js";

const scheme = "bls-unchained-g1-rfc9380";
const domain = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

// parseChain returns the chain that drand's /info describes. Its hash must be that of
// what it describes.
export function parseChain(info) {
  if (info?.schemeID !== scheme) throw new Error(`the scheme is ${info?.schemeID}, not ${scheme}`);
  const { period, genesis_time: genesis } = info;
  if (!Number.isInteger(period) || period < 1 || period > 2 ** 20 || !Number.isInteger(genesis) || genesis < 0 || genesis > 2 ** 33) {
    throw new Error("a time of the chain is out of bounds");
  }
  const publicKey = fromHex(info.public_key);
  if (publicKey.length !== 96) throw new Error(`the public key has ${publicKey.length} bytes, not 96`);
  const hash = hex(sha256(concat(uint(period, 4), uint(genesis, 8), publicKey, fromHex(info.groupHash), ascii(info.metadata?.beaconID ?? ""))));
  if (info.hash !== hash) throw new Error(`the chain's hash is ${hash}, not ${info.hash}`);
  return { hash, period: BigInt(period), genesis: BigInt(genesis), publicKey };
}

// roundAt returns the first round that is out at a time or later; in microseconds, as BigInt.
export function roundAt({ period, genesis }, time) {
  const since = time - genesis * 1_000_000n;
  const length = period * 1_000_000n;
  return since <= 0n ? 1n : (since + length - 1n) / length + 1n;
}

// isSignature reports whether a signature, in hexadecimal, is the chain's for a round. Its
// length comes first, since the other form of the same signature has another hash.
export function isSignature({ publicKey }, round, signature) {
  if (signature.length !== 96) return false;
  const { shortSignatures } = bls12_381;
  try {
    const message = shortSignatures.hash(sha256(uint(round, 8)), domain);
    return shortSignatures.verify(fromHex(signature), message, publicKey);
  } catch {
    return false; // no point of the curve
  }
}

export const quicknet = parseChain({
  public_key:
    "83cf0f2896adee7eb8b5f01fcad3912212c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3a" +
    "c6a5776a2d1064510d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5a6e9c76a4bc09e76eae8991ef5ece45a",
  period: 3,
  genesis_time: 1692803367,
  groupHash: "f477d5c89f21a17c863a7f937c6a6d15859414d2be09cd448d4279af331c5d3e",
  hash: "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
  schemeID: scheme,
  metadata: { beaconID: "quicknet" },
});
