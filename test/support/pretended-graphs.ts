/**
 * @file Graphs of the pretended GPU: operators are written down with their operands, and called again. As on a card, what they write into
 * tensors that were there before is not written while they are written down; nothing may cross between host and device, or wait for
 * one; and a tensor that is read must still be there when the graph is replayed.
 */
import type { Handle, Native, NativeValue } from '../../src/torch/native.ts';

/** A call of an operator: which of its values name tensors, and which of its tensors it writes. */
export interface WrittenCall {
  operator: number;
  values: readonly NativeValue[];
  isTensor: readonly boolean[];
  made: readonly Handle[];
}

interface Capture {
  calls: WrittenCall[];
  made: Set<Handle>;
  /** What outer tensors held before the capture wrote them, by their handles. */
  before: Map<Handle, Handle>;
}

/** What of the pretended addon a graph needs. */
interface Ground {
  actual: Native;
  call: (operator: number, ...values: NativeValue[]) => NativeValue;
  isThere: (handle: Handle) => boolean;
  free: (handle: Handle) => void;
}

/** A class because a capture, and the graphs that were made, are its state. */
export class PretendedGraphs {
  readonly #ground: Ground;
  readonly #graphs = new Map<number, readonly WrittenCall[]>();
  #capture: Capture | null = null;
  #count = 0;

  constructor(ground: Ground) {
    this.#ground = ground;
  }

  get isCapturing(): boolean {
    return this.#capture !== null;
  }

  begin(): void {
    if (this.#capture !== null) throw refusal('a capture is under way');
    this.#capture = { calls: [], made: new Set(), before: new Map() };
  }

  /** Keeps what tensors from before the capture hold, for they are about to be written. */
  beforeWriting(handles: readonly Handle[]): void {
    const { actual } = this.#ground;
    for (const handle of handles) {
      if (this.#capture === null || this.#capture.made.has(handle) || this.#capture.before.has(handle)) continue;
      this.#capture.before.set(handle, Number(actual.call(actual.resolve('aten::clone', ''), handle)));
    }
  }

  write(call: WrittenCall): void {
    this.#capture?.calls.push(call);
    for (const handle of call.made) this.#capture?.made.add(handle);
  }

  /** What may not happen while a graph is captured. */
  forbid(what: string): void {
    if (this.#capture !== null) throw refusal(`${what} cannot be captured`);
  }

  end(): number {
    const calls = this.#capture?.calls;
    this.giveUp();
    if (calls === undefined) throw refusal('no capture is under way');
    this.#count += 1;
    this.#graphs.set(this.#count, calls);
    return this.#count;
  }

  giveUp(): void {
    const { actual } = this.#ground;
    for (const [handle, held] of [...(this.#capture?.before ?? [])].reverse()) {
      const copied = actual.call(actual.resolve('aten::copy_', ''), handle, held);
      for (const done of [held, ...handlesIn(copied)]) actual.free(done);
    }
    this.#capture = null;
  }

  replay(graph: number): void {
    const { call, isThere, free } = this.#ground;
    const made = new Map<Handle, Handle>();
    const now = (handle: Handle): Handle => {
      const found = made.get(handle) ?? handle;
      if (!isThere(found)) throw refusal('a graph reads a tensor that was freed');
      return found;
    };
    for (const { operator, values, isTensor, made: before } of this.#graphs.get(graph) ?? []) {
      const result = call(operator, ...values.map((value, i) => (isTensor[i] ? mapHandles(value, now) : value)));
      handlesIn(result).forEach((handle, i) => {
        made.set(before[i] ?? 0, handle);
      });
    }
    for (const handle of made.values()) free(handle);
  }

  drop(graph: number): void {
    this.#graphs.delete(graph);
  }
}

/** Handles of tensors in what an operator takes or gives. */
export function handlesIn(value: NativeValue): Handle[] {
  if (Array.isArray(value)) return value.flatMap(handlesIn);
  return typeof value === 'number' ? [value] : [];
}

function mapHandles(value: NativeValue, change: (handle: Handle) => Handle): NativeValue {
  if (Array.isArray(value)) return value.map((each) => mapHandles(each, change));
  return typeof value === 'number' ? change(value) : value;
}

function refusal(message: string): Error {
  return Object.assign(new Error(message), { code: 'SELM_OPERATOR' });
}
