/** @file `selm engine install`: LibTorch and the native addon, found or fetched, built, tried. */
import { Command } from 'commander';
import { installEngine } from '../engine/install.ts';
import { DEFAULT_VERSION } from '../engine/locate.ts';

/** The command `engine` with its one sub-command. */
export function engineCommand(): Command {
  const install = new Command('install')
    .description(`find LibTorch ${DEFAULT_VERSION} or fetch it by pip, and build the native addon against it`)
    .option('--from <path>', 'a torch wheel, a folder of wheels, or a folder that is a LibTorch')
    .option('--index-url <url>', 'package index in place of the one that pip is configured with')
    .option('--force', 'compile everything again, even when nothing changed')
    .action(async (options: { from?: string; indexUrl?: string; force?: boolean }) => {
      const { outcome, record } = await installEngine({
        log: (line) => console.error(line),
        rebuild: options.force === true ? 'always' : 'when-changed',
        ...(options.from === undefined ? {} : { from: options.from }),
        ...(options.indexUrl === undefined ? {} : { indexUrl: options.indexUrl }),
      });
      const state = outcome === 'built' ? 'is built' : 'is up to date';
      console.log(`The engine ${state}: LibTorch ${record.libtorchVersion} in ${record.libtorchDirectory}`);
    });
  return new Command('engine').description('manage the native engine (LibTorch and the addon)').addCommand(install);
}
