/** @file `npm run bench -- WHAT [options]`: speed as a ratio measured in the same run, or memory. See bench/README.md. */
import { benchAudit } from './audit.ts';
import { benchDecode } from './decode.ts';
import { benchDpo } from './dpo.ts';
import { benchEval } from './eval.ts';
import { benchLoop } from './loop.ts';
import { benchLora } from './lora.ts';
import { benchMemory } from './memory.ts';
import { benchPairRm } from './pairrm.ts';
import { benchRanks } from './ranks.ts';
import { benchSample } from './sample.ts';
import { benchStudio } from './studio.ts';

const [what = '', ...options] = process.argv.slice(2);
switch (what) {
  case 'audit':
    await benchAudit(options);
    break;
  case 'decode':
    await benchDecode(options);
    break;
  case 'dpo':
    await benchDpo(options);
    break;
  case 'eval':
    benchEval(options);
    break;
  case 'loop':
    benchLoop(options);
    break;
  case 'lora':
    benchLora(options);
    break;
  case 'memory':
    await benchMemory(options);
    break;
  case 'pairrm':
    benchPairRm(options);
    break;
  case 'ranks':
    await benchRanks(options);
    break;
  case 'sample':
    benchSample(options);
    break;
  case 'studio':
    await benchStudio(options);
    break;
  default:
    process.stderr.write(`Usage:
  npm run bench -- dpo [--model 15m|110m|FOLDER] [--dtype float32|bfloat16|both] [--repeats 3] [--peers TRL] [--save NAME]
  npm run bench -- eval [--model FOLDER] [--tasks arc_challenge,hellaswag,openbookqa] [--items 16] [--dtype float32|bfloat16|both] [--save NAME]
  npm run bench -- decode --model FOLDER [--dtype float32|bfloat16] [--tokens 128] [--save NAME]
  npm run bench -- loop --model FOLDER [--prompts 64] [--samples 4] [--tokens 128] [--dtype bfloat16] [--save NAME]
  npm run bench -- lora [--model 15m|110m]
  npm run bench -- memory [--save NAME]
  npm run bench -- pairrm [--dtype float32|bfloat16|both] [--layers 24] [--triples 4] [--save NAME]
  npm run bench -- ranks [--dtype float32|bfloat16] [--kind full|lora] [--steps 6] [--batch 32]
  npm run bench -- sample [--model smollm2|15m|110m|FOLDER] [--dtype float32|bfloat16|both] [--samples 1] [--peers all|none|vLLM|transformers] [--save NAME]
  npm run bench -- studio [--cost PAIRS] [--threads 2]
  npm run bench -- audit [--rows 10000,100000,1000000] [--model FOLDER]
`);
    process.exitCode = 2;
}
