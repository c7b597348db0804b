/** @file Collects a report from the ledgers of a run and of its twin: raw numbers only, statistics are the report's. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describeRanker } from '../rank/open.ts';
import { ruleNeeds } from '../rank/pairing.ts';
import type { CandidateKind } from '../rank/ranker.ts';
import { examplesText } from '../recipe/objective.ts';
import type { Recipe } from '../recipe/schema.ts';
import { type Evaluation, type EvaluationData, onCommonPrompts } from '../store/evaluations.ts';
import { type Ledger, openLedger } from '../store/ledger.ts';
import type { StoredPair } from '../store/ledger-rows.ts';
import { evaluationsOf, lengthControlOf, measuredScores } from '../store/measured.ts';
import { firstRankings } from '../store/opinions.ts';
import { readRunConfig } from '../store/run-config.ts';
import { describeState, runState } from '../store/run-state.ts';
import { opinionsOf } from './collect-rankers.ts';
import type {
  ExampleReport,
  ExplorationReport,
  Fact,
  MethodReport,
  PairCounts,
  ReportData,
  TrainingPoint,
} from './report-data.ts';
import { trainingBySource } from './sources-section.ts';

const EXAMPLES = 3;

interface MethodLedger {
  name: string;
  recipe: Recipe;
  ledger: Ledger;
  /** By iteration, on the prompts that all methods have. */
  evaluations: ReadonlyMap<number, Evaluation>;
}

/** The report of a run, at any time; `twin` is its alpha = 0 twin, if it has one. Throws RunError where there is no run. */
export function collectReport(recipe: Recipe, twin: Recipe | null): ReportData {
  const recipes = [recipe, ...(twin !== null && existsSync(join(twin.output, 'run.db')) ? [twin] : [])];
  const ledgers = recipes.map((each) => ({
    name: each === twin ? 'alpha = 0 twin' : methodName(each),
    recipe: each,
    ledger: openLedger(join(each.output, 'run.db'), { access: 'read' }),
  }));
  try {
    const { runs, leftOut } = onCommonPrompts(ledgers.map(({ ledger }) => evaluationsOf(ledger)));
    const opened = ledgers.map((each, index) => ({ ...each, evaluations: runs[index] ?? new Map() }));
    const [main] = opened;
    if (main === undefined) throw new Error('A report is of at least one run');
    const measured = main.evaluations.get(0);
    const base = measured !== undefined && measured.data.promptIds.length > 0 ? measured : null;
    return {
      formatVersion: 1,
      name: recipe.name,
      title: recipe.evaluate.title,
      createdAt: new Date().toISOString(),
      command: null,
      rewardName: base?.rewardName ?? describeRanker(recipe.ranker),
      rewardRange: null,
      state: describeState(runState(recipe.output, recipe, main.ledger), recipe),
      base: base?.data ?? null,
      best: recipe.evaluate.keepBest === null ? null : (main.ledger.records('best').at(-1)?.record ?? null),
      opinions: opinionsOf(recipe, main.ledger),
      methods: opened.map((each) => methodOf(each)),
      examples: base === null ? [] : examplesOf(base, opened),
      settings: settingsOf(recipe),
      machine: machineOf(recipe),
      seeds: [{ label: 'Seed', value: String(recipe.seed) }],
      statisticsSeed: recipe.seed,
      timings: opened.flatMap(timingsOf),
      peakMemoryBytes: peakOf(opened),
      audit: auditOf(main.ledger),
      notes: notesOf(recipe, leftOut),
    };
  } finally {
    for (const { ledger } of ledgers) ledger.close();
  }
}

/** What a method is called in legends: by its exploration term, or without one by its preference loss. */
function methodName({ objective }: Recipe): string {
  switch (objective.exploration.kind) {
    case 'selm':
      return [objective.exploration.alpha].flat().every((alpha) => alpha === 0) ? 'iterative DPO' : 'SELM';
    case 'xpo':
      return 'XPO';
    case 'popo':
      return 'POPO';
    case 'held':
      return 'SELM, held';
    case 'vpo':
      return 'VPO';
    case 'none':
      return objective.preference.kind.toUpperCase();
  }
}

function methodOf({ name, recipe, ledger, evaluations }: MethodLedger): MethodReport {
  const { exploration, preference } = recipe.objective;
  const alpha = exploration.kind === 'none' ? 'no optimism term' : `alpha = ${exploration.alpha}`;
  const iterations: { iteration: number; evaluation: EvaluationData }[] = [...evaluations]
    .filter(([iteration]) => iteration > 0)
    .map(([iteration, { data }]) => ({ iteration, evaluation: data }));
  return {
    name,
    description: `${preference.kind}, beta = ${preference.beta}, ${alpha}`,
    iterations,
    training: trainingOf(ledger),
    sources: trainingBySource(ledger.metrics()),
    pairs: pairsOf(recipe, ledger),
    exploration: explorationOf(recipe, ledger),
    benchmarks: [...measuredScores(ledger)].map(([iteration, scores]) => ({ iteration, scores })),
    lengthControl: lengthControlOf(ledger),
  };
}

function trainingOf(ledger: Ledger): TrainingPoint[] {
  return ledger
    .metrics()
    .filter(({ stage }) => stage === 'train')
    .map(({ iteration, step, values }) => ({
      iteration,
      step: step + 1,
      loss: values.loss ?? Number.NaN,
      margin: values['rewards/margins'] ?? Number.NaN,
      accuracy: values['rewards/accuracies'] ?? Number.NaN,
      learningRate: values.lr ?? Number.NaN,
      rewardChosen: values['rewards/chosen'] ?? null,
      gradientNorm: values.grad_norm ?? null,
    }));
}

function pairsOf(recipe: Recipe, ledger: Ledger): PairCounts[] {
  const counts = new Map(ledger.records('pair-counts').map(({ iteration, record }) => [iteration, record]));
  return Array.from({ length: recipe.iterations }, (_, i) => i + 1).flatMap((iteration) => {
    const pairs = ledger.pairs(iteration);
    if (pairs.length === 0) return [];
    const countsOf = (side: 'chosenFrom' | 'rejectedFrom', kind: CandidateKind): number =>
      pairs.filter((pair) => pair[side].kind === kind).length;
    const byKind = (side: 'chosenFrom' | 'rejectedFrom') => ({
      response: countsOf(side, 'response'),
      chosen: countsOf(side, 'chosen'),
      rejected: countsOf(side, 'rejected'),
    });
    const edit = countsOf('chosenFrom', 'edit');
    const chosenFrom = { ...byKind('chosenFrom'), ...(edit === 0 ? {} : { edit }) };
    const rejectedFrom = byKind('rejectedFrom');
    // A run that began before shared places were counted knows only in which rankings there was a tie.
    const tied = firstRankings(ledger, iteration).filter((ranking) => ranking.ties.length > 0).length;
    const ties = counts.get(iteration)?.sharedPlaces ?? tied;
    const skipped = Object.entries(counts.get(iteration)?.skipped ?? {});
    return [
      {
        iteration,
        pairs: pairs.length,
        chosenFrom,
        rejectedFrom,
        ties,
        skipped: skipped.map(([reason, count]) => ({ reason, count })),
      },
    ];
  });
}

/** What became of y in each iteration, and what its measurement found. */
function explorationOf(recipe: Recipe, ledger: Ledger): ExplorationReport[] {
  if (!ruleNeeds(recipe.update).samples) return [];
  const measures = new Map(ledger.records('exploration').map(({ iteration, record }) => [iteration, record]));
  return Array.from({ length: recipe.iterations }, (_, i) => i + 1).flatMap((iteration) => {
    const prompts = new Set(ledger.responses(iteration).map(({ promptId }) => promptId));
    if (prompts.size === 0) return [];
    const fate = { chosen: 0, rejected: 0, between: 0, noPair: 0 };
    const first = new Map(ledger.pairs(iteration).map((pair) => [pair.promptId, pair]));
    for (const promptId of prompts) fate[fateOf(first.get(promptId))] += 1;
    const measure = measures.get(iteration);
    return [{ iteration, fate, logRatios: measure?.logRatios ?? [], gradient: measure?.gradient ?? null }];
  });
}

/** By its text: the sequence that is trained on is the same, whichever sample it was. */
function fateOf(pair: StoredPair | undefined): keyof ExplorationReport['fate'] {
  if (pair === undefined || pair.response === null) return 'noPair';
  if (pair.response === pair.chosen) return 'chosen';
  return pair.response === pair.rejected ? 'rejected' : 'between';
}

/** Three prompts, evenly spread, with the base's first answer and each method's last. */
function examplesOf(base: Evaluation, methods: readonly MethodLedger[]): ExampleReport[] {
  const prompts = [...new Map(base.answers.map((answer) => [answer.promptId, answer.prompt]))];
  const picked = Array.from(
    { length: Math.min(EXAMPLES, prompts.length) },
    (_, i) => prompts[Math.floor((i * prompts.length) / EXAMPLES)],
  );
  const lasts = methods.flatMap(({ name, evaluations }) => {
    const last = [...evaluations].sort(([a], [b]) => b - a)[0];
    return last === undefined || last[0] === 0 ? [] : [{ by: name, evaluation: last[1] }];
  });
  const answerOf = (evaluation: Evaluation, promptId: string, by: string) => {
    const index = evaluation.answers.findIndex((answer) => answer.promptId === promptId);
    return {
      by,
      text: evaluation.answers[index]?.text ?? '',
      reward: evaluation.data.rewards[index] ?? null,
      textHealth: evaluation.data.textHealth?.[index] ?? null,
    };
  };
  return picked.flatMap((each) => {
    if (each === undefined) return [];
    const [promptId, prompt] = each;
    const answers = [
      answerOf(base, promptId, 'base'),
      ...lasts.map(({ by, evaluation }) => answerOf(evaluation, promptId, by)),
    ];
    return [{ promptId, prompt, answers }];
  });
}

function settingsOf(recipe: Recipe): Fact[] {
  const { sampling, training, objective, slices } = recipe;
  const { preference, exploration } = objective;
  return [
    { label: 'Model', value: recipe.model },
    { label: 'Iterations', value: `${recipe.iterations}, ${slices.count} slices, reference ${recipe.reference}` },
    {
      label: 'Sampling',
      value: `${sampling.samples} a prompt, temperature ${temperaturesOf(sampling)}, at most ${sampling.maxNewTokens} tokens`,
    },
    {
      label: 'Objective',
      value: `${preference.kind}, beta ${preference.beta}, ${exploration.kind === 'none' ? 'no exploration' : `${exploration.kind}, alpha ${exploration.alpha}`}`,
    },
    {
      label: 'Training',
      value: `${training.batchSize} ${examplesText(preference)} a step, learning rate ${training.learningRate} (${training.cycle}, ${training.schedule}), ${training.dtype}`,
    },
    { label: 'Update rule', value: recipe.update },
  ];
}

function machineOf(recipe: Recipe): Fact[] {
  const environment = readRunConfig(recipe.output)?.environment;
  return Object.entries(environment ?? {}).map(([label, value]) => ({
    label,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }));
}

function timingsOf({ name, ledger }: MethodLedger): ReportData['timings'] {
  return ledger.stages
    .all()
    .flatMap(({ stage, iteration, seconds }) =>
      seconds === null ? [] : [{ stage, method: name, iteration, seconds }],
    );
}

function peakOf(methods: readonly MethodLedger[]): number | null {
  const peaks = methods.flatMap(({ ledger }) =>
    ledger.metrics().flatMap(({ values }) => values.peak_resident_bytes ?? []),
  );
  return peaks.length === 0 ? null : Math.max(...peaks);
}

function auditOf(ledger: Ledger): string {
  return ledger.record(0, 'data-audit')?.text ?? '';
}

/** The temperature of the responses, and where partners have another, theirs. */
function temperaturesOf({ temperature, partnerTemperature }: Recipe['sampling']): string {
  return partnerTemperature === null
    ? String(temperature)
    : `${temperature} (the first), ${partnerTemperature} (the others)`;
}

function notesOf(recipe: Recipe, leftOut: number): string[] {
  const notes: string[] = [];
  if (leftOut > 0) {
    notes.push(`${leftOut} held-out prompts are left out: the ranker gave no verdict on some policy's answer to them.`);
  }
  const { temperature, partnerTemperature } = recipe.sampling;
  if (temperature > 0 || partnerTemperature !== null) {
    notes.push(
      `Responses are sampled at temperature ${temperaturesOf(recipe.sampling)}; the authors' code decodes greedily.`,
    );
  }
  return notes;
}
