/** @file The model whose outputs a command sends to a judge: opens it, and keeps its outputs in the file of answers. */
import { defaultStorePath, openAnswerStore } from '../../evaluate/benchmarks/answer-store.ts';
import type { OutputModel } from '../../evaluate/outputs.ts';
import { localModel } from '../../hub/local.ts';
import { openSharedOutputs } from '../../loop/evaluation/output-work.ts';
import { chosenDevice } from '../device.ts';
import { hubAccess } from '../hub.ts';
import type { SharedListening } from './stop.ts';

/** Options that say where a model computes, and where its outputs are kept. */
export interface OutputModelOptions {
  store?: string;
  device?: string;
}

/** Opens a model for as long as `body` asks it. ModelError, HubError, FileError; EngineError for a device that cannot compute. */
export async function withOutputModel<Result>(
  model: string,
  { store: path, device: asked }: OutputModelOptions,
  { signal, say, team }: SharedListening,
  body: (model: OutputModel) => Promise<Result>,
): Promise<Result> {
  const device = await chosenDevice(asked, { say });
  const directory = await localModel(model, hubAccess());
  const store = openAnswerStore(path ?? defaultStorePath());
  try {
    const opened = await openSharedOutputs(directory, { team, store, signal, device });
    try {
      return await body(opened);
    } finally {
      opened.dispose();
    }
  } finally {
    store.close();
  }
}
