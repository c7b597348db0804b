/**
 * @file The process that reads hostile files for main.ts: it may crash, hang or grow, and then the input that did it is the
 * one in its folder. Usage: child.ts TARGET FOLDER SEED FIRST LAST; a line of JSON every half second, and for each find.
 */
import { inputAt, savedInputs } from './inputs.ts';
import { runInput, TARGETS } from './targets.ts';

const [name = '', folder = '', seed = '', first = '', last = ''] = process.argv.slice(2);
const target = TARGETS[name];
if (target === undefined) throw new Error(`No target ${name}`);
const corpus = savedInputs('corpus', name).map(({ bytes }) => bytes);
const say = (line: Record<string, unknown>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

target.prepare?.(folder);
let accepted = 0;
let refused = 0;
let saidMs = performance.now();
let index = Number(first);
for (; index < Number(last); index++) {
  const input = inputAt(name, target, { seed: Number(seed), index, corpus });
  const outcome = await runInput(target, folder, input);
  if (outcome.kind === 'accepted') accepted += 1;
  else if (outcome.kind === 'refused') refused += 1;
  else say({ find: outcome.what, index, bytes: Buffer.from(input).toString('base64') });
  if (performance.now() - saidMs > 500) {
    say({ index: index + 1, accepted, refused });
    saidMs = performance.now();
  }
}
say({ index, accepted, refused });
// Threads of readers would keep the process alive.
process.exit(0);
