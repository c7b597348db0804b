/** @file `selm studio [RUNS]`: every run in the browser, while it goes on and afterwards. It only reads what runs write. */
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { OWNER } from '../rank/people/owner.ts';
import { ANNOTATOR_NAME, RIGHTS, type Visitor } from '../server/token.ts';
import { wholeNumber } from './numbers.ts';
import { listenForStop } from './signals.ts';

export interface StudioOptions {
  port: number;
  token?: string;
  /** Whom to print an address for. */
  invite?: Visitor[];
  /** Whose invitations open nothing any more. */
  revoke?: string[];
}

const PORT = 4300;
const RUNS = 'runs';

/** The command. */
export function studioCommand(): Command {
  return new Command('studio')
    .description('watch runs in the browser: curves, pairs and where they come from, samples; runs are only read')
    .argument('[runs...]', 'folders of runs, or with runs in them', [RUNS])
    .option('--port <number>', 'port on this machine; 0 is any free one', wholeNumber(0), PORT)
    .addOption(
      new Option('--token <text>', 'let in by this, so that open pages go on after a restart').env('SELM_STUDIO_TOKEN'),
    )
    .option(
      '--invite <name[:right]...>',
      'print an address for each annotator; rights are label (the default), review and admin',
      invitations,
    )
    .option('--revoke <name...>', 'take back the invitations of these names; what they answered is kept', names)
    .addHelpText(
      'after',
      `
It answers to this machine only. From another one, through a tunnel: ssh -L ${PORT}:127.0.0.1:${PORT} machine

Examples:
  $ selm studio
  $ selm studio runs/quickstart --port 0
  $ SELM_STUDIO_TOKEN=... selm studio --invite ada ben:review   # invitations that outlast a restart`,
    )
    .action(studio);
}

/** A name, after those before it. */
function names(text: string, before: string[] = []): string[] {
  if (!ANNOTATOR_NAME.test(text))
    throw new InvalidArgumentError('it is a name of a-z, 0-9 and - that begins with a letter');
  return [...before, text];
}

/** `ada` or `ada:review`, after those before it. */
function invitations(text: string, before: Visitor[] = []): Visitor[] {
  const [name = '', said = 'label'] = text.split(':', 2);
  const right = RIGHTS.find((each) => each === said);
  if (right === undefined || !ANNOTATOR_NAME.test(name) || name === OWNER)
    throw new InvalidArgumentError(
      `it is a name of a-z, 0-9 and - that begins with a letter and is not ${OWNER}, and after a colon one of ${RIGHTS.join(', ')}`,
    );
  return [...before, { name, right }];
}

/** Serves until a signal comes. */
export async function studio(
  folders: string[],
  { port, token, invite = [], revoke = [] }: StudioOptions,
): Promise<void> {
  // Where processors are few, the runs that are watched come first.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  const { serveStudio } = await import('../server/listen.ts');
  // The default folder may come with the first run.
  if (folders.length === 1 && folders[0] === RUNS && !existsSync(RUNS)) mkdirSync(RUNS);
  const { Revocations } = await import('../server/revocations.ts');
  const revocations = new Revocations(folders[0] ?? RUNS);
  for (const name of revoke) revocations.put({ action: 'revoke', name });
  for (const visitor of invite) revocations.check(visitor);
  const served = await serveStudio({
    folders,
    port,
    token,
    launcher: process.argv[1] ?? 'selm',
    log: (line) => process.stderr.write(`${line}\n`),
  });
  process.stdout.write(`The studio is at\n  ${served.url}\nCtrl-C stops it; runs go on.\n`);
  for (const visitor of invite)
    process.stdout.write(`${visitor.name} may ${visitor.right} at\n  ${served.invitation(visitor)}\n`);
  const stop = listenForStop(() => {});
  await once(stop.signal, 'abort');
  stop.close();
  await served.close();
}
