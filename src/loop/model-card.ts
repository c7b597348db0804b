/**
 * @file The card beside a run's model: by which method it was made, from which data, with which settings, and what was
 * measured. Written after the iteration's measurement, outside the folder's manifest; the same run gives the same bytes.
 */
import { basename, join } from 'node:path';
import { stringify } from 'yaml';
import { mean } from '../evaluate/statistics.ts';
import { writeFileAtomic } from '../files/atomic.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { formatModelCard, licenceOf, licenceText, type ModelCard, markdownTable, modelName } from '../model/card.ts';
import { describeRanker } from '../rank/open.ts';
import { licensesOf } from '../recipe/licenses.ts';
import { learnsFromLabels } from '../recipe/objective.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Ledger } from '../store/ledger.ts';
import type { StoredMetric } from '../store/ledger-rows.ts';
import type { Run } from '../store/run-directory.ts';
import { isModelThere } from './lost-models.ts';

/** Writes README.md beside the model of an iteration; nothing where the model was deleted and is not needed any more. */
export function writeModelCard(run: Run, iteration: number): void {
  if (!isModelThere(run.modelPath(iteration))) return;
  writeFileAtomic(join(run.modelPath(iteration), 'README.md'), formatModelCard(cardOf(run, iteration)));
}

function cardOf({ recipe, local, config, ledger }: Run, iteration: number): ModelCard {
  const { training, objective } = recipe;
  const isAdapter = training.adapter.kind === 'lora';
  // Weights that came out of a fine-tuning of this run are those of its base for whoever gets the model.
  const start = isAdapter ? local.model : (local.sft?.model ?? local.model);
  const base = baseDirectory(start);
  const [baseModel, licence] = [modelName(base), licenceOf(base)];
  const made = iteration === 0 ? 'the warm start' : `iteration ${iteration} of ${recipe.iterations}`;
  const hub = (path: string): string[] => /^hub:([\w.-]+\/[\w.-]+)/.exec(path)?.slice(1, 2) ?? [];
  return {
    title: `${recipe.name}, ${made}`,
    baseModel,
    licence,
    library: isAdapter ? 'peft' : 'transformers',
    tags: [
      'selm',
      'preference-optimization',
      ...(objective.exploration.kind === 'none' ? [] : ['active-exploration']),
      objective.preference.kind,
      ...(isAdapter ? ['lora'] : []),
    ],
    datasets: [...new Set(recipe.data.train.flatMap(hub))],
    summary: `${isAdapter ? 'A LoRA adapter of' : 'A model trained from'} ${baseModel} by ${recipe.sft === null ? '' : 'supervised fine-tuning and '}online preference optimisation: ${made} of the run "${recipe.name}". Made with selm ${config.environment.selm}.`,
    sections: [
      { title: 'Method', text: methodText(recipe, iteration) },
      { title: 'Data', text: dataText(recipe, config.identity.data, ledger.pairs(iteration).length) },
      { title: 'Metrics', text: metricsText(ledger, iteration) },
      { title: 'Settings', text: settingsText(recipe) },
      { title: 'Licence', text: licenceText(baseModel, licence) },
    ],
  };
}

function methodText(recipe: Recipe, iteration: number): string {
  const { preference, exploration } = recipe.objective;
  const loss = `${preference.kind.toUpperCase()}${'beta' in preference ? ` with beta ${preference.beta}` : ''}`;
  if (iteration === 0) return `${loss} on the pairs of the data, nothing sampled: where the iterations start.`;
  const bonus =
    exploration.kind === 'none'
      ? 'without an exploration term'
      : `with the exploration term ${exploration.kind}, alpha ${JSON.stringify(exploration.alpha)}`;
  const learned = learnsFromLabels(preference)
    ? 'and trains on every text that they called good or bad, whether it is of a pair or not'
    : `makes pairs (${recipe.update}) and trains on them`;
  return [
    `Each iteration samples ${recipe.sampling.samples} ${recipe.sampling.samples === 1 ? 'response' : 'responses'} to every prompt of its slice, lets ${describeRanker(recipe.ranker)} rank them, ${learned}: ${loss}, ${bonus}.`,
    `The reference is the ${recipe.reference} model. Self-Exploring Language Models: https://arxiv.org/abs/2405.19332.`,
  ].join('\n');
}

function dataText(recipe: Recipe, digests: readonly { sha256: string }[], pairs: number): string {
  const licenses = licensesOf(recipe.data);
  const rows = recipe.data.train.map((path, i) => {
    const name = path.startsWith('hub:') ? path : basename(path);
    return [name, licenses[i] ?? '', digests[i]?.sha256 ?? ''];
  });
  return `${markdownTable(['file', 'licence', 'SHA-256'], rows)}\n\nPairs of this iteration: ${pairs}.`;
}

/** Metrics that say what training did; times and memory are left out, since they differ from machine to machine. */
const TRAINING = ['loss', 'rewards/accuracies', 'rewards/margins', 'rewards/chosen', 'rewards/rejected', 'grad_norm'];

function metricsText(ledger: Ledger, iteration: number): string {
  const steps = ledger.metrics().filter((metric) => metric.iteration === iteration && metric.stage === 'train');
  const at = (metric: StoredMetric | undefined, name: string): string => number(metric?.values[name]);
  const training = markdownTable(
    ['training', 'first step', `last step (${steps.length})`],
    TRAINING.map((name) => [name, at(steps[0], name), at(steps.at(-1), name)]),
  );
  const evaluations = ledger
    .records('evaluation')
    .filter((each) => each.iteration <= iteration)
    .map(({ record }) => record);
  const last = evaluations.at(-1);
  if (last === undefined) return `${training}\n\nNothing was measured on held-out prompts.`;
  const held = markdownTable(
    ['held-out prompts', 'mean reward', 'mean length in tokens', 'KL to the base in nats'],
    evaluations.map(({ name, data }) => [
      name,
      number(mean(data.rewards)),
      number(mean(data.lengths)),
      number(data.klToBase?.value),
    ]),
  );
  return `${training}\n\n${held}\n\nReward: ${last.rewardName}, on ${last.data.rewards.length} answers.${bestText(ledger, iteration)}`;
}

/** Which iteration was the best when this one was made. */
function bestText(ledger: Ledger, iteration: number): string {
  const best = ledger.record(iteration, 'best');
  if (best === null) return '';
  const which = best.iteration === iteration ? 'this one' : `iteration ${best.iteration}`;
  return `\n\nThe best of iterations 1 to ${iteration} by ${best.measure} is ${which}: ${number(best.value.value)} on ${best.value.count} items.`;
}

function number(value: number | undefined): string {
  return value === undefined || Number.isNaN(value) ? '' : value.toPrecision(4);
}

function settingsText({
  seed,
  text,
  slices,
  warmStart,
  reference,
  update,
  accumulate,
  sampling,
  objective,
  training,
}: Recipe) {
  const settings = { seed, text, slices, warmStart, reference, update, accumulate, sampling, objective, training };
  return `\`\`\`yaml\n${stringify(settings, { lineWidth: 0, aliasDuplicateObjects: false })}\`\`\``;
}
