/** @file A model that answers prompts: greedily, by the sampler, with stop texts as lm-evaluation-harness has them. */
import { DataError } from '../../errors.ts';
import type { ModelConfig } from '../../model/config.ts';
import { randomKey } from '../../random.ts';
import { generate } from '../../sample/generate.ts';
import type { Sampler } from '../../sample/sampler.ts';
import type { Tokenizer } from '../../text/tokenizer/tokenizer.ts';
import { encodeAsHarness } from './encoding.ts';
import type { Answered, AnswerRequest, AnswerSettings } from './requests.ts';

export interface AnsweringModel {
  sampler: Sampler;
  tokenizer: Tokenizer;
  /** Sequences at once. */
  batchSize: number;
}

/** Tokens at the end of an answer that are looked through for a stop text: more than the longest has. */
const STOP_WINDOW = 24;

/** Positions that are left for a prompt and its examples. DataError CONTEXT_TOO_SHORT where there are none. */
export function answerRoom({ maxPositions }: Pick<ModelConfig, 'maxPositions'>, maxNewTokens: number): number {
  if (maxPositions > maxNewTokens) return maxPositions - maxNewTokens;
  throw new DataError(
    'CONTEXT_TOO_SHORT',
    `Cannot ask the model: answers may have ${maxNewTokens} tokens, and it has ${maxPositions} positions: leave out benchmarks that generate`,
    { details: { maxNewTokens, maxPositions } },
  );
}

/** Greedy answers, each when it is finished. DataError CONTEXT_TOO_SHORT where the model has no room for any answer. */
export async function* generateAnswers(
  { sampler, tokenizer, batchSize }: AnsweringModel,
  requests: readonly AnswerRequest[],
  { stops, maxNewTokens, signal }: AnswerSettings,
): AsyncGenerator<Answered<string>> {
  const room = answerRoom(sampler.config, maxNewTokens);
  const cuts = new Map<string, number>();
  const ids = encodeAsHarness(
    tokenizer,
    requests.map(({ context }) => context),
  );
  const asked = requests.map(({ id }, place) => {
    const all = ids[place] ?? [];
    cuts.set(id, Math.max(0, all.length - room));
    // Greedy decoding draws nothing.
    return { promptId: id, promptIds: all.slice(-room), samples: [{ sampleIndex: 0, key: randomKey(0, id) }] };
  });
  const areComplete = (responses: readonly (readonly number[])[]): boolean[] =>
    tokenizer
      .decodeBatch(responses.map((each) => each.slice(-STOP_WINDOW)))
      .map((text) => stops.some((stop) => text.includes(stop)));
  const settings = {
    temperature: 0,
    topP: 1,
    topK: 0,
    maxNewTokens,
    stopIds: tokenizer.stopIds,
    areComplete,
    batchSize,
    signal,
  };
  for await (const { promptId, tokenIds } of generate(sampler, asked, settings)) {
    const text = stops.reduce((before, stop) => before.split(stop, 1)[0] ?? '', tokenizer.decode(tokenIds));
    yield { kind: 'answered', id: promptId, value: text, cut: cuts.get(promptId) ?? 0 };
  }
}
