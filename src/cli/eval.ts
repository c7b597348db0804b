/** @file `selm eval`: a model, or what judges said of it, measured by the protocols of the field. */
import { Command } from 'commander';
import { evalAlpacaCommand } from './eval-alpaca.ts';
import { evalEqBenchCommand, evalMtBenchCommand } from './eval-results.ts';

/** The command and those below it. */
export function evalCommand(): Command {
  return new Command('eval')
    .description('measure a model by public benchmarks, or compute their scores from results that are there')
    .addCommand(evalAlpacaCommand())
    .addCommand(evalMtBenchCommand())
    .addCommand(evalEqBenchCommand());
}
