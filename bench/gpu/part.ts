/** @file One part of the benchmark of a GPU, as a process: `part.ts NAME DEVICE full|tiny`. Its result is the last line. */
import { chooseDevice } from '../../src/torch/device.ts';
import { askGpus, cardOf } from '../../src/torch/gpus.ts';
import { partsNamed, peaksOf, RESULT } from './parts.ts';
import { workOf } from './shapes.ts';

const [name = '', wanted = 'cuda', size = 'full'] = process.argv.slice(2);
const [part] = partsNamed([name]);
if (part?.kind !== 'own') throw new Error(`${name} is no part of our own`);
const { device } = chooseDevice({ device: wanted, dtypes: ['bfloat16'] });
const gpus = askGpus();
const card = gpus.kind === 'cards' ? cardOf(device, gpus.cards) : null;
const result = await part.run(workOf(size === 'tiny' ? 'tiny' : 'full', device), peaksOf(card?.name ?? ''));
console.log(`${RESULT}${JSON.stringify(result)}`);
