/** @file Names of metrics as Hugging Face's trainer gives them to trackers, so that charts of TRL's runs lie over ours. */

/** Names of ours that the trainer has under another one. */
const TRAINER_NAMES = new Map([['lr', 'learning_rate']]);

/** Groups of metrics: of training, and of what was measured of a model. */
export type MetricGroup = 'train' | 'eval';

/** The trainer's name: `rewards/chosen`, `learning_rate`, `eval_reward`. MLflow gets these. */
export function trainerName(group: MetricGroup, name: string): string {
  return group === 'eval' ? `eval_${name}` : (TRAINER_NAMES.get(name) ?? name);
}

/** The same in its group, as TensorBoard, trackio and W&B get it: `train/rewards/chosen`, `eval/reward`. */
export function groupedName(group: MetricGroup, name: string): string {
  return `${group}/${TRAINER_NAMES.get(name) ?? name}`;
}
