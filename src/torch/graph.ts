/**
 * @file Graphs of a device: what some operators ask of it, written down once, and asked again as one thing. Small operators take the host
 * longer to ask for than the device takes to compute them.
 */
import { join } from 'node:path';
import { engineDirectory, GRAPHS_LIBRARY, native } from './native.ts';
import { guard, scope } from './tensor.ts';

/** What a device was asked once. */
export interface Graph {
  /** Asks for all of it again, behind what the device was asked before. */
  replay(): void;
  dispose(): void;
}

/** Why this engine can make no graphs of a GPU; null where it can. */
export function graphProblem(): string | null {
  return native().openGraphs(join(engineDirectory, GRAPHS_LIBRARY));
}

/**
 * Writes down what `body` asks of a device; nothing of it is computed before the graph is replayed. What `body` makes is gone afterwards: its
 * results are what it writes into tensors that were there before. These, and those that it reads, must live and stay where they are as long as
 * the graph is replayed, and their contents are those of the time of a replay. `body` may not copy between host and device, or wait for one.
 * Throws TensorError where no graph comes of it.
 */
export function captureGraph(device: string, body: () => void): Graph {
  guard('begin a graph', [], () => native().beginCapture(device));
  try {
    scope('a graph', body);
  } catch (error) {
    native().giveUpCapture();
    throw error;
  }
  const graph = guard('make a graph', [], () => native().endCapture());
  return {
    replay: () => void guard('replay a graph', [], () => native().replayGraph(graph)),
    dispose: () => void native().dropGraph(graph),
  };
}
