/**
 * @file Counts how often a text was seen, in 12 bytes a text whatever its length: a table of 64-bit hashes. Two texts
 * with the same hash count as one (once in 30 million runs over a million texts), so its users must tolerate a count
 * that is too high.
 */

/** Open addressing: slots are taken in order from where the hash points, at most half of them. */
export class IdCounter {
  #low = new Uint32Array(1024);
  #high = new Uint32Array(1024);
  #counts = new Uint32Array(1024);
  #used = 0;

  /** Counts a text, and says how often it has been seen now. */
  add(text: string): number {
    if (this.#used * 2 >= this.#counts.length) this.#grow();
    const [low, high] = hash64(text);
    const slot = this.#slotOf(low, high);
    if (this.#counts[slot] === 0) {
      this.#low[slot] = low;
      this.#high[slot] = high;
      this.#used += 1;
    }
    const count = (this.#counts[slot] ?? 0) + 1;
    this.#counts[slot] = count;
    return count;
  }

  /** The slot that holds the hash, or the free one where it belongs. */
  #slotOf(low: number, high: number): number {
    const mask = this.#counts.length - 1;
    let slot = low & mask;
    while (this.#counts[slot] !== 0 && (this.#low[slot] !== low || this.#high[slot] !== high)) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const [low, high, counts] = [this.#low, this.#high, this.#counts];
    const size = counts.length * 2;
    this.#low = new Uint32Array(size);
    this.#high = new Uint32Array(size);
    this.#counts = new Uint32Array(size);
    for (const [old, count] of counts.entries()) {
      if (count === 0) continue;
      const slot = this.#slotOf(low[old] ?? 0, high[old] ?? 0);
      this.#low[slot] = low[old] ?? 0;
      this.#high[slot] = high[old] ?? 0;
      this.#counts[slot] = count;
    }
  }
}

/** Two multiply-and-xor hashes side by side, mixed at the end (cyrb53's construction, all 64 bits kept). */
function hash64(text: string): [low: number, high: number] {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 2654435761);
    b = Math.imul(b ^ unit, 1597334677);
  }
  a = Math.imul(a ^ (a >>> 16), 2246822507) ^ Math.imul(b ^ (b >>> 13), 3266489909);
  b = Math.imul(b ^ (b >>> 16), 2246822507) ^ Math.imul(a ^ (a >>> 13), 3266489909);
  return [a >>> 0, b >>> 0];
}
