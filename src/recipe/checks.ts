/** @file Settings that are fine alone but impossible together. Pure; each problem names its field and its reason. */
import { isHubName, parseHubName } from '../hub/name.ts';
import { checkLicenses } from './licenses.ts';
import { checkMixture } from './mixture.ts';
import { learnsFromLabels } from './objective.ts';
import type { ParsedRecipe } from './schema.ts';
import { needsBeliefs, RULES_OF_DOUBT } from './select.ts';
import type { ParsedSftRecipe } from './sft.ts';

/** One thing wrong with a recipe. */
export interface RecipeProblem {
  /** `['training', 'cycle']`. */
  path: PropertyKey[];
  /** What is wrong, what is allowed, and how to mend it, after the name of the field. */
  problem: string;
}

/** Everything that cannot be meant, across fields. */
export function checkRecipe(recipe: ParsedRecipe): RecipeProblem[] {
  const problems: RecipeProblem[] = [];
  const report = (path: string, problem: string) => problems.push({ path: path.split('.'), problem });
  const { iterations, sft, text, training, objective, sampling, evaluate, slices, warmStart } = recipe;

  if (Array.isArray(training.cycle)) {
    if (training.cycle.length !== iterations) {
      report(
        'training.cycle',
        `lists ${training.cycle.length} learning rates for ${iterations} iterations: give one each iteration`,
      );
    } else if (warmStart === 'none' && training.cycle[0] !== training.learningRate) {
      report(
        'training.cycle',
        `begins with ${training.cycle[0]} but training.learningRate is ${training.learningRate}: make them equal (without a warm start the list is what counts)`,
      );
    }
  }
  const { exploration } = objective;
  if (sft !== null && sft.training.adapter.kind === 'lora' && training.adapter.kind === 'lora') {
    if (JSON.stringify(sft.training.adapter) !== JSON.stringify(training.adapter)) {
      report(
        'sft.training.adapter',
        'differs from training.adapter, which trains it further: make them equal, or set one of them to kind none',
      );
    }
  }
  const alpha = exploration.kind === 'none' ? null : exploration.alpha;
  if (Array.isArray(alpha) && alpha.length !== iterations) {
    report(
      'objective.exploration.alpha',
      `lists ${alpha.length} values for ${iterations} iterations: give one each iteration`,
    );
  }
  if (text.maxPromptLength >= text.maxLength) {
    report(
      'text.maxPromptLength',
      `is ${text.maxPromptLength}, which leaves no room for a response: allowed is below text.maxLength (${text.maxLength})`,
    );
  }
  const { partnerTemperature } = sampling;
  if (partnerTemperature !== null && sampling.samples === 1) {
    report(
      'sampling.partnerTemperature',
      `is ${partnerTemperature}, and sampling.samples is 1, which leaves no partner: set it to null, or samples to 2 or more`,
    );
  }
  for (const [section, { samples, temperature }] of [
    ['sampling', { ...sampling, temperature: partnerTemperature ?? sampling.temperature }],
    ['evaluate', evaluate],
  ] as const) {
    if (temperature === 0 && samples > 1) {
      report(
        `${section}.samples`,
        `is ${samples} at temperature 0, which gives the same response ${samples} times: set ${section}.temperature above 0 or ${section}.samples to 1`,
      );
    }
  }
  if (evaluate.prompts !== null && evaluate.holdOut > 0) {
    report(
      'evaluate.holdOut',
      `is ${evaluate.holdOut}, and evaluate.prompts is set: set it to 0, or evaluate.prompts to null`,
    );
  }
  problems.push(...checkMeasures(evaluate));
  const needed = iterations + (warmStart === 'dpo' ? 1 : 0);
  if (slices.count !== null && slices.count < needed && slices.reuse === 'never') {
    const start = warmStart === 'dpo' ? ' and the warm start' : '';
    report(
      'slices.count',
      `is ${slices.count}, too few for ${iterations} iterations${start}: set it to ${needed} or more, or slices.reuse to cycle`,
    );
  }
  if (slices.size !== null && slices.share !== null) {
    report('slices.share', `is ${slices.share} and slices.size is ${slices.size}: set one of them to null`);
  } else if (slices.share !== null && slices.reuse === 'never' && slices.share * needed > 1 + 1e-9) {
    report(
      'slices.share',
      `is ${slices.share}, and ${needed} slices of it are more than all rows: set it to 1/${needed} or less, or slices.reuse to cycle`,
    );
  }
  problems.push(...checkTraining(['training'], training));
  if (sft !== null) problems.push(...checkTraining(['sft', 'training'], sft.training));
  problems.push(...checkHubNames(recipe), ...furtherHubNames(recipe));
  problems.push(...checkMixture(recipe.data), ...checkLicenses(recipe.data, ['data']));
  if (sft !== null) problems.push(...checkLicenses(sft.data, ['sft', 'data']));
  const explores = Array.isArray(alpha) ? alpha.some((value) => value > 0) : alpha !== null && alpha > 0;
  if (evaluate.twin !== false && !explores && (recipe.rewardModel?.alpha ?? 0) === 0) {
    report(
      'evaluate.twin',
      `is ${evaluate.twin} but exploration is off, so the twin would be the same run: set it to false`,
    );
  }
  if (recipe.rewardModel !== null) {
    if (recipe.update === 'keep' || recipe.update === 'data-over-response')
      report('rewardModel', `is for rules that rank, and update is ${recipe.update}: set it to null`);
    if (recipe.secondOpinion !== null) report('rewardModel', 'and secondOpinion are both set: leave one of them out');
    const { labels } = recipe.rewardModel;
    if (labels === null && recipe.select === null)
      report('rewardModel.labels', 'is missing, and select is null: say how many prompts the ranker labels');
    if (labels !== null && recipe.select !== null)
      report('rewardModel.labels', `is ${labels}, and select says what the ranker labels: leave it out`);
    if (recipe.rewardModel.alpha > 0 && sampling.samples < 2)
      report(
        'rewardModel.alpha',
        `is ${recipe.rewardModel.alpha}, and one sample has no relative maximum: set sampling.samples to 2 or more, or it to 0`,
      );
  }
  if (explores && recipe.update === 'keep') {
    report(
      'update',
      'is keep, which samples nothing, and the exploration term needs a sample: set objective.exploration to {kind: none}, or choose another rule',
    );
  }
  if (exploration.kind === 'xpo' && explores) {
    if (sampling.referenceSamples === 0) {
      report('sampling.referenceSamples', 'is 0, and xpo explores away from a sample of the reference: set it to 1');
    }
    if (recipe.reference !== 'initial') {
      report(
        'reference',
        `is ${recipe.reference}, and xpo holds every iteration to the initial model: set it to initial`,
      );
    }
  }
  problems.push(
    ...checkLabels(recipe),
    ...checkExamples(recipe),
    ...checkPairWeights(recipe),
    ...checkSelect(recipe),
    ...checkUnasked(recipe),
    ...checkSampler(recipe),
  );
  const { secondOpinion, update } = recipe;
  if (['diverse', 'best-over-random', 'random'].includes(update) && sampling.samples < 2) {
    report(
      'sampling.samples',
      `is ${sampling.samples}, and update is ${update}, which pairs samples: set it to 2 or more`,
    );
  }
  if (secondOpinion !== null && (update === 'keep' || update === 'data-over-response')) {
    report('secondOpinion', `is set, and update is ${update}, which ranks nothing: set it to null`);
  } else if (
    secondOpinion !== null &&
    secondOpinion.share === 0 &&
    secondOpinion.doubtMargin === null &&
    secondOpinion.unasked === 'left-out'
  ) {
    report(
      'secondOpinion.share',
      'is 0 and secondOpinion.doubtMargin is null, so the second ranker would never be asked: set one of them',
    );
  }
  return problems;
}

/** Second opinions on what nobody leaves. */
function checkUnasked({ secondOpinion, select }: ParsedRecipe): RecipeProblem[] {
  if (secondOpinion?.unasked !== 'ranked' || select !== null) return [];
  const problem =
    'is ranked, and select is null, so that the first ranker is asked about everything: set it to left-out';
  return [{ path: ['secondOpinion', 'unasked'], problem }];
}

/** Selections that choose nothing, or by what nobody believes. */
function checkSelect({ select, update, rewardModel, secondOpinion }: ParsedRecipe): RecipeProblem[] {
  if (select === null) return [];
  const problems: RecipeProblem[] = [];
  const report = (path: string, problem: string) => problems.push({ path: path.split('.'), problem });
  const { prompts, answers, beliefs, rounds, otherwise } = select;
  if (update === 'keep' || update === 'data-over-response')
    report('select', `is set, and update is ${update}, which ranks nothing: set it to null`);
  if (update === 'replace' && answers !== 'all') {
    report(
      'select.answers',
      `is ${answers}, and update is replace, which needs the place of every answer: set it to all, or update to best-and-worst`,
    );
  }
  if (rewardModel !== null && otherwise !== null && beliefs !== 'otherwise') {
    report(
      'select.otherwise',
      'is set, and rewardModel ranks what the ranker is not asked about: set it to null, or select.beliefs to otherwise',
    );
  }
  if (secondOpinion !== null && otherwise !== null) {
    report(
      'select.otherwise',
      'is set beside secondOpinion, and a run has one second ranker: set it to null, with secondOpinion.unasked ranked if that one is to rank what is not asked about',
    );
  }
  const learns =
    beliefs === 'reward-model' ? needsBeliefs(select) : beliefs === 'otherwise' && prompts === 'calibration';
  if (rounds > 1 && !learns) {
    report(
      'select.rounds',
      `is ${rounds}, and answers teach nothing that decides what is asked: set it to 1, or select.beliefs to reward-model with an order or a rule that goes by it`,
    );
  }
  if (beliefs === 'otherwise' && otherwise === null)
    report('select.beliefs', 'is otherwise, and select.otherwise names no ranker: name one, or set it to policy');
  const doubtful = [
    ...(prompts === 'doubt' || prompts === 'information' ? [['select.prompts', prompts] as const] : []),
    ...(RULES_OF_DOUBT.has(answers) ? [['select.answers', answers] as const] : []),
  ];
  if (beliefs === 'reward-model') return problems;
  for (const [path, value] of doubtful) {
    report(
      path,
      `is ${value}, which goes by how little is known, and select.beliefs is ${beliefs}, which has no doubt: set select.beliefs to reward-model`,
    );
  }
  return problems;
}

/** Soft labels that nobody gives, or that would count twice. */
function checkLabels({ labels, update, objective: { preference } }: ParsedRecipe): RecipeProblem[] {
  if (labels === 'hard') return [];
  if (update === 'keep' || update === 'data-over-response')
    return [{ path: ['labels'], problem: `is soft, and update is ${update}, which ranks nothing: set it to hard` }];
  const isTwice = preference.kind === 'sppo' && preference.targets === 'ranker';
  if (!isTwice) return [];
  const problem =
    "is soft, and sppo takes the ranker's probabilities already: set it to hard, or objective.preference.targets to hard";
  return [{ path: ['labels'], problem }];
}

/** Training on labels of single texts, which only people give, and which have no pairs for what goes by pairs. */
function checkExamples({ ranker, labels, pairWeights, rewardModel, objective }: ParsedRecipe): RecipeProblem[] {
  const { preference, exploration, chosenLikelihood } = objective;
  if (!learnsFromLabels(preference)) return [];
  const path = ['objective', 'preference', 'examples'];
  const problems = [
    ...(ranker.kind === 'people' ? [] : [`ranker.kind is ${ranker.kind}: only people call a text good or bad`]),
    ...(exploration.kind === 'none' ? [] : [`objective.exploration.kind is ${exploration.kind}: set it to none`]),
    ...(chosenLikelihood === 0 ? [] : [`objective.chosenLikelihood is ${chosenLikelihood}: set it to 0`]),
    ...(labels === 'hard' ? [] : [`labels is ${labels}, which is about pairs: set it to hard`]),
    ...(pairWeights === 'equal' ? [] : [`pairWeights is ${pairWeights}: set it to equal`]),
    ...(rewardModel === null ? [] : ['rewardModel is set, and makes the pairs: leave it out']),
  ];
  return problems.map((problem) => ({ path, problem: `is labels, and ${problem}; or set it to pairs` }));
}

/** Weights by margin need the ranker's scores. */
function checkPairWeights({ pairWeights, update }: ParsedRecipe): RecipeProblem[] {
  if (pairWeights === 'equal' || (update !== 'keep' && update !== 'data-over-response')) return [];
  const problem = `is margin, and update is ${update}, which ranks nothing: set it to equal`;
  return [{ path: ['pairWeights'], problem }];
}

/** What a `training` section, of either kind of recipe, cannot mean. */
function checkTraining(
  path: PropertyKey[],
  training: Pick<ParsedRecipe['training'], 'sharding' | 'activations' | 'states' | 'dtype'>,
): RecipeProblem[] {
  return [...checkSharding(path, training), ...checkStates(path, training)];
}

/** bf16 masters are what products are computed with, so that no weight is there twice. */
function checkStates(
  path: PropertyKey[],
  { states, dtype }: Pick<ParsedRecipe['training'], 'states' | 'dtype'>,
): RecipeProblem[] {
  if (states !== 'bfloat16' || dtype === 'bfloat16') return [];
  const problem = `is bfloat16, and dtype is ${dtype}: set dtype to bfloat16, or states to float32`;
  return [{ path: [...path, 'states'], problem }];
}

/** A server that would have to sample what it cannot serve. */
function checkSampler({ sampler, iterations, update, warmStart, sft }: ParsedRecipe): RecipeProblem[] {
  if (sampler.kind === 'own') return [];
  if (update === 'keep')
    return [
      { path: ['sampler'], problem: `is ${sampler.kind}, and update is keep, which samples nothing: leave it out` },
    ];
  const isMoving = iterations > 1 || warmStart !== 'none' || sft !== null;
  if (sampler.kind !== 'openai' || sampler.reload !== null || !isMoving) return [];
  const problem =
    'is null, so that the server never gets a trained model: set it to a program that reloads the server, iterations to 1 without a warm start, or sampler.kind to vllm';
  return [{ path: ['sampler', 'reload'], problem }];
}

/** Weights that are gathered block by block cannot stay for the backward pass. */
function checkSharding(
  path: PropertyKey[],
  { sharding, activations }: Pick<ParsedRecipe['training'], 'sharding' | 'activations'>,
): RecipeProblem[] {
  if (sharding !== 'full' || activations !== 'keep') return [];
  const problem =
    'is full, which frees a block after its forward pass, and activations is keep, which needs it until its backward pass: set activations to recompute or auto, or sharding to optimiser';
  return [{ path: [...path, 'sharding'], problem }];
}

/** Measures that nothing measures. */
function checkMeasures({
  prompts,
  holdOut,
  benchmarks,
  judge,
  alpaca,
  mtBench,
  ...evaluate
}: ParsedRecipe['evaluate']): RecipeProblem[] {
  const named = [
    ...(benchmarks?.on ?? []).map((each) => (typeof each === 'string' ? each : each.name).replaceAll('-', '_')),
    ...(alpaca === null ? [] : ['alpaca_eval']),
    ...(mtBench === null ? [] : ['mt_bench']),
  ];
  const judged = [...(alpaca === null ? [] : ['alpaca']), ...(mtBench === null ? [] : ['mtBench'])];
  const missing: RecipeProblem[] =
    judge !== null || judged.length === 0
      ? []
      : [
          {
            path: ['evaluate', 'judge'],
            problem: `is missing, and evaluate.${judged.join(' and evaluate.')} ask a judge: set it to a section with model, baseUrl ...`,
          },
        ];
  const hasHeldOut = prompts !== null || holdOut > 0;
  const problemOf = (measure: string): string | null => {
    if (named.includes(measure.replaceAll('-', '_'))) return null;
    if (measure !== 'reward' && measure !== 'win-rate') {
      return `is ${measure}, which is not measured: allowed are reward, win-rate and what evaluate.benchmarks.on names${named.length === 0 ? '' : ` (${named.join(', ')})`}`;
    }
    if (hasHeldOut) return null;
    return `is ${measure}, and there are no held-out prompts: set evaluate.prompts or evaluate.holdOut`;
  };
  const measures = (
    [
      [['evaluate', 'keepBest'], evaluate.keepBest],
      [['evaluate', 'stopOnRegression', 'measure'], evaluate.stopOnRegression?.measure ?? null],
    ] as const
  ).flatMap(([path, measure]) => {
    const problem = measure === null ? null : problemOf(measure);
    return problem === null ? [] : [{ path: [...path], problem }];
  });
  return [...missing, ...measures];
}

/** Everything that cannot be meant in a recipe of fine-tuning alone. */
export function checkSftRecipe(recipe: ParsedSftRecipe): RecipeProblem[] {
  return [
    ...checkHubNames(recipe),
    ...checkLicenses(recipe.data, ['data']),
    ...checkTraining(['training'], recipe.training),
  ];
}

/** Names on the Hub in what every run has; other places are paths. */
function checkHubNames({ model, data }: Pick<ParsedSftRecipe, 'model' | 'data'>): RecipeProblem[] {
  return [...hubProblem(['model'], model, 'refused'), ...trainProblems(['data', 'train'], data.train)];
}

/** Those that only the recipes of `selm train` have. */
function furtherHubNames({ sft, evaluate, ranker, secondOpinion, select }: ParsedRecipe): RecipeProblem[] {
  const rankerProblem = (path: PropertyKey[], settings: ParsedRecipe['ranker'] | undefined): RecipeProblem[] =>
    settings !== undefined && 'model' in settings ? hubProblem([...path, 'model'], settings.model, 'refused') : [];
  return [
    ...(sft === null ? [] : trainProblems(['sft', 'data', 'train'], sft.data.train)),
    ...hubProblem(['evaluate', 'prompts'], evaluate.prompts ?? '', 'allowed'),
    ...rankerProblem(['ranker'], ranker),
    ...rankerProblem(['secondOpinion', 'ranker'], secondOpinion?.ranker),
    ...rankerProblem(['select', 'otherwise'], select?.otherwise ?? undefined),
  ];
}

function trainProblems(path: PropertyKey[], places: string | string[]): RecipeProblem[] {
  return Array.isArray(places)
    ? places.flatMap((place, i) => hubProblem([...path, i], place, 'allowed'))
    : hubProblem(path, places, 'allowed');
}

function hubProblem(path: PropertyKey[], place: string, part: 'allowed' | 'refused'): RecipeProblem[] {
  const name = isHubName(place) ? parseHubName(place, { part }) : null;
  return name !== null && 'problem' in name ? [{ path, problem: name.problem }] : [];
}
