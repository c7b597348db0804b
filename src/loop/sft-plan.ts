/**
 * @file The steps of a fine-tuning and what they learn from: conversations, which need nothing else, or labelled responses
 * with the start model's log-probability of each.
 */
import { sha256 } from '../files/hash.ts';
import { randomKey } from '../random.ts';
import { decisiveSettings } from '../recipe/decisive.ts';
import type { SftRecipe } from '../recipe/sft.ts';
import type { TokenTree, TreeLogProbs } from '../score/trees.ts';
import { type LabelledTree, mismatch, type ResponseTree, referenceSteps } from '../train/labels.ts';
import { planSteps } from '../train/plan.ts';
import { modelSha256 } from './model-hash.ts';
import type { Conversations, ConversationTree } from './sft-data.ts';
import type { Lesson } from './stages/lesson.ts';
import { loadOrScoreReference } from './stages/reference.ts';
import { type IterationContext, runStage } from './stages/stage.ts';

/** The part of its surroundings that a fine-tuning uses. */
export type FineTuningContext = Pick<IterationContext, 'ledger' | 'announce' | 'signal' | 'iteration' | 'team'> & {
  recipe: SftRecipe;
};

export interface FineTuningPlan {
  steps: readonly (readonly TokenTree[])[];
  /** Hash of everything that decides the weights that come out. */
  id: string;
  lesson: Lesson;
}

/** Plans the steps. Labels are scored under the start model first, in a stage of its own that resumes by response. */
export async function planFineTuning(context: FineTuningContext, { trees }: Conversations): Promise<FineTuningPlan> {
  const { training, objective, seed, model, text } = context.recipe;
  const keys = Array.from({ length: training.epochs }, (_, epoch) => randomKey(seed, 'shuffle', 'sft', epoch));
  const steps = planSteps(trees.length, { ...training, keys }).map((indices) =>
    indices.flatMap((index) => trees[index] ?? []),
  );
  const tokens = trees.map(({ promptIds, continuations, scored }) =>
    sha256([promptIds, ...continuations, ...(scored ?? [])].map((ids) => ids.join(' ')).join('\n')),
  );
  const order = steps.map((step) => step.map(({ pairId }) => pairId));
  const startSha256 = await modelSha256(model);
  const decided = [startSha256, tokens, order, decisiveSettings(training)];
  switch (objective.kind) {
    case 'likelihood':
      return { steps, id: sha256(JSON.stringify(decided)), lesson: { kind: 'conversations' } };
    case 'kto': {
      const { maxLength } = text;
      const labelled = steps.map((step, index) => mismatch(step.map(withLabel), { name: String(index), maxLength }));
      const reference = await referenceOf(context, referenceSteps(labelled, objective), startSha256);
      const labels = trees.map(({ desirable }) => desirable);
      return {
        steps: labelled satisfies LabelledTree[][],
        id: sha256(JSON.stringify([...decided, labels, objective])),
        lesson: { kind: 'labels', reference, startsAtReference: true, objective },
      };
    }
  }
}

function withLabel(tree: ConversationTree): ResponseTree {
  const { desirable } = tree;
  if (desirable === undefined) throw new Error(`Row ${tree.pairId} has no label`);
  return { ...tree, desirable };
}

/** The start model's log-probabilities of all that the steps need. */
async function referenceOf(
  context: FineTuningContext,
  steps: readonly (readonly TokenTree[])[],
  referenceSha256: string,
): Promise<Map<string, TreeLogProbs>> {
  const { announce, recipe } = context;
  const load = (): Promise<Map<string, TreeLogProbs>> =>
    loadOrScoreReference(
      context,
      { referenceDirectory: recipe.model, referenceSha256, steps },
      {
        started: (done, total) =>
          announce({ kind: 'stage-started', stage: 'reference', total, done, unit: 'responses' }),
        advanced: (done, total) => announce({ kind: 'stage-progress', stage: 'reference', done, total }),
      },
    );
  await runStage(context, 'reference', async () => `log-probabilities of ${(await load()).size} responses`);
  return load(); // of the ledger, whichever attempt put them there
}
