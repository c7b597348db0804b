/** @file First line of a process of a benchmark, in plain JavaScript because Node runs it without help: the rest is worker.ts. */
import { importProgram } from '../../bin/program.js';

await importProgram('bench-worker');
