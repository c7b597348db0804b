/**
 * @file A pass of decoding: the newest token of every row goes in, and the next one is drawn. Rows are laid out when some come or go or need
 * a page; between that, passes count on by themselves (layout.ts).
 */
import { disposeAll, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { type Drawn, drawTokens, type TokenChoice } from './drawing.ts';
import { advance, type DecodeRow, layRows, nextUniforms, type RowLayout } from './layout.ts';
import { type Cache, decode, type Sampler } from './sampler.ts';

/** What passes are made of. */
export interface PassSetup {
  sampler: Sampler;
  cache: Cache;
  choice: TokenChoice;
}

/** Passes over rows that come and go. */
export interface DecodePasses {
  /** Lays rows out for the next pass. */
  lay(rows: readonly DecodeRow[]): void;
  /** Makes the next token of each row that is laid out the new one; `startsPage` says whether one of them is the first of a page. */
  advance(startsPage: boolean): void;
  /** Runs the newest token of every row, [rows], and draws the next. What it returns is written over by the next pass at the earliest. */
  run(newest_B: Tensor): Drawn;
  dispose(): void;
}

/** One token of every row of a layout: run, and the next one drawn. */
export function decodeAndDraw({ sampler, cache, choice }: PassSetup, layout: RowLayout, newest_B: Tensor): Drawn {
  const logits_BV = decode(sampler, cache, layout, newest_B);
  return drawTokens(choice, logits_BV, nextUniforms(layout));
}

/** Passes that ask the device for each operator. A class because the layout is the state that laying out changes. */
export class PlainPasses implements DecodePasses {
  readonly #setup: PassSetup;
  #laid: RowLayout | null = null;

  constructor(setup: PassSetup) {
    this.#setup = setup;
  }

  get #layout(): RowLayout {
    if (this.#laid === null) throw new Error('No rows are laid out');
    return this.#laid;
  }

  lay(rows: readonly DecodeRow[]): void {
    const { sampler, cache } = this.#setup;
    this.dispose();
    const where = { config: sampler.config, device: sampler.embedding.device, length: cache.length };
    this.#laid = outlive(scope('lay out', () => layRows(rows, where)));
  }

  advance(startsPage: boolean): void {
    advance(this.#layout, startsPage);
  }

  run(newest_B: Tensor): Drawn {
    return decodeAndDraw(this.#setup, this.#layout, newest_B);
  }

  dispose(): void {
    disposeAll(this.#laid);
    this.#laid = null;
  }
}
