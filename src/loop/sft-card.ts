/** @file The card beside a fine-tuned model: base, data, metrics and settings; the same run gives the same bytes. */
import { basename } from 'node:path';
import { stringify } from 'yaml';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { formatModelCard, licenceOf, licenceText, markdownTable, modelName } from '../model/card.ts';
import { licensesOf } from '../recipe/licenses.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import type { Run } from '../store/run-directory.ts';

/** Metrics that say what training did; times and memory differ from machine to machine. */
const METRICS = {
  likelihood: ['loss', 'mean_token_accuracy', 'grad_norm', 'num_tokens'],
  kto: ['loss', 'rewards/chosen', 'rewards/rejected', 'rewards/margins', 'kl', 'grad_norm'],
};

/** The text of README.md. */
export function sftCard({ recipe, config, ledger }: Run<SftRecipe>): string {
  const { name, seed, objective, text, training, data } = recipe;
  const isLabels = objective.kind === 'kto';
  const base = baseDirectory(recipe.model);
  const [baseModel, licence] = [modelName(base), licenceOf(base)];
  const isAdapter = training.adapter.kind === 'lora';
  const licenses = licensesOf(data);
  const files = data.train.map((path, i) => [basename(path), licenses[i] ?? '', config.identity.data[i]?.sha256 ?? '']);
  const steps = ledger.metrics().filter(({ stage }) => stage === 'sft');
  const shown = (value: number | undefined): string => (value === undefined ? '' : value.toPrecision(4));
  const rows = METRICS[objective.kind].map((metric) => [
    metric,
    shown(steps[0]?.values[metric]),
    shown(steps.at(-1)?.values[metric]),
  ]);
  const settings = stringify(
    { seed, ...(isLabels ? { objective } : {}), text, training },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
  return formatModelCard({
    title: name,
    baseModel,
    licence,
    library: isAdapter ? 'peft' : 'transformers',
    tags: ['selm', isLabels ? 'kto' : 'supervised-fine-tuning', ...(isAdapter ? ['lora'] : [])],
    datasets: [],
    summary: `${isAdapter ? 'A LoRA adapter of' : 'A model fine-tuned from'} ${baseModel} ${isLabels ? 'on labelled responses, with KTO' : "on conversations, the loss on the assistant's turns"}: the run "${name}". Made with selm ${config.environment.selm}.`,
    sections: [
      { title: 'Data', text: markdownTable(['file', 'licence', 'SHA-256'], files) },
      { title: 'Metrics', text: markdownTable(['training', 'first step', `last step (${steps.length})`], rows) },
      { title: 'Settings', text: `\`\`\`yaml\n${settings}\`\`\`` },
      { title: 'Licence', text: licenceText(baseModel, licence) },
    ],
  });
}
