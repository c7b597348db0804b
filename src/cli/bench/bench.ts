/** @file `selm bench` measures methods in worlds whose truth is known. */
import { Command } from 'commander';
import { benchExplorationCommand } from './exploration.ts';

/** The command and those below it. */
export function benchCommand(): Command {
  return new Command('bench')
    .description('measure methods of preference learning in worlds whose truth is known')
    .addCommand(benchExplorationCommand());
}
