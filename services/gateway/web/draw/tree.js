// The Merkle tree of RFC 6962 over the records of a log.
import { base64, concat, sha256 } from "./bytes.js";

const leafPrefix = new Uint8Array([0]);
const nodePrefix = new Uint8Array([1]);

export const leafHash = (record) => sha256(concat(leafPrefix, record));
const nodeHash = (left, right) => sha256(concat(nodePrefix, left, right));

// Tree keeps the roots of the complete subtrees, the largest first.
export class Tree {
  size = 0;
  #peaks = [];

  append(leaf) {
    for (let n = this.size; n % 2 === 1; n = Math.floor(n / 2)) leaf = nodeHash(this.#peaks.pop(), leaf);
    this.#peaks.push(leaf);
    this.size++;
  }

  // root returns the root in base64.
  root() {
    if (this.size === 0) return base64(sha256(new Uint8Array()));
    return base64(this.#peaks.reduceRight((right, left) => nodeHash(left, right)));
  }
}

// rootByProof returns the root, in base64, of the tree of this size in which the leaf is at
// an index by the proof, or null if it has another number of hashes than such a proof.
export function rootByProof(leaf, index, size, proof) {
  const sides = []; // from the root down
  let [low, high] = [0, size];
  while (high - low > 1) {
    let half = 1;
    while (2 * half < high - low) half *= 2;
    const right = index >= low + half;
    sides.push(right);
    if (right) low += half;
    else high = low + half;
  }
  if (index < 0 || index >= size || proof.length !== sides.length) return null;
  let hash = leaf;
  for (const other of proof) hash = sides.pop() ? nodeHash(other, hash) : nodeHash(hash, other);
  return base64(hash);
}
