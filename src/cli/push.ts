/** @file `selm push RUN owner/name`: a run's model onto the Hugging Face Hub, with its card. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { RunError } from '../errors.ts';
import { shorterPath } from '../files/command-line.ts';
import { formatBytes } from '../files/fs.ts';
import { openRunArgument, RUN_ARGUMENT } from './run-argument.ts';

interface PushArguments {
  iteration?: number;
  revision: string;
  private?: boolean;
  base?: string;
  dryRun?: boolean;
}

/** The command. */
export function pushCommand(): Command {
  return new Command('push')
    .description('put the model of a run, or its adapter, onto the Hugging Face Hub, with its card')
    .argument('<run>', `${RUN_ARGUMENT}; or a model folder`)
    .argument('<repository>', 'owner/name; created where it is not there')
    .option('--iteration <number>', 'whose model; without it the best where one is kept, else the last', wholeNumber)
    .option('--revision <branch>', 'branch', 'main')
    .option('--private', 'create the repository as a private one')
    .option('--base <owner/name>', 'name of the base model on the Hub, where it was a folder here')
    .option('--dry-run', 'say what would be sent, and send nothing')
    .addHelpText(
      'after',
      '\nThe token is taken from HF_TOKEN; it needs the right to write.\n\nExample:\n  $ selm push quickstart me/kind-stories --private --dry-run',
    )
    .action(async (run: string, repository: string, options: PushArguments) => {
      // Loaded here: the other commands and --help do not need it.
      const { checkRepository, pushFiles } = await import('../hub/push.ts');
      const { hubSettings } = await import('../hub/settings.ts');
      const { sharedModel } = await import('../export/hub-folder.ts');
      checkRepository(repository);
      if (options.base !== undefined) checkRepository(options.base);
      const folder = modelFolder(run, options.iteration);
      const shared = sharedModel(folder, { base: options.base ?? null });
      const { kind, files, bytes, base, licence } = shared;
      const visibility = options.private === true ? 'private' : 'public';
      const settings = hubSettings();
      const licenceName = licence.license_name ?? licence.license;
      console.log(`From     ${shorterPath(folder)}, ${kind === 'adapter' ? 'an adapter' : 'a whole model'}`);
      console.log(`To       ${settings.url}/${repository}, ${options.revision}; ${visibility} if it is new`);
      console.log(`Base     ${base ?? 'not on the Hub; --base owner/name names it'}`);
      console.log(`Licence  ${licenceName === 'unknown' ? 'unknown: find out what the base allows' : licenceName}`);
      console.log(`Files    ${files.map(({ path }) => path).join(', ')}; ${formatBytes(bytes)}`);
      if (options.dryRun === true) {
        console.log('A dry run: nothing was sent.');
        return;
      }
      const pushed = await pushFiles(files, {
        ...{ settings, repository, visibility, revision: options.revision },
        title: `Model of ${shorterPath(folder)} by selm`,
        tell: (text) => void process.stderr.write(`${text}\n`),
      });
      console.log(`Pushed   ${pushed.url}, commit ${pushed.commit}`);
    });
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Give the number of an iteration.');
  return Number(text);
}

/** The folder of the model that is meant. RunError MODEL_MISSING, or as openRunArgument. */
function modelFolder(run: string, iteration: number | undefined): string {
  const isModel = ['config.json', 'adapter_config.json'].some((name) => existsSync(join(run, name)));
  if (isModel && iteration === undefined) return resolve(run);
  using opened = openRunArgument(run);
  const { path, config } = opened;
  const iterations = config.recipe.iterations ?? 0;
  const numbered = Array.from({ length: iterations }, (_, index) =>
    join(path, `iteration-${iterations - index}`, 'model'),
  );
  const places =
    iteration === undefined
      ? [join(path, 'best'), ...numbered, join(path, 'model')]
      : [join(path, `iteration-${iteration}`, 'model')];
  const found = places.find((place) =>
    ['model.safetensors', 'model.safetensors.index.json', 'adapter_model.safetensors'].some((name) =>
      existsSync(join(place, name)),
    ),
  );
  if (found !== undefined) return found;
  throw new RunError(
    'MODEL_MISSING',
    `Cannot push "${run}": ${iteration === undefined ? 'it has no model yet' : `iteration ${iteration} has no model`}: give an iteration that is finished, or the folder of a model`,
    { details: { run, iteration: iteration ?? null } },
  );
}
