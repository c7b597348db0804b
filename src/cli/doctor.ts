/** @file `selm doctor [--json]`: is everything here that selm needs? Exit code 1 when something keeps it from working. */
import { Command } from 'commander';
import { diagnose, formatReport } from '../engine/doctor.ts';

/** The command. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('check Node, compiler, LibTorch, the engine and the native packages, and say what to do')
    .option('--json', 'print the report as JSON')
    .action((options: { json?: boolean }) => {
      const report = diagnose();
      console.log(options.json === true ? JSON.stringify(report, null, 2) : formatReport(report));
      if (report.status === 'problem') process.exitCode = 1;
    });
}
