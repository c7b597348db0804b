/** @file First line of a process that runs something, in plain JavaScript because Node runs it without help: the rest is worker.ts. */
import { importProgram } from '../../../bin/program.js';

await importProgram('run-worker');
