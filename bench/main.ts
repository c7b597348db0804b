/** @file `npm run bench -- dpo [options]`: speed as a ratio against a peer, measured in the same run. See bench/README.md. */
import { benchDpo } from './dpo.ts';

const [what = '', ...options] = process.argv.slice(2);
switch (what) {
  case 'dpo':
    await benchDpo(options);
    break;
  default:
    process.stderr.write('Usage: npm run bench -- dpo [--dtype float32|bfloat16|both] [--repeats 3]\n');
    process.exitCode = 2;
}
