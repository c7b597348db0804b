/** @file `selm export MODEL OUT --to gguf`: a model for llama.cpp and Ollama. */
import { resolve } from 'node:path';
import { Command, Option } from 'commander';
import type { GgufTensorType } from '../export/gguf.ts';
import { shorterPath } from '../files/command-line.ts';
import { formatBytes } from '../files/fs.ts';

/** The command. */
export function exportCommand(): Command {
  const types: GgufTensorType[] = ['f16', 'bf16', 'q8_0', 'f32'];
  return new Command('export')
    .description('export a model for other programs: GGUF for llama.cpp, with a Modelfile for Ollama')
    .argument('<model>', 'model folder, an adapter, which is merged into its base, or hub:owner/name')
    .argument('<out>', 'new folder for the exported files')
    .addOption(new Option('--to <format>', 'file format').choices(['gguf']).default('gguf'))
    .addOption(new Option('--type <type>', 'of the matrices; vectors stay f32').choices(types).default('f16'))
    .addHelpText(
      'after',
      '\nExample:\n  $ selm export runs/NAME/iteration-3/model exported --type q8_0\n  $ ollama create my-model -f exported/Modelfile',
    )
    .action(async (model: string, out: string, { type }: { type: GgufTensorType }) => {
      // Loaded here: the other commands and --help need no engine.
      const { exportGguf } = await import('../export/export.ts');
      const { localModel } = await import('../hub/local.ts');
      const { hubAccess } = await import('./hub.ts');
      const written = await exportGguf(resolve(await localModel(model, hubAccess())), resolve(out), type);
      console.log(`Written  ${shorterPath(written.ggufPath)}, ${formatBytes(written.bytes)}`);
      console.log(`         ${shorterPath(written.modelfilePath)}`);
      console.log(`Context  up to ${written.contextLength} tokens`);
      if (written.unquantised > 0) {
        console.log(`Types    ${written.unquantised} matrices are f16: their rows are no multiple of 32`);
      }
    });
}
