/** @file `rank()`: any ranker of a recipe on a program's own responses. */
import { sha256 } from '../files/hash.ts';
import { openRanker } from '../rank/open.ts';
import type { RankItem, Ranking } from '../rank/ranker.ts';
import { memoryAnswers } from '../rank/services.ts';
import { loadRanker } from '../recipe/load.ts';
import type { RecipeInput } from '../recipe/schema.ts';
import type { Prompt } from '../text/rendering.ts';
import { chooseDevice } from '../torch/device.ts';

/** One prompt and the responses that compete for it. */
export interface RankRow {
  prompt: string | Prompt;
  responses: readonly string[];
}

/** Options of `rank`. */
export interface RankOptions {
  /** What a recipe's `ranker` section holds. Paths are relative to the current directory. */
  ranker: RecipeInput['ranker'];
  /** Aborting it ends the ranking with its reason. */
  signal?: AbortSignal | undefined;
  /** Where PairRM or a reward model computes: `cpu`, `cuda`, `cuda:1` ..., or `auto`: a GPU that works, else the CPU. @default 'cpu' */
  device?: string;
  /** Hears what a person should know and nothing fails of. @default nobody does */
  warn?: (text: string) => void;
}

/**
 * Ranks rows as they come; verdicts are in the order of the rows. A judge's answers are kept for this call only.
 * Throws RankerError, RecipeError for settings that no ranker has, or EngineError for a device that cannot compute.
 */
export async function* rank(
  rows: Iterable<RankRow> | AsyncIterable<RankRow>,
  { ranker: given, signal, device: wanted = 'cpu', warn }: RankOptions,
): AsyncGenerator<Ranking> {
  const settings = loadRanker(given);
  const { device } = chooseDevice({ device: wanted, dtypes: 'dtype' in settings ? [settings.dtype] : [] });
  const answers = memoryAnswers();
  const ranker = await openRanker(settings, {
    answers: () => answers,
    signal,
    device,
    ...(warn === undefined ? {} : { warn }),
  });
  try {
    for await (const ranking of ranker.rank(itemsOf(rows))) {
      signal?.throwIfAborted();
      yield ranking;
    }
  } finally {
    await ranker.close();
  }
}

async function* itemsOf(rows: Iterable<RankRow> | AsyncIterable<RankRow>): AsyncGenerator<RankItem> {
  for await (const { prompt: given, responses } of rows) {
    const prompt: Prompt = typeof given === 'string' ? { kind: 'text', text: given } : given;
    const candidates = responses.map((text, sampleIndex) => ({ kind: 'response' as const, sampleIndex, text }));
    yield { promptId: sha256(JSON.stringify(prompt)), prompt, candidates };
  }
}
