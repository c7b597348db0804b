/** @file `selm merge ADAPTER OUT`: an adapter and its base as one whole model. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import { shorterPath } from '../files/command-line.ts';
import type { SavedDtype } from '../model/save.ts';

/** The command. */
export function mergeCommand(): Command {
  const dtypes: SavedDtype[] = ['float32', 'bfloat16', 'float16'];
  return new Command('merge')
    .description('merge a LoRA adapter into its base and save the whole model')
    .argument('<adapter>', 'folder with adapter_config.json and adapter_model.safetensors')
    .argument('<out>', 'new folder for the model, in Hugging Face layout')
    .addOption(
      new Option('--dtype <type>', 'of the saved weights; in fewer bits, small changes are rounded away')
        .choices(dtypes)
        .default('float32'),
    )
    .addHelpText('after', '\nExample:\n  $ selm merge runs/NAME/iteration-3/model merged --dtype bfloat16')
    .action(async (adapter: string, out: string, { dtype }: { dtype: SavedDtype }) => {
      // Loaded here: the other commands and --help need no engine.
      const { mergeAdapter } = await import('../model/adapter/merge.ts');
      await mergeAdapter(resolve(adapter), resolve(out), dtype);
      console.log(`The merged model lies in ${shorterPath(resolve(out))}`);
    });
}
