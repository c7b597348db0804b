/**
 * @file Passes of decoding as graphs of the device (torch/graph.ts): some four hundred kernels are asked for at once. A graph is of one shape and
 * reads fixed places, so rows are filled up to a few numbers of rows and widths of tables, with rows of nobody, which write to a
 * page of nobody. A shape's first pass is run as it is, because libraries choose their kernels and memory in it; the second becomes the graph.
 */
import { noGrad } from '../torch/autograd.ts';
import { captureGraph, type Graph } from '../torch/graph.ts';
import { copy_, narrow, zeros } from '../torch/ops.ts';
import { disposeAll, int64, outlive, scope, type Tensor } from '../torch/tensor.ts';
import type { Drawn } from './drawing.ts';
import {
  advance,
  type DecodeRow,
  type LayoutShape,
  layoutNumbers,
  layoutOver,
  layoutSize,
  type RowLayout,
  shapeOf,
} from './layout.ts';
import { type DecodePasses, decodeAndDraw, type PassSetup } from './passes.ts';

/** Passes of one shape: where they read and write, and their graph once there is one. */
interface RepeatedPass {
  layout: RowLayout;
  newest_B: Tensor;
  drawn: Drawn;
  runs: number;
  graph: { graph: Graph; pages: Tensor } | null;
}

/** The next of 1, 2, 3, 4, 6, 8, 12, 16, 24 ... that is not below a count: a third of the rows at most are nobody's. */
export function roundedUp(count: number): number {
  const power = 2 ** Math.ceil(Math.log2(count));
  return count <= 0.75 * power ? 0.75 * power : power;
}

/** Shapes are few, so that each is soon seen again; `mostRows` is one of them. */
export function repeatedShape(rows: readonly DecodeRow[], mostRows: number): LayoutShape {
  const { rows: count, width } = shapeOf(rows);
  return { rows: Math.min(mostRows, roundedUp(count)), width: 2 ** Math.ceil(Math.log2(width)) };
}

/** A class because shapes, their graphs and the rows that are laid out are the state that passes change. */
export class GraphPasses implements DecodePasses {
  readonly #setup: PassSetup;
  readonly #mostRows: number;
  readonly #say: (notice: string) => void;
  readonly #passes = new Map<string, RepeatedPass>();
  readonly #nobody: DecodeRow;
  #laid: { pass: RepeatedPass; count: number } | null = null;
  #makesGraphs = true;

  /** `mostRows` are ever laid out at once; `say` hears why there is no graph where one cannot be made. */
  constructor(setup: PassSetup, { mostRows, say }: { mostRows: number; say: (notice: string) => void }) {
    this.#setup = setup;
    this.#mostRows = mostRows;
    this.#say = say;
    const key = { key0: 0, key1: 0, stream0: 0, stream1: 0 };
    const pages = setup.cache.pages.take(1);
    this.#nobody = { prompt: { pages: [], length: 0 }, pages, position: 0, key };
  }

  lay(rows: readonly DecodeRow[]): void {
    const { sampler, cache } = this.#setup;
    const shape = repeatedShape(rows, this.#mostRows);
    const pass = this.#passOf(shape);
    // However far a row of nobody counts on, its page is the one of nobody: it has no more pages than another row's.
    const nobody = { ...this.#nobody, pages: Array<number>(shape.width).fill(this.#nobody.pages[0] ?? 0) };
    const all = [...rows, ...Array<DecodeRow>(shape.rows - rows.length).fill(nobody)];
    scope('lay out', () => {
      const numbers = layoutNumbers(all, shape, { config: sampler.config, length: cache.length });
      copy_(pass.layout.numbers, int64(numbers, { device: sampler.embedding.device }));
    });
    this.#laid = { pass, count: rows.length };
  }

  advance(startsPage: boolean): void {
    advance(this.#current.pass.layout, startsPage);
  }

  run(given_B: Tensor): Drawn {
    const { pass, count } = this.#current;
    const { newest_B, drawn } = pass;
    noGrad(() => void copy_(narrow(newest_B, 0, 0, count), given_B));
    const graph = this.#graphOf(pass);
    if (graph === null) scope('pass', () => this.#compute(pass));
    else graph.replay();
    pass.runs += 1;
    return { ids_B: narrow(drawn.ids_B, 0, 0, count), logProbs_B: narrow(drawn.logProbs_B, 0, 0, count) };
  }

  dispose(): void {
    for (const { graph, layout, newest_B, drawn } of this.#passes.values()) {
      graph?.graph.dispose();
      disposeAll([layout, newest_B, drawn]);
    }
    this.#passes.clear();
    this.#laid = null;
  }

  get #current(): { pass: RepeatedPass; count: number } {
    if (this.#laid === null) throw new Error('No rows are laid out');
    return this.#laid;
  }

  #passOf(shape: LayoutShape): RepeatedPass {
    const name = `${shape.rows} x ${shape.width}`;
    const known = this.#passes.get(name);
    if (known !== undefined) return known;
    const { device } = this.#setup.sampler.embedding;
    const made = outlive(
      scope('places of a pass', () => {
        const integers = (count: number): Tensor => zeros([count], { dtype: 'int64', device });
        const layout = layoutOver(integers(layoutSize(shape)), shape);
        const logProbs_B = zeros([shape.rows], { dtype: 'float64', device });
        return { layout, newest_B: integers(shape.rows), drawn: { ids_B: integers(shape.rows), logProbs_B } };
      }),
    );
    const pass = { ...made, runs: 0, graph: null };
    this.#passes.set(name, pass);
    return pass;
  }

  /** The graph of a pass, made where it is time for it; null where this pass is to be computed without. */
  #graphOf(pass: RepeatedPass): Graph | null {
    // A pool that grew lies elsewhere.
    const pages = this.#setup.cache.pages.layer(0).keys;
    if (pass.graph !== null && pass.graph.pages !== pages) {
      pass.graph.graph.dispose();
      pass.graph = null;
    }
    if (pass.graph === null && pass.runs > 0 && this.#makesGraphs) {
      try {
        const graph = captureGraph(pages.device, () => this.#compute(pass));
        pass.graph = { graph, pages };
      } catch (error) {
        this.#makesGraphs = false;
        this.#say(
          `Sampling goes on without graphs of the device, which is slower: ${error instanceof Error ? error.message : error} (SELM_GRAPHS=off leaves them out from the start)`,
        );
      }
    }
    return pass.graph?.graph ?? null;
  }

  /** Reads and writes the places of the pass, and makes nothing that stays. */
  #compute({ layout, newest_B, drawn }: RepeatedPass): void {
    noGrad(() => {
      const { ids_B, logProbs_B } = decodeAndDraw(this.#setup, layout, newest_B);
      copy_(drawn.ids_B, ids_B);
      copy_(drawn.logProbs_B, logProbs_B);
    });
  }
}
