/** @file Entry of the program: parses the command line, runs one command, reports what failed. bin/selm imports it. */
import { coloursOf } from './colour.ts';
import { describeError, exitCodeOf } from './errors.ts';
import { programFor } from './program.ts';

// A reader that goes away (`selm metrics RUN | head`, a closed log pipe) stops no work: what it does not read is dropped.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const argv = process.argv.slice(2);
const format = argv.includes('--json') ? 'json' : 'text';
try {
  const program = await programFor(argv, { usage: format === 'json' ? 'silent' : 'text' });
  await program.parseAsync(argv, { from: 'user' });
} catch (error) {
  const text = describeError(error, format, coloursOf(process.stderr));
  if (text !== null) console.error(text);
  process.exitCode = exitCodeOf(error);
}
