/**
 * @file All ranks answer a benchmark's questions. An answer is the same whichever rank gives it, and rank 0 keeps the
 * answers as they come.
 */
import type { Answered, AnswerRequest, AnswerSettings, ChoiceRequest } from '../../evaluate/benchmarks/requests.ts';
import { type OpenRespondent, openRespondent, type RespondentOptions } from '../../evaluate/benchmarks/respondent.ts';
import { QUESTIONS_AT_ONCE, type Respondent } from '../../evaluate/benchmarks/run.ts';
import type { SharedWork, Team } from '../../ranks/team.ts';

/** Who answers, and how. */
interface AnsweringSetting {
  modelDirectory: string;
  options: RespondentOptions;
  /** How texts are generated; null where choices are scored. */
  generation: Omit<AnswerSettings, 'signal'> | null;
}

type Request = ChoiceRequest | AnswerRequest;

/** Answering as work on questions. */
export const answeringWork: SharedWork<AnsweringSetting, Request, Answered<number[]> | Answered<string>> = {
  name: 'answer benchmarks',
  async *run({ modelDirectory, options, generation }, requests, { signal }) {
    if (requests.length === 0) return;
    const respondent = await openRespondent(modelDirectory, options);
    try {
      if (generation !== null) {
        yield* respondent.generateAnswers(requests, { ...generation, signal });
        return;
      }
      const choices = requests.filter((request): request is ChoiceRequest => 'continuations' in request);
      for (let start = 0; start < choices.length; start += QUESTIONS_AT_ONCE) {
        for await (const answer of respondent.scoreChoices(choices.slice(start, start + QUESTIONS_AT_ONCE))) {
          yield answer;
          signal?.throwIfAborted();
        }
      }
    } finally {
      respondent.dispose();
    }
  },
};

/** A model whose answers all ranks of a team give. */
export async function openSharedRespondent(
  modelDirectory: string,
  { options, team, signal }: { options: RespondentOptions; team: Team; signal: AbortSignal | undefined },
): Promise<OpenRespondent> {
  const alone = await openRespondent(modelDirectory, options);
  if (team.group.size === 1) return alone;
  const share = <Value extends number[] | string>(
    requests: readonly Request[],
    generation: AnsweringSetting['generation'],
  ): AsyncIterable<Answered<Value>> =>
    // Questions with choices have numbers for answers, others texts.
    team.share(answeringWork, { modelDirectory, options, generation }, requests, signal) as AsyncIterable<
      Answered<Value>
    >;
  const shared: Respondent = {
    identity: alone.identity,
    questionsAtOnce: Number.POSITIVE_INFINITY,
    scoreChoices: (requests) => share<number[]>(requests, null),
    generateAnswers: (requests, { stops, maxNewTokens }) => share<string>(requests, { stops, maxNewTokens }),
  };
  return { ...shared, dispose: alone.dispose };
}
