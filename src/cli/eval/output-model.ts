/** @file The model whose outputs a command sends to a judge: opens it, and keeps its outputs in the file of answers. */
import { defaultStorePath, openAnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import type { OutputModel } from '../../evaluate/outputs.ts';
import { localModel } from '../../hub/local.ts';
import { openSharedOutputs } from '../../loop/evaluation/output-work.ts';
import type { Team } from '../../ranks/team.ts';
import { hubAccess } from '../hub.ts';

/** Opens a model for as long as `body` asks it. ModelError, HubError, FileError. */
export async function withOutputModel<Result>(
  model: string,
  { store: path, signal, team }: { store?: string | undefined; signal: AbortSignal; team: Team },
  body: (model: OutputModel) => Promise<Result>,
): Promise<Result> {
  const directory = await localModel(model, hubAccess());
  const store = openAnswerStore(path ?? defaultStorePath());
  try {
    const opened = await openSharedOutputs(directory, { team, store, signal, device: 'cpu' });
    try {
      return await body(opened);
    } finally {
      opened.dispose();
    }
  } finally {
    store.close();
  }
}
