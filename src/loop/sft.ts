/**
 * @file Supervised fine-tuning, a run of its own: conversations are read and audited, the assistant's turns are learned step
 * by step, and the model is saved. Called again on the same recipe it goes on where it stopped, to the same bytes.
 */
import { basename, join } from 'node:path';
import { writeFileAtomic } from '../files/atomic.ts';
import type { HubPin } from '../hub/fetch.ts';
import { baseDirectory } from '../model/adapter/adapter.ts';
import { readWeights } from '../model/fingerprint.ts';
import { ALONE, refuseIdle, type Team } from '../ranks/team.ts';
import { licenseLine } from '../recipe/licenses.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import { openEventLog } from '../store/event-log.ts';
import { type Announce, openEvents, type Watch } from '../store/events.ts';
import { readingAsBefore } from '../store/run-config.ts';
import { openRun, type Run, tellResumed } from '../store/run-directory.ts';
import { loadTokenizer } from '../text/tokenizer/tokenizer.ts';
import { chooseDevice } from '../torch/device.ts';
import { engineVersion, setThreads } from '../torch/native.ts';
import { openTracking } from '../track/tracking.ts';
import type { StepMetrics } from '../train/run-steps.ts';
import { learningRateAt, singleStepWarning, warmupSteps } from '../train/schedule.ts';
import { checkModel } from './check-model.ts';
import { fetchSftInputs } from './inputs.ts';
import { sftCard } from './sft-card.ts';
import { type Conversations, loadConversations } from './sft-data.ts';
import { planFineTuning } from './sft-plan.ts';
import { trainAndSave } from './stages/train-and-save.ts';
import { writePolicy } from './stages/training-settings.ts';

export interface SftOptions {
  watch?: Watch | undefined;
  /** Aborting it stops the run after the current step; what is finished is kept. */
  signal?: AbortSignal | undefined;
  /** Train again from the first step where settings or inputs changed. @default false */
  acceptChanges?: boolean | undefined;
  /** The processes that make the steps. @default this one alone */
  team?: Team | undefined;
}

/** What a supervised fine-tuning leaves behind. */
export interface SftOutcome {
  /** Run directory. */
  path: string;
  /** The fine-tuned model, in Hugging Face layout (an adapter in PEFT's, where the recipe asks for one). */
  modelPath: string;
}

/** Runs the recipe of a supervised fine-tuning to its end. */
export async function runSft(
  recipe: SftRecipe,
  { watch = () => {}, signal, acceptChanges = false, team = ALONE }: SftOptions = {},
): Promise<SftOutcome> {
  const announce = openEvents(watch)({ run: recipe.name, iteration: 0 });
  return fineTune(recipe, { announce, signal, acceptChanges, team });
}

/** The same as part of another run; `hub`: the commits that this run has taken for names on the Hub. */
export async function fineTune(
  given: SftRecipe,
  {
    announce,
    signal,
    acceptChanges,
    team,
    hub: known,
  }: {
    announce: Announce;
    signal: AbortSignal | undefined;
    acceptChanges: boolean;
    team: Team;
    hub?: readonly HubPin[];
  },
): Promise<SftOutcome> {
  const asked = readingAsBefore(given);
  if (asked.threads !== null) setThreads(asked.threads);
  const { device, note } = chooseDevice({ device: asked.device, dtypes: [asked.training.dtype] });
  if (note !== null) announce({ kind: 'note', text: note });
  const { recipe: fetched, hub } = await fetchSftInputs(asked, { announce, signal, hub: known });
  const recipe = { ...fetched, device };
  // Everything that can be wrong with the input is found here, before a run directory exists.
  const conversations = await readConversations(recipe, announce);
  refuseIdle(team.group, { count: conversations.trees.length, what: 'the data' });
  await readWeights(recipe.model);
  using run = openRun(asked, { local: recipe, hub, libtorchVersion: engineVersion(), acceptChanges });
  using log = openEventLog(run.path, { report: (text) => announce({ kind: 'warning', text }) });
  const tracking = openTracking(run, { announce: log.through(announce, { iteration: 0 }) });
  const told = log.through(tracking.through(announce, { iteration: 0 }), { iteration: 0 });
  tellResumed(run, told);
  const text = `${conversations.audit}\n${licenseLine(asked.data, (file) => basename(file))}`;
  run.ledger.putRecord(0, 'data-audit', { text, used: conversations.trees.length });
  const work = (): Promise<string> => trainOn(conversations, { run, recipe, announce: told, signal, team });
  const modelPath = await log.during(() => tracking.during(work));
  return { path: run.path, modelPath };
}

/** Trains on conversations, step by step, and returns the folder of the model. */
async function trainOn(
  conversations: Conversations,
  {
    run,
    recipe,
    announce,
    signal,
    team,
  }: { run: Run<SftRecipe>; recipe: SftRecipe; announce: Announce; signal: AbortSignal | undefined; team: Team },
): Promise<string> {
  const { training } = recipe;
  const context = { ledger: run.ledger, announce, signal, team, iteration: 0, recipe };
  const { steps, id, lesson } = await planFineTuning(context, conversations);
  const schedule = {
    totalSteps: steps.length,
    warmupSteps: warmupSteps(steps.length, training.warmupRatio),
    learningRate: training.learningRate,
    kind: training.schedule,
  };
  const warning = singleStepWarning(schedule, 'Fine-tuning');
  if (warning !== null) announce({ kind: 'warning', text: warning });
  const modelPath = join(run.path, 'model');
  await trainAndSave(context, {
    stage: 'sft',
    recipe,
    startDirectory: recipe.model,
    modelDirectory: modelPath,
    checkpointsDirectory: join(run.path, 'checkpoints'),
    steps,
    plan: id,
    learningRateAt: (step) => learningRateAt(step, schedule),
    learningRateSetting: 'training.learningRate',
    lesson,
    detail: fineTuningDetail,
    material: `${conversations.trees.length} ${lesson.kind === 'labels' ? 'labelled responses' : 'conversations'}`,
    write: writePolicy(recipe),
  });
  writeFileAtomic(join(modelPath, 'README.md'), sftCard(run));
  return modelPath;
}

/** Checks model and data, and shows the audit. Throws ModelError, TextError or DataError. */
export async function readConversations(recipe: SftRecipe, announce: Announce): Promise<Conversations> {
  const tokenizer = loadTokenizer(baseDirectory(recipe.model));
  checkModel(recipe);
  const conversations = await loadConversations(recipe, tokenizer);
  announce({ kind: 'note', text: conversations.audit });
  return conversations;
}

/** What the progress shows of a step. */
function fineTuningDetail({
  loss = Number.NaN,
  mean_token_accuracy: accuracy,
  'rewards/margins': margin,
}: StepMetrics): string {
  const further =
    accuracy !== undefined
      ? `, token accuracy ${accuracy.toFixed(3)}`
      : margin !== undefined
        ? `, margin ${margin.toFixed(3)}`
        : '';
  return `loss ${loss.toFixed(4)}${further}`;
}
