/** @file Names of metrics as Hugging Face's trainer gives them to trackers, so that charts of TRL's runs lie over ours. */

/** Names of ours that the trainer has under another one. */
const TRAINER_NAMES = new Map([['lr', 'learning_rate']]);

/** The trainer's name: `rewards/chosen`, `learning_rate`. MLflow gets these. */
export function trainerName(name: string): string {
  return TRAINER_NAMES.get(name) ?? name;
}

/** The same in the group of training, as TensorBoard, trackio and W&B get it: `train/rewards/chosen`. */
export function trainName(name: string): string {
  return `train/${trainerName(name)}`;
}
