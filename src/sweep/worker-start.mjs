/** @file First line of the process of one run, in plain JavaScript because Node runs it without help: the rest is worker.ts. */
import { importProgram } from '../../bin/program.js';

await importProgram('sweep-worker');
