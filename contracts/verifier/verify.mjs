// SPDX-License-Identifier: Apache-2.0
// A second verifier of proof files, written from docs/proof-format.md alone: it shares no code and no library with
// `verifier/`, so that a mistake in one of them shows. Answers are left to the other one: here a file with an answer fails.
//
//   node verify.mjs FILE [--rpc URL] [--trust ADDRESS]... [--co-signer ADDRESS]... [--quorum N] [--block-hash HASH] [--depth N]
//   node verify.mjs --lines     one JSON text (as a JSON string) a line on standard input; one {"holds": …} a line back
//
// Exit code 0: the proof holds, 1: it does not, 2: usage.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { keccak_256 } from '@noble/hashes/sha3.js';
import { secp256k1 } from '@noble/curves/secp256k1.js';

// -- bytes -----------------------------------------------------------------------------------------------------------
const utf8 = (text) => Buffer.from(text, 'utf8');
const unhex = (text) => Buffer.from(text, 'hex');
const hex = (bytes) => Buffer.from(bytes).toString('hex');
/** Keccak-256 of the joined parts, as bytes. */
const H = (...parts) => Buffer.from(keccak_256(Buffer.concat(parts)));
const word = (number) => unhex(BigInt(number).toString(16).padStart(64, '0'));
const addressWord = (address) => unhex(address.slice(2).padStart(64, '0'));
const same = (one, two) => Buffer.compare(one, two) === 0;

const HALF = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const recovered = new Map();
/** The address that signed a digest, or null. */
function recover(digest, signature) {
  const key = hex(digest) + hex(signature);
  if (recovered.has(key)) return recovered.get(key);
  let found = null;
  if (signature.length === 65 && signature[64] <= 1 && BigInt('0x' + hex(signature.subarray(32, 64))) <= HALF) {
    try {
      const rv = Buffer.concat([signature.subarray(64), signature.subarray(0, 64)]);
      const point = secp256k1.Signature.fromBytes(rv, 'recovered').recoverPublicKey(digest);
      found = '0x' + hex(H(Buffer.from(point.toBytes(false)).subarray(1)).subarray(12));
    } catch {
      found = null;
    }
  }
  if (recovered.size > 100000) recovered.clear();
  recovered.set(key, found);
  return found;
}

// -- reading ---------------------------------------------------------------------------------------------------------
class Malformed extends Error {}
const bad = (place, why) => {
  throw new Malformed(`${place}: ${why}`);
};
const MAX_FILE = 64 * 2 ** 20;

const R = {
  object(value, place, fields) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) bad(place, 'no object');
    const keys = Object.keys(fields);
    if (Object.keys(value).length !== keys.length) bad(place, 'other keys');
    const result = {};
    for (const key of keys) {
      if (!Object.hasOwn(value, key)) bad(place, `no ${key}`);
      result[key] = fields[key](value[key], `${place}.${key}`);
    }
    return result;
  },
  of: (fields) => (value, place) => R.object(value, place, fields),
  list: (read, limit) => (value, place) => {
    if (!Array.isArray(value)) bad(place, 'no list');
    if (value.length > limit) bad(place, 'too many');
    return value.map((item, i) => read(item, `${place}[${i}]`));
  },
  maybe: (read) => (value, place) => (value === null ? null : read(value, place)),
  number: (value, place) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) bad(place, 'no whole number');
    return value;
  },
  bit: (value, place) => (R.number(value, place) > 255 ? bad(place, 'no bit') : value),
  text: (value, place) => {
    if (typeof value !== 'string' || !value.isWellFormed()) bad(place, 'no text');
    if (utf8(value).length > 4 * 2 ** 20) bad(place, 'too long');
    return value;
  },
  match: (pattern, what) => (value, place) => {
    // in JavaScript $ without the m flag is the very end
    if (typeof value !== 'string' || !pattern.test(value)) bad(place, `no ${what}`);
    return value;
  },
  hash: (value, place) => unhex(R.match(/^[0-9a-f]{64}$/, 'hash')(value, place)),
  bytes: (limit) => (value, place) => {
    const text = R.match(/^(?:[0-9a-f]{2})*$/, 'bytes')(value, place);
    return text.length > 2 * limit ? bad(place, 'too long') : unhex(text);
  },
  address: (value, place) => R.match(/^0x[0-9a-f]{40}$/, 'address')(value, place),
  signature: (value, place) => unhex(R.match(/^[0-9a-f]{128}0[01]$/, 'signature')(value, place)),
  oneOf: (...words) => (value, place) => (words.includes(value) ? value : bad(place, 'another word')),
  pair: (first, second) => (value, place) => {
    if (!Array.isArray(value) || value.length !== 2) bad(place, 'no pair');
    return [first(value[0], `${place}[0]`), second(value[1], `${place}[1]`)];
  },
};
const sibling = R.pair(R.bit, R.hash);
const leaf = R.pair(R.hash, R.hash);
const signed = R.of({ delta: R.hash, expires: R.number, author: R.address, signature: R.signature });
const before = R.of({ parent: R.hash, setRoot: R.hash, logRoot: R.hash, policyRoot: R.hash });
const treeItem = (value, place) =>
  typeof value === 'number' ? R.bit(value, place) : Array.isArray(value) ? leaf(value, place) : R.hash(value, place);
const headPart = R.of({
  graph: R.text,
  genesis: R.of({
    owner: (v, p) => (v === 'shipped' ? v : R.address(v, p)),
    kind: R.oneOf('data', 'policy'), audience: R.text, policy: R.hash, signature: R.signature,
  }),
  sequence: R.number, parent: R.hash, setRoot: R.hash, logRoot: R.hash, policyRoot: R.hash,
  commit: signed, logPath: R.list(R.hash, 64),
  seal: R.of({ time: R.text, gate: R.hash, signer: R.address, signature: R.signature }),
  step: R.maybe(R.of({
    parent: R.maybe(before), removed: R.list(leaf, 100000), added: R.list(leaf, 100000), tree: R.list(treeItem, 51200000),
  })),
  next: R.maybe(signed),
  anchor: R.maybe(R.of({ anchor: R.number, path: R.maybe(R.list(sibling, 256)) })),
});
const setPart = R.of({
  head: R.number,
  proof: R.of({
    format: R.oneOf('dappops-proof-1'), graph: R.text,
    pattern: (v, p) => (R.list(R.maybe(R.text), 3)(v, p).length === 3 ? v : bad(p, 'not three terms')),
    lines: R.list(R.text, 1000000), salts: R.list(R.hash, 1000000), siblings: R.list(sibling, 256),
    witness: R.maybe(leaf),
  }),
});
const trieNodes = R.list(R.bytes(4096), 64);
const filePart = {
  format: R.oneOf('dappops-proof-2'),
  heads: R.list(headPart, 10000),
  sets: R.list(setPart, 100000),
  extends: R.list(R.of({ from: R.number, to: R.number, path: R.list(R.hash, 128) }), 10000),
  anchors: R.list(R.of({
    chainId: R.number, contract: R.address, kind: R.oneOf('single', 'batch'), submitter: R.address, root: R.hash, blockHash: R.hash,
    header: R.bytes(8192), accountProof: trieNodes,
    storage: R.list(R.of({ slot: R.hash, value: R.hash, proof: trieNodes }), 10000),
  }), 1000),
  checkpoints: R.list(R.of({
    anchor: R.number, gateway: R.of({ chainId: R.number, contract: R.address }), signatures: R.list(R.signature, 1000),
  }), 1000),
  answer: (value) => value,
};

/** Whether brackets outside of strings nest more than 64 deep. */
function tooDeep(text) {
  let depth = 0;
  for (const [match] of text.matchAll(/"(?:[^"\\]|\\[^])*"|[[\]{}]/g)) {
    if (match === '[' || match === '{') depth += 1;
    else if (match === ']' || match === '}') depth -= 1;
    if (depth > 64) return true;
  }
  return false;
}

/** A well-formed file of bytes or text; throws Malformed. */
export function parse(source) {
  if (source.length > MAX_FILE) bad('file', 'too large');
  let value;
  try {
    const text = typeof source === 'string' ? source : new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(source);
    if (tooDeep(text)) throw new Error('nested too deep');
    value = JSON.parse(text);
  } catch (error) {
    bad('file', `no JSON: ${error.message}`);
  }
  const file = R.object(value, 'file', filePart);
  if (!file.heads.length) bad('heads', 'none');
  const within = (number, list, place) => number < list.length || bad(place, `no number ${number}`);
  file.heads.forEach((h, i) => h.anchor && within(h.anchor.anchor, file.anchors, `heads[${i}].anchor`));
  file.sets.forEach((s, i) => within(s.head, file.heads, `sets[${i}].head`));
  file.extends.forEach((e, i) => within(Math.max(e.from, e.to), file.heads, `extends[${i}]`));
  file.checkpoints.forEach((c, i) => within(c.anchor, file.anchors, `checkpoints[${i}].anchor`));
  return file;
}

// -- trees -----------------------------------------------------------------------------------------------------------
const bitOf = (place, bit) => (place[bit >> 3] >> (7 - (bit & 7))) & 1;
function parting(one, two) {
  for (let i = 0; i < 32; i++) {
    const x = one[i] ^ two[i];
    if (x) return 8 * i + Math.clz32(x) - 24;
  }
  return 256;
}
const inner = (bit, left, right) => H(Buffer.of(1, bit), left, right);
function climb(way, current, siblings) {
  for (let i = siblings.length - 1; i >= 0; i--) {
    const [bit, other] = siblings[i];
    current = bitOf(way, bit) ? inner(bit, other, current) : inner(bit, current, other);
  }
  return current;
}
const growing = (bits) => bits.every((bit, i) => i === 0 || bits[i - 1] < bit);
const ordered = (leaves) => leaves.every(([place], i) => i === 0 || Buffer.compare(leaves[i - 1][0], place) < 0);
const leafStart = (graph) => Buffer.concat([Buffer.of(0), H(utf8(graph))]);
const emptyRoot = (graph) => H(Buffer.of(2), H(utf8(graph)));

/** Root of the tree over ordered leaves: split where the smallest bit is. */
function treeRoot(start, leaves) {
  const tips = leaves.map(([place, value]) => H(start, place, value));
  const gaps = leaves.slice(1).map(([place], i) => parting(leaves[i][0], place));
  const stack = [];
  let current = tips[0];
  gaps.forEach((bit, i) => {
    while (stack.length && stack.at(-1)[0] > bit) {
      const [above, left] = stack.pop();
      current = inner(above, left, current);
    }
    stack.push([bit, current]);
    current = tips[i + 1];
  });
  while (stack.length) {
    const [above, left] = stack.pop();
    current = inner(above, left, current);
  }
  return current;
}

/** The leaves of a set proof's lines, or a string that says what is wrong. */
function leavesOf(proof) {
  if (proof.salts.length && proof.salts.length !== proof.lines.length) return 'salts';
  const leaves = [];
  for (let i = 0; i < proof.lines.length; i++) {
    const line = proof.lines[i];
    const one = line.indexOf(' ');
    const two = one < 0 ? -1 : line.indexOf(' ', one + 1);
    if (two < 0 || line.includes('\n') || !line.slice(two + 1).endsWith(' .')) return 'a line is no statement';
    const terms = [line.slice(0, one), line.slice(one + 1, two), line.slice(two + 1, -2)];
    if (proof.pattern.some((want, at) => want !== null && want !== terms[at])) return 'a line does not match';
    const [s, p, o] = terms.map((term) => H(utf8(term)));
    const place = Buffer.concat([s.subarray(0, 12), p.subarray(0, 8), o.subarray(0, 12)]);
    const value = H(utf8(line));
    leaves.push([place, proof.salts.length ? H(Buffer.of(3), proof.salts[i], value) : value]);
  }
  return ordered(leaves) ? leaves : 'the lines are not in order';
}

function setFault(proof, root) {
  const given = proof.pattern.map((term) => term !== null);
  if ((given[1] && !given[0]) || (given[2] && !given[1])) return 'pattern';
  const prefix = Buffer.concat(
    [12, 8, 12].map((size, i) => (given[i] ? H(utf8(proof.pattern[i])).subarray(0, size) : Buffer.alloc(0))),
  );
  const size = 8 * prefix.length;
  const bits = proof.siblings.map(([bit]) => bit);
  if (!growing(bits)) return 'bits do not grow';
  let way = prefix;
  let current;
  if (proof.lines.length) {
    if (proof.witness) return 'matches and a witness';
    if (bits.length && bits.at(-1) >= size) return 'incomplete';
    const leaves = leavesOf(proof);
    if (typeof leaves === 'string') return leaves;
    current = treeRoot(leafStart(proof.graph), leaves);
  } else if (proof.witness) {
    if (proof.salts.length) return 'salts without lines';
    way = proof.witness[0];
    if (same(way.subarray(0, prefix.length), prefix)) return 'the witness matches';
    if (bits.some((bit) => bit < size && bitOf(way, bit) !== bitOf(prefix, bit))) return 'the witness lies elsewhere';
    current = H(leafStart(proof.graph), way, proof.witness[1]);
  } else {
    if (proof.siblings.length || proof.salts.length) return 'an empty graph has no siblings';
    current = emptyRoot(proof.graph);
  }
  return same(climb(way, current, proof.siblings), root) ? null : 'another root';
}

// nodes of a step's tree: {hash}, {hash, leaf}, {hash, bit, left, right}
const fork = (bit, left, right) => ({ bit, left, right, hash: inner(bit, left.hash, right.hash) });
function planted(items, start) {
  let at = 0;
  const grow = (above) => {
    if (at === items.length) throw new Error('the tree is not complete');
    const item = items[at++];
    if (typeof item === 'number') {
      if (item <= above) throw new Error('bits do not grow');
      const left = grow(item);
      return fork(item, left, grow(item));
    }
    return Array.isArray(item) ? { leaf: item, hash: H(start, ...item) } : { hash: item };
  };
  const tree = items.length ? grow(-1) : null;
  if (at !== items.length) throw new Error('more than one tree');
  return tree;
}
const nearest = (tree, place) => {
  while (tree.bit !== undefined) tree = bitOf(place, tree.bit) ? tree.right : tree.left;
  if (!tree.leaf) throw new Error('the way is not shown');
  return tree.leaf;
};
function added(tree, fresh, bit) {
  const place = fresh.leaf[0];
  if (tree.bit === undefined || tree.bit > bit) return bitOf(place, bit) ? fork(bit, tree, fresh) : fork(bit, fresh, tree);
  return bitOf(place, tree.bit)
    ? fork(tree.bit, tree.left, added(tree.right, fresh, bit))
    : fork(tree.bit, added(tree.left, fresh, bit), tree.right);
}
function without(tree, place) {
  if (tree.bit === undefined) return null;
  const right = bitOf(place, tree.bit);
  const rest = without(right ? tree.right : tree.left, place);
  if (!rest) return right ? tree.left : tree.right;
  return right ? fork(tree.bit, tree.left, rest) : fork(tree.bit, rest, tree.right);
}
function changeFault(graph, step, oldRoot, newRoot) {
  const start = leafStart(graph);
  const rootOf = (tree) => (tree ? tree.hash : emptyRoot(graph));
  if (!ordered(step.removed) || !ordered(step.added)) return 'leaves are not in order';
  try {
    let tree = planted(step.tree, start);
    if (!same(rootOf(tree), oldRoot)) return 'the tree before has another root';
    for (const one of step.added) {
      const fresh = { leaf: one, hash: H(start, ...one) };
      if (!tree) {
        tree = fresh;
        continue;
      }
      const bit = parting(one[0], nearest(tree, one[0])[0]);
      if (bit === 256) return 'a place is taken';
      tree = added(tree, fresh, bit);
    }
    for (const one of step.removed) {
      if (!tree) return 'nothing to remove';
      const held = nearest(tree, one[0]);
      if (!same(held[0], one[0]) || !same(held[1], one[1])) return 'a removed leaf was not there';
      tree = without(tree, one[0]);
    }
    return same(rootOf(tree), newRoot) ? null : 'another root';
  } catch (error) {
    return error.message;
  }
}

// -- log (RFC 9162, with keccak) ---------------------------------------------------------------------------------------
const logNode = (left, right) => H(Buffer.of(1), left, right);
/** Root over `size` entries of which number `index` has this leaf hash; recursion as in section 2.1.3.1, null if malformed. */
function logRoot(value, index, size, path) {
  const left = [...path];
  const root = (at, count) => {
    if (count === 1) return value;
    let half = 1;
    while (half * 2 < count) half *= 2;
    const other = left.pop();
    if (!other) return null;
    const below = at < half ? root(at, half) : root(at - half, count - half);
    return below && (at < half ? logNode(below, other) : logNode(other, below));
  };
  const found = index < size ? root(index, size) : null;
  return left.length ? null : found;
}
/** Whether a log of `size` entries with `root` begins with the one of `old` entries with `oldRoot`; section 2.1.4.1, inverted. */
function consistent(old, size, path, oldRoot, root) {
  const left = [...path];
  // both roots of the subtree over `count` entries of which the first `kept` are old; `whole`: its left edge is the log's
  const walk = (kept, count, whole) => {
    if (kept === count) {
      const value = whole ? oldRoot : left.pop();
      return value ? [value, value] : null;
    }
    let half = 1;
    while (half * 2 < count) half *= 2;
    const other = left.pop();
    if (!other) return null;
    if (kept <= half) {
      const below = walk(kept, half, whole);
      return below && [below[0], logNode(below[1], other)];
    }
    const below = walk(kept - half, count - half, false);
    return below && [logNode(other, below[0]), logNode(other, below[1])];
  };
  const found = walk(old, size, true);
  return found !== null && left.length === 0 && same(found[0], oldRoot) && same(found[1], root);
}

// -- chain -----------------------------------------------------------------------------------------------------------
class BadProof extends Error {}
const no = (why) => {
  throw new BadProof(why);
};
function rlp(bytes) {
  const read = (at, depth) => {
    if (at >= bytes.length || depth < 0) no('RLP');
    const first = bytes[at];
    if (first < 0x80) return [bytes.subarray(at, at + 1), at + 1];
    const isList = first >= 0xc0;
    let size = first & 0x3f;
    let start = at + 1;
    if (size > 55) {
      const width = size - 55;
      if (start + width > bytes.length || bytes[start] === 0 || width > 6) no('RLP');
      size = bytes.readUIntBE(start, width);
      start += width;
      if (size < 56) no('RLP');
    }
    const end = start + size;
    if (end > bytes.length) no('RLP');
    if (!isList) {
      if (size === 1 && bytes[start] < 0x80) no('RLP');
      return [bytes.subarray(start, end), end];
    }
    const items = [];
    while (start < end) {
      const [item, next] = read(start, depth - 1);
      items.push(item);
      start = next;
    }
    if (start !== end) no('RLP');
    return [items, end];
  };
  const [item, end] = read(0, 8);
  return end === bytes.length ? item : no('RLP');
}
const asBytes = (item) => (Array.isArray(item) ? no('a list for bytes') : item);
function asNumber(item, limit = 32) {
  const bytes = asBytes(item);
  if (bytes.length > limit || bytes[0] === 0) no('a number');
  return bytes.length ? BigInt('0x' + hex(bytes)) : 0n;
}
const nibblesOf = (bytes) => [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
const EMPTY_TRIE = H(Buffer.of(0x80));
/** The value under a key, null when the proof shows that there is none; throws BadProof. Every node must be used. */
function trie(root, key, proof) {
  if (!proof.length && same(root, EMPTY_TRIE)) return null;
  let rest = nibblesOf(H(key));
  let used = 0;
  const open = (reference) => {
    if (Array.isArray(reference)) return reference;
    if (reference.length !== 32 || used === proof.length || !same(H(proof[used]), reference)) no('a trie node');
    return rlp(proof[used++]);
  };
  const walk = (reference) => {
    if (!Array.isArray(reference) && reference.length === 0) return null;
    const node = open(reference);
    if (!Array.isArray(node)) return node.length === 0 && used === 1 ? null : no('a trie node');
    if (node.length === 17) {
      if (!rest.length) return asBytes(node[16]).length ? node[16] : null;
      return walk(node[rest.shift()]);
    }
    if (node.length !== 2) no('a trie node');
    const encoded = asBytes(node[0]);
    if (!encoded.length || encoded[0] >> 4 > 3 || (!(encoded[0] & 0x10) && encoded[0] & 15)) no('a trie path');
    const all = nibblesOf(encoded);
    const path = all.slice(all[0] & 1 ? 1 : 2);
    if (path.some((nibble, i) => rest[i] !== nibble)) return null;
    rest = rest.slice(path.length);
    if (all[0] >= 2) return rest.length ? null : asBytes(node[1]);
    if (!path.length || (!Array.isArray(node[1]) && !node[1].length)) no('a trie node');
    return walk(node[1]);
  };
  const value = walk(root);
  if (used !== proof.length) no('nodes that are not on the way');
  return value;
}
const headSlot = (submitter, graph) => H(graph, H(addressWord(submitter), word(0)));
const batchSlot = (submitter) => H(addressWord(submitter), word(1));
const transferSlot = (graph, from) => H(addressWord(from), H(graph, word(2)));
const revokedSlot = (key) => H(addressWord(key), word(3));
function slotValue(storageRoot, slot, proof) {
  const value = trie(storageRoot, slot, proof);
  return value === null ? 0n : asNumber(rlp(value));
}
function blockOf(anchor) {
  if (!same(H(anchor.header), anchor.blockHash)) no('another header');
  const header = rlp(anchor.header);
  if (!Array.isArray(header) || header.length < 15) no('header');
  if (asBytes(header[3]).length !== 32 || asBytes(header[2]).length !== 20) no('header');
  const account = trie(header[3], unhex(anchor.contract.slice(2)), anchor.accountProof);
  if (account === null) no('no contract there');
  const fields = rlp(account);
  if (!Array.isArray(fields) || fields.length !== 4) no('account');
  if (asBytes(fields[2]).length !== 32 || asBytes(fields[3]).length !== 32) no('account');
  const slots = new Map();
  for (const item of anchor.storage) {
    const key = hex(item.slot);
    if (slots.has(key)) no('a slot stands twice');
    const value = slotValue(fields[2], item.slot, item.proof);
    if (value !== BigInt('0x' + hex(item.value))) no('a slot has another value');
    slots.set(key, value);
  }
  if (anchor.kind === 'batch' && slots.get(hex(batchSlot(anchor.submitter))) !== BigInt('0x' + hex(anchor.root))) no('another root');
  return {
    number: Number(asNumber(header[8], 6)), time: Number(asNumber(header[11], 6)), hash: anchor.blockHash,
    storageRoot: fields[2], slots, chain: anchor.chainId, contract: anchor.contract,
  };
}

// -- heads -----------------------------------------------------------------------------------------------------------
const T = {
  salted: H(utf8('EIP712Domain(string name,string version,bytes32 salt)')),
  chained: H(utf8('EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)')),
  commit: H(utf8('Commit(string graph,uint64 sequence,bytes32 parent,bytes32 delta,uint64 expires)')),
  checkpoint: H(utf8('Checkpoint(uint256 sourceChain,uint256 number,bytes32 blockHash)')),
};
const typed = (domain, content) => H(Buffer.of(0x19, 0x01), domain, content);
const headHash = (graph, sequence, part) =>
  H(H(utf8('dappops/head/1')), H(utf8(graph)), word(sequence), part.parent, part.setRoot, part.logRoot, part.policyRoot);
const commitDigest = (genesis, graph, sequence, parent, { delta, expires }) =>
  typed(
    H(T.salted, H(utf8('DAppOps')), H(utf8('1')), genesis),
    H(T.commit, H(utf8(graph)), word(sequence), parent, delta, word(expires)),
  );
const deltaHash = (removed, added_) =>
  H(
    utf8('dappops/delta/1'),
    ...removed.flatMap(([place, value]) => [Buffer.of(0x2d), place, value]),
    ...added_.flatMap(([place, value]) => [Buffer.of(0x2b), place, value]),
  );
const GRAPH = /^[a-z][a-z0-9+.-]*:\/\/[^?#]*\/g\/(0x[0-9a-f]{40})\/[a-z0-9][a-z0-9._-]{0,63}$/;
const namedOwner = (graph) =>
  graph.startsWith('https://w3id.org/dappops/policy/shipped/') ? 'shipped' : (GRAPH.exec(graph)?.[1] ?? null);

function stepFault(head) {
  const { step } = head;
  if (!step.added.length && !step.removed.length) return 'no change';
  if (!same(deltaHash(step.removed, step.added), head.commit.delta)) return 'another delta';
  if (!step.parent) {
    if (head.sequence !== 1 || step.tree.length) return 'something was before';
    return changeFault(head.graph, step, emptyRoot(head.graph), head.setRoot);
  }
  if (head.sequence < 2 || !head.logPath.length) return 'nothing was before';
  if (!same(headHash(head.graph, head.sequence - 1, step.parent), head.parent)) return 'not the head before';
  const log = head.logPath.slice(1).reduce((value, peak) => logNode(peak, value), head.logPath[0]);
  if (!same(log, step.parent.logRoot)) return 'another log before';
  return changeFault(head.graph, step, step.parent.setRoot, head.setRoot);
}

// -- the whole file ---------------------------------------------------------------------------------------------------
/** Check a file (bytes or text). `options`: rpc (url), trust, coSigners (addresses), quorum, blockHash (hex), depth. */
export async function verify(source, options = {}) {
  const checks = [];
  const judge = (what, place, fault) => {
    checks.push({ what, place, state: fault ? 'fails' : 'holds', detail: fault || '' });
    return !fault;
  };
  const skip = (what, place, detail) => checks.push({ what, place, state: 'not checked', detail });
  const done = () => ({ holds: checks.every((check) => check.state !== 'fails'), checks });
  const trust = new Set(options.trust ?? []);
  let file;
  try {
    file = parse(source);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    judge('the file is of the format', 'file', error.message);
    return done();
  }
  const ask = options.rpc ? (method, params) => call(options.rpc, method, params) : null;

  const blocks = [];
  for (const [i, anchor] of file.anchors.entries()) {
    const place = `anchors[${i}]`;
    let block = null;
    try {
      block = blockOf(anchor);
    } catch (error) {
      if (!(error instanceof BadProof)) throw error;
      judge('the registry held it', place, error.message);
    }
    blocks.push(block);
    if (!block) continue;
    judge('the registry held it', place, null);
    let known = false;
    for (const [at, point] of file.checkpoints.entries()) {
      if (point.anchor !== i) continue;
      const domain = H(T.chained, H(utf8('DAppOps Gateway')), H(utf8('1')), word(point.gateway.chainId), addressWord(point.gateway.contract));
      const digest = typed(domain, H(T.checkpoint, word(block.chain), word(block.number), block.hash));
      const signers = point.signatures.map((signature) => recover(digest, signature));
      const good = signers.length && !signers.includes(null) && new Set(signers).size === signers.length;
      if (!judge('co-signers signed the block', `checkpoints[${at}]`, good ? null : 'bad signatures')) continue;
      const named = (options.coSigners ?? []).filter((signer) => signers.includes(signer));
      if (named.length && named.length >= Math.max(options.quorum ?? options.coSigners.length, 1)) known = true;
    }
    if (options.blockHash) {
      known = judge('the block is on the chain', place, options.blockHash === hex(block.hash) ? null : 'another hash') || known;
    }
    if (ask) {
      try {
        const chain = Number(await ask('eth_chainId', []));
        const held = await ask('eth_getBlockByNumber', ['0x' + block.number.toString(16), false]);
        const newest = Number((await ask('eth_getBlockByNumber', ['latest', false])).number);
        judge('the node is of this chain', place, chain === block.chain ? null : `it is of chain ${chain}`);
        known = judge('the block is on the chain', place, held?.hash === '0x' + hex(block.hash) ? null : 'another block');
        if (options.depth !== undefined) judge('enough blocks follow', place, newest - block.number >= options.depth ? null : 'too few');
      } catch (error) {
        judge('the block is on the chain', place, `the node does not say so: ${error.message}`);
      }
    } else if (options.depth !== undefined) judge('enough blocks follow', place, 'this needs a node');
    if (!known && !ask && !options.blockHash) skip('the block is on the chain', place, 'no node was asked');
  }

  const needed = new Set();
  const fetched = new Map();
  const slotOf = async (number, slot) => {
    const block = blocks[number];
    const key = hex(slot);
    needed.add(`${number} ${key}`);
    if (block.slots.has(key)) return block.slots.get(key);
    if (!ask) return null;
    const cached = `${number} ${key}`;
    if (!fetched.has(cached)) {
      let value = null;
      try {
        const found = await ask('eth_getProof', [block.contract, ['0x' + key], '0x' + block.number.toString(16)]);
        value = slotValue(block.storageRoot, slot, found.storageProof[0].proof.map((node) => unhex(node.slice(2))));
      } catch (error) {
        judge('the node proves a slot', `anchors[${number}]`, error.message);
      }
      fetched.set(cached, value);
    }
    return fetched.get(cached);
  };

  for (const [i, head] of file.heads.entries()) {
    const place = `heads[${i}]`;
    const { genesis: told, commit, seal } = head;
    let owner = namedOwner(head.graph);
    if (!judge('the graph names its owner', place, owner === told.owner ? null : 'another owner')) continue;
    const shipped = owner === 'shipped';
    const digest = headHash(head.graph, head.sequence, head);
    const graph = H(utf8(head.graph));
    let anchored = null;
    if (head.anchor && blocks[head.anchor.anchor]) {
      const anchor = file.anchors[head.anchor.anchor];
      let fault = null;
      if (anchor.kind === 'single') {
        const slot = await slotOf(head.anchor.anchor, headSlot(anchor.submitter, graph));
        if (head.anchor.path !== null) fault = 'a way in no batch';
        else if (!same(anchor.root, digest) || slot !== BigInt('0x' + hex(digest))) fault = 'another head';
      } else if (head.anchor.path === null) fault = 'no way in the batch';
      else if (needed.add(`${head.anchor.anchor} ${hex(batchSlot(anchor.submitter))}`) && !growing(head.anchor.path.map(([bit]) => bit))) fault = 'bits do not grow';
      else if (!same(climb(graph, H(Buffer.of(5), graph, digest), head.anchor.path), anchor.root)) fault = 'another root';
      if (judge('the head is anchored', place, fault)) anchored = blocks[head.anchor.anchor];
    }
    if (anchored && !shipped) {
      const seen = new Set([owner]);
      for (;;) {
        const to = await slotOf(head.anchor.anchor, transferSlot(graph, owner));
        if (to === null) skip('the graph was not transferred', place, 'no proof, and no node was asked');
        if (!to) break;
        owner = '0x' + to.toString(16).padStart(64, '0').slice(24);
        if (seen.has(owner) || to >> 160n || seen.size > 64) {
          judge('transfers', place, 'a circle, or too many');
          owner = null;
          break;
        }
        seen.add(owner);
      }
      if (owner !== null) {
        const since = await slotOf(head.anchor.anchor, revokedSlot(commit.author));
        if (since === null) skip('the key was not revoked', place, 'no proof, and no node was asked');
        else judge('the key was not revoked', place, since !== 0n && since <= BigInt(anchored.number) ? 'it was' : null);
      }
    } else if (!shipped) skip('key and graph are still the owner’s', place, 'anchored nowhere');
    if (shipped) owner = seal.signer;

    const genesis = H(
      utf8('dappops/genesis/1'), H(utf8(head.graph)), H(utf8(told.owner)), H(utf8(told.kind)), H(utf8(told.audience)), told.policy,
    );
    judge('genesis', place, recover(genesis, told.signature) === (shipped ? seal.signer : told.owner) ? null : 'not signed');
    judge('parent', place, head.sequence > 1 || (head.sequence === 1 && same(head.parent, genesis)) ? null : 'not the genesis');
    const commitHash = commitDigest(genesis, head.graph, head.sequence, head.parent, commit);
    judge('commit signature', place, recover(commitHash, commit.signature) === commit.author ? null : 'not signed');
    const entry = H(Buffer.of(0), H(commit.delta, commit.signature));
    const root = head.sequence ? logRoot(entry, head.sequence - 1, head.sequence, head.logPath) : null;
    judge('log', place, root && same(root, head.logRoot) ? null : 'another log');
    const sealed = H(utf8('dappops/seal/1'), digest, H(utf8(seal.time)), seal.gate);
    judge('seal', place, recover(sealed, seal.signature) === seal.signer ? null : 'not sealed');
    const step = head.step ? stepFault(head) : null;
    if (head.step) judge('step', place, step);
    let next = null;
    if (head.next) {
      const later = commitDigest(genesis, head.graph, head.sequence + 1, digest, head.next);
      next = recover(later, head.next.signature) === head.next.author && head.next.author === owner ? null : 'not the owner’s';
      judge('next', place, next);
    }
    const mine = commit.author === owner;
    judge('author', place, mine || (commit.author === seal.signer && head.next && !next) ? null : 'not the owner');
    if (step || next) continue;
    const vouched =
      (mine && seal.signer === owner) || (head.step && mine) || head.next || shipped || trust.has(seal.signer) ||
      (head.sequence === 1 && mine && file.sets.some((set) => {
        if (set.head !== i || set.proof.pattern.some((term) => term !== null)) return false;
        const leaves = leavesOf(set.proof);
        return typeof leaves !== 'string' && same(deltaHash([], leaves), commit.delta);
      }));
    judge('vouched by the owner', place, vouched ? null : 'only the node says so');
  }

  file.anchors.forEach((anchor, i) => {
    const idle = anchor.storage.some((item) => !needed.has(`${i} ${hex(item.slot)}`));
    judge('nothing idle', `anchors[${i}]`, idle ? 'nothing needs a slot' : null);
  });
  file.sets.forEach((set, i) => {
    const head = file.heads[set.head];
    judge('statements', `sets[${i}]`, set.proof.graph !== head.graph ? 'another graph' : setFault(set.proof, head.setRoot));
  });
  file.extends.forEach((one, i) => {
    const [from, to] = [file.heads[one.from], file.heads[one.to]];
    const fits = from.graph === to.graph && 0 < from.sequence && from.sequence < to.sequence;
    const holds = fits && consistent(from.sequence, to.sequence, one.path, from.logRoot, to.logRoot);
    judge('history only grew', `extends[${i}]`, holds ? null : 'it does not');
  });
  if (file.answer !== null) judge('answer', 'answer', 'this verifier does not check answers');
  return done();
}

async function call(url, method, params) {
  const response = await fetch(url, {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, signal: AbortSignal.timeout(10000),
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  });
  const answer = await response.json();
  if (!('result' in answer)) throw new Error(answer.error?.message ?? 'no answer');
  return answer.result;
}

// -- command line -----------------------------------------------------------------------------------------------------
async function main(given) {
  if (given[0] === '--lines') {
    const texts = readFileSync(0, 'utf8').split('\n').filter(Boolean);
    for (const text of texts) {
      const [body, options] = JSON.parse(text);
      const report = await verify(body, options);
      console.log(JSON.stringify({ holds: report.holds, fails: report.checks.filter((c) => c.state === 'fails').map((c) => c.what) }));
    }
    return 0;
  }
  const options = { trust: [], coSigners: [] };
  const names = { '--rpc': 'rpc', '--quorum': 'quorum', '--block-hash': 'blockHash', '--depth': 'depth' };
  let path = null;
  for (let i = 0; i < given.length; i++) {
    const value = () => given[++i] ?? usage();
    if (given[i] === '--trust') options.trust.push(value().toLowerCase());
    else if (given[i] === '--co-signer') options.coSigners.push(value().toLowerCase());
    else if (given[i] === '--quorum' || given[i] === '--depth') options[names[given[i]]] = Number(value());
    else if (given[i] in names) options[names[given[i]]] = value().replace(/^0x/, '');
    else if (path === null && !given[i].startsWith('--')) path = given[i];
    else usage();
  }
  if (path === null) usage();
  let body;
  try {
    body = readFileSync(path);
  } catch (error) {
    console.error(error.message);
    return 2;
  }
  const report = await verify(body, options);
  for (const check of report.checks.filter((c) => c.state !== 'holds')) console.log(`${check.state}: ${check.what} (${check.place}) ${check.detail}`);
  console.log(report.holds ? 'The proof holds.' : 'The proof does NOT hold.');
  return report.holds ? 0 : 1;
}
function usage() {
  console.error('usage: node verify.mjs FILE [--rpc URL] [--trust ADDRESS]... [--co-signer ADDRESS]... [--quorum N] [--block-hash HASH] [--depth N]');
  process.exit(2);
}
if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) process.exitCode = await main(process.argv.slice(2));
