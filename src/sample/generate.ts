/**
 * @file Continuous batching: prompts are prefilled once for all their samples, and what several prompts begin with once for all of
 * them; a sequence that ends makes room for the next at once, and every response is given out when it is finished. Randomness is
 * counter-based, keyed by the request and the token's index: a response is the same whatever else is in the batch, on a restart,
 * and when n grows.
 */
import { InterruptedError, ModelError } from '../errors.ts';
import { longAfter } from '../model/rope.ts';
import type { RandomKey } from '../random.ts';
import { cat, index_select } from '../torch/ops.ts';
import { int64, outlive, scope, type Tensor } from '../torch/tensor.ts';
import { type Drawn, Draws, drawTokens, type HeardToken, type TokenChoice } from './drawing.ts';
import { firstUniforms } from './layout.ts';
import { openPasses } from './open-passes.ts';
import { PAGE_TOKENS, pagesFor } from './pages.ts';
import type { DecodePasses } from './passes.ts';
import { BLOCK_TOKENS, knownBlocks, pagesOf, type SharedBlock, settleBlocks, sharedBlocks } from './prefixes.ts';
import { type Cache, openCache, prefill, type Sampler } from './sampler.ts';

/** How tokens are chosen, and how many at most. */
export interface SamplingSettings extends TokenChoice {
  maxNewTokens: number;
}

/** One prompt and the samples wanted of it. */
export interface GenerationRequest {
  promptId: string;
  promptIds: readonly number[];
  samples: readonly { sampleIndex: number; key: RandomKey }[];
}

export interface GeneratedResponse {
  promptId: string;
  sampleIndex: number;
  /** Without the end token. */
  tokenIds: number[];
  /** The end token that the model chose; null for a response that was cut. */
  endId: number | null;
  /** `stop`: the model ended it, or a stop text was written; `length`: it was cut at maxNewTokens or at the model's last position. */
  finish: 'stop' | 'length';
  /** Log-probability of each token, in nats at temperature 1; the end token's last, if there is one. */
  tokenLogProbs: number[];
  /** Their sum. */
  logProb: number;
}

export interface GenerateOptions extends SamplingSettings {
  /** Ids that end a response. */
  stopIds: readonly number[];
  /**
   * Says which of some responses are complete though the model would go on (a stop text was written). Asked once a pass,
   * about every sequence that got a token.
   */
  areComplete?: ((responses: readonly (readonly number[])[]) => readonly boolean[]) | undefined;
  /** Sequences in the batch. More is faster until memory is full; responses are the same. */
  batchSize: number;
  signal?: AbortSignal | undefined;
  /** Called after every pass with the tokens that it made. */
  onTokens?: ((count: number) => void) | undefined;
  /** Hears what makes sampling slower than it could be. @default a warning of the process */
  onNotice?: ((notice: string) => void) | undefined;
}

/**
 * Prompt tokens prefilled in one pass: enough for products at full speed, few enough to stay in a processor's caches. A card has
 * neither such caches nor time for many small passes.
 */
export function prefillTokens(device: string): number {
  return device === 'cpu' ? 1024 : 8192;
}

/** Pages that a sequence takes when it needs one: neighbours in memory are read faster. */
const PAGES_AT_ONCE = 4;

/** A prompt in the batch: its pages, the logits after it, and the samples that still wait. */
interface ActivePrompt {
  request: GenerationRequest;
  pages: number[];
  logits: Tensor | null;
  waiting: GenerationRequest['samples'][number][];
  running: number;
}

interface Sequence {
  prompt: ActivePrompt;
  sampleIndex: number;
  key: RandomKey;
  pages: number[];
  limit: number;
  /** Tokens that were drawn, those that nobody has heard of yet included. */
  drawn: number;
  tokenIds: number[];
  tokenLogProbs: number[];
  hasEnded: boolean;
}

/** Generates all samples of all requests; responses come in the order in which they finish. */
export async function* generate(
  sampler: Sampler,
  requests: readonly GenerationRequest[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedResponse> {
  for await (const responses of generateByPass(sampler, requests, options)) yield* responses;
}

/** As generate(), the responses that ended with the same pass together: what is done with each of them may be done with all at once. */
export async function* generateByPass(
  sampler: Sampler,
  requests: readonly GenerationRequest[],
  options: GenerateOptions,
): AsyncGenerator<readonly GeneratedResponse[]> {
  const work = requests.filter((request) => request.samples.length > 0);
  if (work.length === 0) return;
  const promptLength = work.reduce((most, request) => Math.max(most, request.promptIds.length), 0);
  checkLengths(sampler, work, promptLength);
  checkLongRope(sampler, work, options.maxNewTokens);
  const length = promptLength + Math.min(options.maxNewTokens, sampler.config.maxPositions);
  const cache = openCache(sampler, length, fullBatchPages(work, options));
  const batch = new Batch(sampler, cache, { queue: work, options });
  try {
    while (batch.busy) {
      if (options.signal?.aborted)
        throw new InterruptedError('INTERRUPTED', 'Sampling was interrupted: finished responses are kept');
      const finished = batch.pass();
      if (finished.length > 0) yield finished;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  } finally {
    batch.dispose();
    cache.dispose();
  }
}

/** Pages of a full batch whose responses are all as long as they may be, and one that may be nobody's (graph-passes.ts). */
function fullBatchPages(work: readonly GenerationRequest[], { batchSize, maxNewTokens }: GenerateOptions): number {
  const samples = work.reduce((sum, request) => sum + request.samples.length, 0);
  const prompts = work.reduce((sum, request) => sum + pagesFor(request.promptIds.length), 0);
  const share = Math.min(1, batchSize / samples);
  return 1 + Math.ceil(share * (prompts + samples * pagesFor(maxNewTokens)));
}

/**
 * LongRoPE turns all of a sequence's tokens anew once it is longer than the original positions (transformers then drops
 * its cache). What was sampled before would stand under other keys: such a response is refused, not approximated.
 */
function checkLongRope(sampler: Sampler, work: readonly GenerationRequest[], maxNewTokens: number): void {
  const limit = longAfter(sampler.config);
  const crossing = work.find(({ promptIds }) => promptIds.length <= limit && promptIds.length + maxNewTokens > limit);
  if (crossing === undefined) return;
  const tokens = crossing.promptIds.length;
  throw new ModelError(
    'RESPONSE_CROSSES_ROPE',
    `Cannot sample prompt ${crossing.promptId}: its ${tokens} tokens and up to ${maxNewTokens} new ones pass the ${limit} positions (original_max_position_embeddings) after which this model's rope factors change: lower sampling.maxNewTokens to ${limit - tokens} or text.maxPromptLength to ${Math.max(0, limit - maxNewTokens)}`,
    {
      details: { field: 'original_max_position_embeddings', promptId: crossing.promptId, tokens, maxNewTokens, limit },
    },
  );
}

function checkLengths(sampler: Sampler, work: readonly GenerationRequest[], promptLength: number): void {
  const { maxPositions } = sampler.config;
  if (promptLength < maxPositions) return;
  const longest = work.find((request) => request.promptIds.length === promptLength);
  throw new ModelError(
    'PROMPT_TOO_LONG',
    `Cannot sample prompt ${longest?.promptId}: it has ${promptLength} tokens, and the model's ${maxPositions} positions leave no room for a response: lower text.maxPromptLength`,
    { details: { promptId: longest?.promptId, tokens: promptLength, maxPositions } },
  );
}

/** The batch between passes. A class because it is the state that a pass changes. */
class Batch {
  readonly #sampler: Sampler;
  readonly #cache: Cache;
  readonly #options: GenerateOptions;
  readonly #stop: Set<number>;
  readonly #queue: GenerationRequest[];
  readonly #sharedBlocks: ReadonlyMap<GenerationRequest, readonly SharedBlock[]>;
  #prompts: ActivePrompt[] = [];
  #sequences: Sequence[] = [];
  readonly #draws: Draws<Sequence>;
  readonly #passes: DecodePasses;
  /** Rows of the last pass, as they are laid out. */
  #laid: readonly Sequence[] = [];

  constructor(
    sampler: Sampler,
    cache: Cache,
    setup: { queue: readonly GenerationRequest[]; options: GenerateOptions },
  ) {
    this.#sampler = sampler;
    this.#cache = cache;
    this.#options = setup.options;
    this.#stop = new Set(setup.options.stopIds);
    this.#draws = new Draws(sampler.embedding.device);
    this.#passes = openPasses({ sampler, cache, choice: setup.options }, setup.options);
    this.#queue = [...setup.queue].reverse();
    const limit = longAfter(sampler.config);
    const prompts = setup.queue.map((request) => {
      const { promptIds } = request;
      return { request, promptIds, kind: promptIds.length > limit ? 'long' : 'short' };
    });
    this.#sharedBlocks = new Map([...sharedBlocks(prompts)].map(([{ request }, blocks]) => [request, blocks]));
  }

  get busy(): boolean {
    return this.#queue.length > 0 || this.#prompts.length > 0;
  }

  /** Sequences that may still be started. */
  get #room(): number {
    return this.#options.batchSize - this.#sequences.length;
  }

  dispose(): void {
    for (const prompt of this.#prompts) prompt.logits?.dispose();
    this.#draws.dispose();
    this.#passes.dispose();
  }

  /**
   * Admits what fits; where nothing does, runs one token of every running sequence, of as many as there can be: a token costs most in
   * a small batch. Gives out what ended, as far as that is known.
   */
  pass(): GeneratedResponse[] {
    const isGoingOn = this.#admit() || this.#decode();
    // Where nothing is left to draw, nothing is late.
    const finished = this.#hear(isGoingOn ? 'not the latest' : 'all');
    this.#retire();
    return finished;
  }

  /** Runs the newest token of each sequence that is not as long as it may be, and draws the next one. Says whether there were any. */
  #decode(): boolean {
    const rows = this.#sequences.filter(({ drawn, limit }) => drawn < limit);
    if (rows.length === 0) return false;
    scope('decode', () => {
      this.#layOut(rows);
      this.#add(rows, this.#passes.run(this.#draws.takeNewest(rows)));
    });
    return true;
  }

  /** Counts the rows of the last pass on, or lays rows out anew where some came or went, or one needed a page. */
  #layOut(rows: readonly Sequence[]): void {
    const { pages } = this.#cache;
    const inNeed = rows.filter((row) => row.pages.length < pagesFor(row.drawn));
    for (const row of inNeed)
      row.pages.push(...pages.take(Math.min(PAGES_AT_ONCE, pagesFor(row.limit) - row.pages.length)));
    const areSame = this.#laid.length === rows.length && rows.every((row, i) => row === this.#laid[i]);
    if (areSame && inNeed.length === 0) {
      this.#passes.advance(rows.some(({ drawn }) => (drawn - 1) % PAGE_TOKENS === 0));
      return;
    }
    this.#passes.lay(
      rows.map(({ prompt, pages: own, drawn, key }) => ({
        prompt: { pages: prompt.pages, length: prompt.request.promptIds.length },
        pages: own,
        position: drawn - 1,
        key,
      })),
    );
    this.#laid = rows;
  }

  /**
   * Starts waiting samples while there is room, prompts already prefilled first, then new ones, and draws their first tokens. Says
   * whether any started.
   */
  #admit(): boolean {
    this.#prefillNew();
    const room = this.#room;
    const started: Sequence[] = [];
    for (const prompt of this.#prompts) {
      while (prompt.waiting.length > 0 && started.length < room) {
        const sample = prompt.waiting.shift();
        if (sample === undefined) break;
        const positions = this.#sampler.config.maxPositions - prompt.request.promptIds.length;
        const limit = Math.min(this.#options.maxNewTokens, positions);
        const fresh = { pages: [], drawn: 0, tokenIds: [], tokenLogProbs: [], hasEnded: false };
        started.push({ prompt, ...sample, limit, ...fresh });
        prompt.running += 1;
      }
    }
    if (started.length === 0) return false;
    this.#sequences.push(...started);
    scope('first tokens', () => {
      // All samples of a prompt draw their first token from the same logits.
      const logits = started.flatMap(({ prompt }) => prompt.logits ?? []);
      const keys = started.map(({ key }) => key);
      const uniforms_B = firstUniforms(keys, this.#sampler.embedding.device);
      this.#add(started, drawTokens(this.#options, cat(logits), uniforms_B));
    });
    return true;
  }

  /** Prefills prompts from the queue until there is enough to do. */
  #prefillNew(): void {
    let waiting = this.#prompts.reduce((sum, prompt) => sum + prompt.waiting.length, 0);
    const fresh: { prompt: ActivePrompt; known: number; blocks: readonly SharedBlock[] }[] = [];
    const postponed: GenerationRequest[] = [];
    const underWay = new Set<SharedBlock>();
    let tokens = 0;
    const enough = prefillTokens(this.#sampler.embedding.device);
    while (waiting < this.#room && tokens < enough) {
      const request = this.#queue.pop();
      if (request === undefined) break;
      const blocks = this.#sharedBlocks.get(request) ?? [];
      const known = knownBlocks(blocks);
      const missing = blocks.slice(known.length);
      // What another prompt of this pass computes will be there in the next.
      if (missing.some((block) => underWay.has(block))) {
        postponed.push(request);
        continue;
      }
      for (const block of missing) underWay.add(block);
      const shared = pagesOf(known);
      this.#cache.pages.share(shared);
      const pages = [...shared, ...this.#cache.pages.take(pagesFor(request.promptIds.length) - shared.length)];
      const prompt = { request, pages, logits: null, waiting: [...request.samples], running: 0 };
      fresh.push({ prompt, known: known.length * BLOCK_TOKENS, blocks });
      waiting += request.samples.length;
      tokens += request.promptIds.length - known.length * BLOCK_TOKENS;
    }
    this.#queue.push(...postponed.reverse());
    if (fresh.length === 0) return;
    // Before their logits are made, so that dispose() finds those of a prefill that failed half-way.
    this.#prompts.push(...fresh.map(({ prompt }) => prompt));
    scope('prefill', () => {
      const logits = prefill(
        this.#sampler,
        this.#cache,
        fresh.map(({ prompt: { request, pages }, known }) => ({ ids: request.promptIds, pages, known })),
      );
      fresh.forEach(({ prompt }, i) => {
        prompt.logits = outlive(index_select(logits, 0, int64([i], { device: logits.device })));
      });
    });
    for (const { prompt, blocks } of fresh) settleBlocks(blocks, prompt.pages, this.#cache.pages);
  }

  #add(sequences: readonly Sequence[], drawn: Drawn): void {
    this.#draws.add(sequences, drawn);
    for (const sequence of sequences) sequence.drawn += 1;
  }

  /** Hears what was drawn, draw by draw. */
  #hear(which: 'all' | 'not the latest'): GeneratedResponse[] {
    return this.#draws.hear(which).flatMap((heard) => this.#settle(heard));
  }

  /** Puts the tokens of a draw to their sequences, and gives out those that ended with them. */
  #settle(heard: readonly HeardToken<Sequence>[]): GeneratedResponse[] {
    // A token that was drawn before the end of its sequence was known is one too many.
    const wanted = heard.filter(({ sequence }) => !sequence.hasEnded);
    if (wanted.length > 0) this.#options.onTokens?.(wanted.length);
    const drawn = wanted.map(({ sequence, token, logProb }) => {
      const isEnd = this.#stop.has(token);
      sequence.tokenLogProbs.push(logProb);
      if (!isEnd) sequence.tokenIds.push(token);
      return { sequence, endId: isEnd ? token : null };
    });
    const goingOn = drawn.filter(({ endId }) => endId === null).map(({ sequence }) => sequence);
    const areComplete =
      goingOn.length === 0 ? [] : this.#options.areComplete?.(goingOn.map(({ tokenIds }) => tokenIds));
    const complete = new Set(goingOn.filter((_, i) => areComplete?.[i] === true));
    return drawn.flatMap(({ sequence, endId }) => {
      const stopped = endId !== null || complete.has(sequence);
      if (!stopped && sequence.tokenIds.length < sequence.limit) return [];
      return [this.#end(sequence, { endId, finish: stopped ? 'stop' : 'length' })];
    });
  }

  #end(sequence: Sequence, how: Pick<GeneratedResponse, 'endId' | 'finish'>): GeneratedResponse {
    sequence.hasEnded = true;
    sequence.prompt.running -= 1;
    this.#cache.pages.give(sequence.pages);
    this.#sequences = this.#sequences.filter((each) => each !== sequence);
    const { prompt, sampleIndex, tokenIds, tokenLogProbs } = sequence;
    const logProb = tokenLogProbs.reduce((sum, value) => sum + value, 0);
    return { promptId: prompt.request.promptId, sampleIndex, tokenIds, tokenLogProbs, logProb, ...how };
  }

  /** Gives back the pages of prompts whose samples are all done. */
  #retire(): void {
    this.#prompts = this.#prompts.filter((prompt) => {
      if (prompt.running > 0 || prompt.waiting.length > 0) return true;
      prompt.logits?.dispose();
      this.#cache.pages.give(prompt.pages);
      return false;
    });
  }
}
