/**
 * @file A process of a benchmark: it receives cells, runs their methods, and sends the results. It ends when its parent
 * is gone.
 */
import type { Cell, CellResults } from './cells.ts';
import { runMethod } from './run.ts';
import { drawWorld } from './world.ts';

/** What the process sends: that it listens, and then an answer to every cell. */
export type FromBenchWorker = { kind: 'ready' } | { kind: 'results'; results: CellResults };

process.on('message', (cell: Cell) => {
  const world = drawWorld(cell.settings, cell.seed);
  const results = Object.fromEntries(
    cell.methods.map((method) => [method.name, runMethod(world, { method, budget: cell.budget, seed: cell.seed })]),
  );
  send({ kind: 'results', results });
});
process.on('disconnect', () => process.exit(1));
send({ kind: 'ready' });

function send(message: FromBenchWorker): void {
  process.send?.(message);
}
