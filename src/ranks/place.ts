/**
 * @file Which rank of how many this process is, from what launchers tell it: torchrun and PyTorchJob (RANK ...), Slurm
 * (SLURM_PROCID ...), Kubeflow Trainer (PET_NNODES ...), or our own `--ranks`. Reads no environment itself: a pure function.
 */
import { RanksError } from '../errors.ts';

/** Where this process stands among the ranks. */
export interface Place {
  rank: number;
  size: number;
  /** Among the ranks of its machine: which GPU is its own. */
  localRank: number;
  /** Ranks of its machine: they share its processors. */
  localSize: number;
  /** Where the table of keys is, and whether this process hosts it; port 0: any free one. */
  store: { host: string; port: number; hosts: boolean };
  /** The next ranks, which this process starts on its machine. */
  spawns: number;
  /** Name of this attempt: a launcher that starts the ranks again keeps its table of keys. */
  attempt: string;
}

/**
 * The GPU that a rank is to see, as CUDA_VISIBLE_DEVICES names it: of those that its machine's ranks may use (`visible`, null
 * where nobody restricts them) the one with its local number. Throws RanksError RANKS_DEVICE.
 */
export function gpuOf(
  { localRank, localSize }: Pick<Place, 'localRank' | 'localSize'>,
  visible: string | null,
): string {
  if (visible === null) return String(localRank);
  const names = visible.split(',').map((name) => name.trim());
  const own = names[localRank];
  if (own !== undefined && own !== '') return own;
  throw new RanksError(
    'RANKS_DEVICE',
    `Cannot give each of ${localSize} ranks of this machine a GPU of its own: CUDA_VISIBLE_DEVICES is ${JSON.stringify(visible)}: name as many GPUs there as ranks, or start fewer ranks`,
    { details: { localRank, visible } },
  );
}

type Environment = Readonly<Record<string, string | undefined>>;

export interface PlaceOptions {
  /** Of `--ranks`; undefined where it was not given. */
  ranks?: number | undefined;
  /** Ranks of a machine where PET_NPROC_PER_NODE leaves that open: its GPUs, or its processors. */
  automatic: number;
}

/** The place of this process, or null where it is alone. Throws RanksError RANKS_ENVIRONMENT or RANKS_TWICE. */
export function placeOf(environment: Environment, { ranks, automatic }: PlaceOptions): Place | null {
  const launched = launchedPlace(environment, automatic);
  if (launched === null) return ranks === undefined || ranks === 1 ? null : ownPlace(ranks);
  if (ranks !== undefined) {
    throw new RanksError(
      'RANKS_TWICE',
      `Cannot start ${ranks} ranks (--ranks): this process is rank ${launched.rank} of ${launched.size} of a launcher already: leave --ranks out, the launcher decides how many there are`,
    );
  }
  return launched.size === 1 ? null : launched;
}

/** Ranks that this process starts itself, on this machine, out of reach of others. */
function ownPlace(size: number): Place {
  const store = { host: '127.0.0.1', port: 0, hosts: true };
  return { rank: 0, size, localRank: 0, localSize: size, store, spawns: size - 1, attempt: '0' };
}

function launchedPlace(environment: Environment, automatic: number): Place | null {
  if (environment.WORLD_SIZE !== undefined || environment.RANK !== undefined) return torchrunPlace(environment);
  if (environment.PET_NNODES !== undefined || environment.PET_NPROC_PER_NODE !== undefined)
    return kubeflowPlace(environment, automatic);
  // Inside `srun` only: a batch script alone is one process, whatever was allocated for it.
  if (environment.SLURM_STEP_ID !== undefined && environment.SLURM_PROCID !== undefined) return slurmPlace(environment);
  return null;
}

function torchrunPlace(environment: Environment): Place | null {
  const size = count(environment, 'WORLD_SIZE', 1);
  const rank = count(environment, 'RANK', 0);
  checkRank(rank, size, 'RANK', 'WORLD_SIZE');
  if (size === 1) return null;
  const usesAgent = environment.TORCHELASTIC_USE_AGENT_STORE?.toLowerCase() === 'true';
  return {
    rank,
    size,
    localRank: environment.LOCAL_RANK === undefined ? 0 : count(environment, 'LOCAL_RANK', 0),
    localSize: environment.LOCAL_WORLD_SIZE === undefined ? 1 : count(environment, 'LOCAL_WORLD_SIZE', 1),
    store: { ...address(environment, 'MASTER_ADDR', 'MASTER_PORT'), hosts: rank === 0 && !usesAgent },
    spawns: 0,
    attempt: environment.TORCHELASTIC_RESTART_COUNT ?? '0',
  };
}

/** Kubeflow gives a machine its place, and the machine's first process starts the others, as torchrun would. */
function kubeflowPlace(environment: Environment, automatic: number): Place | null {
  const machines = machinesOf(environment);
  const perMachine = /^(auto|cpu|gpu)?$/.test(environment.PET_NPROC_PER_NODE ?? '')
    ? automatic
    : count(environment, 'PET_NPROC_PER_NODE', 1);
  const size = machines * perMachine;
  if (size === 1) return null;
  const machine = machines === 1 ? 0 : count(environment, 'PET_NODE_RANK', 0);
  checkRank(machine, machines, 'PET_NODE_RANK', 'PET_NNODES');
  const store =
    machines === 1
      ? { host: '127.0.0.1', port: 0, hosts: true }
      : { ...address(environment, 'PET_MASTER_ADDR', 'PET_MASTER_PORT'), hosts: machine === 0 };
  return {
    rank: machine * perMachine,
    size,
    localRank: 0,
    localSize: perMachine,
    store,
    spawns: perMachine - 1,
    attempt: '0',
  };
}

/** `2`, or `2:2` as an elastic job writes it. */
function machinesOf(environment: Environment): number {
  const [least = '1', most = least, ...others] = (environment.PET_NNODES ?? '1').split(':');
  if (least === most && others.length === 0 && /^[1-9]\d*$/.test(least)) return Number(least);
  throw wrong(
    'PET_NNODES',
    environment.PET_NNODES,
    'a whole number from 1: the number of machines cannot change in a run',
  );
}

function slurmPlace(environment: Environment): Place | null {
  const size = count(environment, 'SLURM_NTASKS', 1);
  const rank = count(environment, 'SLURM_PROCID', 0);
  checkRank(rank, size, 'SLURM_PROCID', 'SLURM_NTASKS');
  if (size === 1) return null;
  const nodes = environment.SLURM_STEP_NODELIST ?? environment.SLURM_JOB_NODELIST;
  const host = environment.MASTER_ADDR ?? (nodes === undefined ? undefined : firstNode(nodes));
  if (host === undefined) throw missing('MASTER_ADDR', 'SLURM_PROCID');
  const port =
    environment.MASTER_PORT === undefined
      ? // Any port that all tasks of a job choose alike, and two jobs on a machine differently.
        20_000 + (Number(environment.SLURM_JOB_ID ?? 0) % 20_000)
      : count(environment, 'MASTER_PORT', 1);
  const perNode = /^\d+/.exec(environment.SLURM_STEP_TASKS_PER_NODE ?? environment.SLURM_TASKS_PER_NODE ?? '1')?.[0];
  return {
    rank,
    size,
    localRank: environment.SLURM_LOCALID === undefined ? 0 : count(environment, 'SLURM_LOCALID', 0),
    localSize: Number(perNode ?? 1),
    store: { host, port, hosts: rank === 0 },
    spawns: 0,
    attempt: environment.SLURM_RESTART_COUNT ?? '0',
  };
}

/** The first machine of a Slurm list: `n01` of `n[01-04,07],gpu3`. */
export function firstNode(list: string): string {
  const [, name = '', numbers] = /^([^[,]*)(?:\[([^\]]*)\])?/.exec(list) ?? [];
  const [first = ''] = (numbers ?? '').split(/[-,]/);
  return name + first;
}

function address(environment: Environment, hostName: string, portName: string): { host: string; port: number } {
  const host = environment[hostName];
  if (host === undefined || host === '') throw missing(hostName, 'WORLD_SIZE');
  return { host, port: count(environment, portName, 1) };
}

/** A whole number of the environment. */
function count(environment: Environment, name: string, least: number): number {
  const text = environment[name];
  if (text === undefined || text === '') throw missing(name, 'WORLD_SIZE');
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least && /^\d+$/.test(text)) return value;
  throw wrong(name, text, `a whole number from ${least}`);
}

function checkRank(rank: number, size: number, rankName: string, sizeName: string): void {
  if (rank < size) return;
  throw wrong(rankName, String(rank), `a number from 0 to ${size - 1} where ${sizeName} is ${size}`);
}

function missing(name: string, because: string): RanksError {
  return new RanksError(
    'RANKS_ENVIRONMENT',
    `Cannot join the ranks: ${name} is not set, though a launcher says that there are several (${because}): set it for every rank, or unset RANK and WORLD_SIZE to run alone`,
    { details: { variable: name } },
  );
}

function wrong(name: string, value: string | undefined, allowed: string): RanksError {
  return new RanksError('RANKS_ENVIRONMENT', `Cannot join the ranks: ${name} is ${value}; it has to be ${allowed}`, {
    details: { variable: name, value },
  });
}
