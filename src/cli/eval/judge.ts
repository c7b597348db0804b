/** @file A judge for `selm eval`: the judge ranker under a protocol's settings, with its answers kept in a file of their own. */
import { openAnswerFile } from '../../rank/answer-file.ts';
import { openRanker } from '../../rank/open.ts';
import type { Ranker } from '../../rank/ranker.ts';
import { type AnswerStore, memoryAnswers } from '../../rank/services.ts';
import { loadRanker } from '../../recipe/load.ts';

export interface EvalJudgeOptions {
  /** As its server knows it. */
  judge: string;
  /** Changes of settings: `ranker.baseUrl=...`. */
  set: string[];
  /** File of its answers; without one they are forgotten. */
  answers?: string;
}

/** Judges of one command; closing closes them and the file of answers. */
export interface EvalJudges {
  answers: AnswerStore;
  /** Opens the judge under a protocol's own settings. What it does not answer is dropped and named. Throws RecipeError. */
  open(protocol: { temperature: number; maxTokens: number; ask: Record<string, unknown> }): Promise<Ranker>;
  close(): Promise<void>;
}

/** Opens the place of the answers; RankerError for a file of something else. */
export function openEvalJudge(
  { judge, set, answers }: EvalJudgeOptions,
  { signal, say }: { signal: AbortSignal; say: (text: string) => void },
): EvalJudges {
  const kept = answers === undefined ? null : openAnswerFile(answers);
  if (kept === null) say('The answers of the judge are not kept: --answers FILE keeps them');
  const store = kept ?? memoryAnswers();
  const opened: Ranker[] = [];
  return {
    answers: store,
    async open(protocol) {
      const settings = loadRanker({ kind: 'judge', model: judge, onError: 'drop', ...protocol }, { overrides: set });
      const services = { answers: () => store, signal, warn: (text: string) => say(`warning: ${text}`) };
      const ranker = await openRanker(settings, services);
      opened.push(ranker);
      return ranker;
    },
    async close() {
      for (const ranker of opened) await ranker.close();
      kept?.close();
    },
  };
}
