/** @file How a device's passes are run: operator by operator, or as graphs where the device and the engine have them. */
import { graphProblem } from '../torch/graph.ts';
import { GraphPasses } from './graph-passes.ts';
import { type DecodePasses, type PassSetup, PlainPasses } from './passes.ts';

/** What was said once is not said again. */
const said = new Set<string>();

function warnOnce(notice: string): void {
  if (said.has(notice)) return;
  said.add(notice);
  process.emitWarning(notice);
}

/** Passes of at most `batchSize` rows. `SELM_GRAPHS=off` leaves graphs out. */
export function openPasses(
  setup: PassSetup,
  { batchSize, onNotice = warnOnce }: { batchSize: number; onNotice?: ((notice: string) => void) | undefined },
): DecodePasses {
  const { device } = setup.sampler.embedding;
  const wanted = process.env.SELM_GRAPHS ?? 'on';
  if (device === 'cpu' || wanted === 'off') return new PlainPasses(setup);
  if (wanted !== 'on') onNotice(`SELM_GRAPHS=${wanted} changes nothing: on and off are known`);
  const problem = graphProblem();
  if (problem === null) return new GraphPasses(setup, { mostRows: batchSize, say: onNotice });
  onNotice(
    `Sampling on ${device} goes without graphs of the device, which is slower: ${problem} (docs/gpu.md says what they need; SELM_GRAPHS=off says nothing)`,
  );
  return new PlainPasses(setup);
}
