/** @file Pages of pairs and their lineage, and what the policy answered to a prompt from iteration to iteration. */
import type { PreferenceRow } from '../data/rows.ts';
import { RunError } from '../errors.ts';
import type { LedgerViews, PairQuery } from '../store/ledger-views.ts';
import { evaluationsOf } from '../store/measured.ts';
import { shownPrompt } from '../text/shown.ts';
import type { PairDetail, PairPage, PromptPage, PromptSamples, SampleSource } from './api.ts';

/** Characters of a prompt in a list. */
const EXCERPT = 400;

/** A page of the pairs that a query finds. */
export function pairPage(views: LedgerViews, query: PairQuery): PairPage {
  const { total, pairs } = views.pairs(query);
  return {
    total,
    offset: query.offset,
    pairs: pairs.map(({ row, rankerId: _, promptId: __, ...pair }) => ({ ...pair, prompt: excerpt(row) })),
  };
}

/** Where a pair comes from. Throws RunError STUDIO_PAIR_UNKNOWN. */
export function pairDetail({ ledger }: LedgerViews, pairId: string): PairDetail {
  const lineage = ledger.pairLineage(pairId);
  if (lineage === null) {
    throw new RunError(
      'STUDIO_PAIR_UNKNOWN',
      `Cannot show pair "${pairId.slice(0, 100)}": the run has none with that id (any more): go back to its pairs`,
    );
  }
  const { pair, responses, rankings } = lineage;
  const [sample] = responses;
  const keys = new Set(rankings.flatMap(({ judgements = [] }) => judgements.map(({ answerKey }) => answerKey)));
  return {
    pairId: pair.pairId,
    iteration: pair.iteration,
    promptId: pair.promptId,
    prompt: promptOf(ledger.row(pair.promptId)),
    source: pair.source,
    rankerId: pair.rankerId,
    chosen: pair.chosen,
    rejected: pair.rejected,
    response: pair.response,
    label: pair.label,
    chosenFrom: pair.chosenFrom,
    rejectedFrom: pair.rejectedFrom,
    sampler: sample === undefined ? null : { sha256: sample.samplerSha256, seed: sample.seed },
    responses: responses.map(({ sampleIndex, tokenIds, logProb, finish }) => ({
      sampleIndex,
      tokens: tokenIds.length,
      logProb,
      finish,
    })),
    rankings: rankings.map(({ iteration: _, promptId: __, ...ranking }) => ranking),
    answers: [...keys].flatMap((key) => ledger.answers.all(key).map((answer) => ({ key, ...answer }))),
  };
}

/** A page of prompts whose answers can be looked at. */
export function promptPage(
  views: LedgerViews,
  { source, search, offset, limit }: { source: SampleSource; search: string; offset: number; limit: number },
): PromptPage {
  if (source === 'training') {
    const { total, prompts } = views.askedPrompts({ search, offset, limit });
    return { total, offset, prompts: prompts.map(({ row, ...each }) => ({ ...each, prompt: excerpt(row) })) };
  }
  const found = new Map<string, { prompt: string; iterations: number[] }>();
  for (const [iteration, { answers }] of evaluationsOf(views.ledger)) {
    for (const { promptId, prompt } of answers) {
      const known = found.get(promptId) ?? { prompt, iterations: [] };
      if (known.iterations.at(-1) !== iteration) known.iterations.push(iteration);
      found.set(promptId, known);
    }
  }
  const wanted = search.toLowerCase();
  const matching = [...found].filter(
    ([promptId, { prompt }]) => promptId.toLowerCase().includes(wanted) || prompt.toLowerCase().includes(wanted),
  );
  const page = matching.slice(offset, offset + limit);
  return {
    total: matching.length,
    offset,
    prompts: page.map(([promptId, { prompt, iterations }]) => ({
      promptId,
      prompt: prompt.slice(0, EXCERPT),
      iterations,
    })),
  };
}

/** What the policy answered to a prompt, with its scores. */
export function promptSamples(
  views: LedgerViews,
  { source, promptId }: { source: SampleSource; promptId: string },
): PromptSamples {
  return source === 'held-out' ? heldOutSamples(views, promptId) : trainingSamples(views, promptId);
}

function heldOutSamples({ ledger }: LedgerViews, promptId: string): PromptSamples {
  let prompt: string | null = null;
  const iterations = [...evaluationsOf(ledger)].flatMap(([iteration, { answers, data }]) => {
    const samples = answers.flatMap((answer, index) => {
      if (answer.promptId !== promptId) return [];
      prompt = answer.prompt;
      return [{ text: answer.text, score: finite(data.rewards[index]) }];
    });
    return samples.length === 0 ? [] : [{ iteration, samples }];
  });
  return { promptId, prompt, iterations };
}

function trainingSamples(views: LedgerViews, promptId: string): PromptSamples {
  const verdicts = views.verdictsOn(promptId);
  const scoreOf = (iteration: number, sampleIndex: number): number | null => {
    for (const { iteration: of, candidates, scores } of verdicts) {
      const place = candidates.findIndex((each) => each.kind === 'response' && each.sampleIndex === sampleIndex);
      if (of === iteration && place >= 0 && scores !== null) return finite(scores[place]);
    }
    return null;
  };
  const answers = views.answersTo(promptId);
  const iterations = [...new Set(answers.map(({ iteration }) => iteration))].map((iteration) => ({
    iteration,
    samples: answers
      .filter((answer) => answer.iteration === iteration)
      .map(({ text, sampleIndex }) => ({ text, score: scoreOf(iteration, sampleIndex) })),
  }));
  return { promptId, prompt: promptOf(views.ledger.row(promptId)), iterations };
}

function promptOf(row: PreferenceRow | null): string | null {
  return row === null ? null : shownPrompt(row.prompt);
}

function excerpt(row: PreferenceRow | null): string | null {
  return promptOf(row)?.slice(0, EXCERPT) ?? null;
}

function finite(value: number | undefined): number | null {
  return Number.isFinite(value) ? (value ?? null) : null;
}
