/** @file `npm run bench -- dpo [options]`: speed as a ratio against a peer, measured in the same run; or memory. See bench/README.md. */
import { benchDpo } from './dpo.ts';
import { benchLora } from './lora.ts';

const [what = '', ...options] = process.argv.slice(2);
switch (what) {
  case 'dpo':
    await benchDpo(options);
    break;
  case 'lora':
    benchLora(options);
    break;
  default:
    process.stderr.write(
      'Usage: npm run bench -- dpo [--dtype float32|bfloat16|both] [--repeats 3], or -- lora [--model 15m|110m]\n',
    );
    process.exitCode = 2;
}
