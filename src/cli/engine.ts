/** @file `selm engine install`: LibTorch and the native addon, found or fetched, built, tried. */
import { Command, Option } from 'commander';
import { installEngine } from '../engine/install.ts';
import { DEFAULT_VERSION } from '../engine/locate.ts';
import { ENGINE_VARIANTS, type EngineVariant, variantFolder } from '../engine/variants.ts';

interface InstallArguments {
  from?: string;
  indexUrl?: string;
  cuda?: boolean;
  variant: EngineVariant;
  force?: boolean;
}

/** The command `engine` with its one sub-command. */
export function engineCommand(): Command {
  const install = new Command('install')
    .description(`find LibTorch ${DEFAULT_VERSION} or fetch it by pip, and build the native addon against it`)
    .option('--from <path>', 'a torch wheel, a folder of wheels, or a folder that is a LibTorch')
    .option('--index-url <url>', 'package index in place of the one that pip is configured with')
    .option(
      '--cuda',
      'with the libraries for NVIDIA GPUs (about 3 GB more; sizes are printed before anything is fetched)',
    )
    .addOption(
      new Option(
        '--variant <name>',
        'build another one beside the engine: to find its mistakes, or for other machines (docs/debugging.md)',
      )
        .choices(ENGINE_VARIANTS)
        .default('release'),
    )
    .option('--force', 'compile everything again, even when nothing changed')
    .action(async (options: InstallArguments) => {
      const { outcome, record } = await installEngine({
        log: (line) => console.error(line),
        variant: options.variant,
        half: options.cuda === true ? 'cuda' : 'cpu',
        rebuild: options.force === true ? 'always' : 'when-changed',
        ...(options.from === undefined ? {} : { from: options.from }),
        ...(options.indexUrl === undefined ? {} : { indexUrl: options.indexUrl }),
      });
      const state = outcome === 'kept' ? 'is up to date' : `is ${outcome === 'built' ? 'built' : 'in place'}`;
      console.log(`The engine ${state}: LibTorch ${record.libtorchVersion} in ${record.libtorchDirectory}`);
      if (options.variant !== 'release')
        console.log(`It is used where SELM_ENGINE=${variantFolder(options.variant)} is set (docs/debugging.md)`);
    });
  return new Command('engine').description('manage the native engine (LibTorch and the addon)').addCommand(install);
}
