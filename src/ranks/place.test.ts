/** @file What each launcher tells a process, as variables, and where the process then stands. */
import { describe, expect, it } from 'vitest';
import { firstNode, gpuOf, placeOf } from './place.ts';

const automatic = 4;

describe('a process is alone', () => {
  it.each<[string, Record<string, string>]>([
    ['without a launcher', {}],
    ['where a launcher started one', { RANK: '0', WORLD_SIZE: '1' }],
    ['in a batch script of Slurm, before srun', { SLURM_PROCID: '0', SLURM_NTASKS: '8', SLURM_JOB_ID: '7' }],
    ['as the only process of Kubeflow', { PET_NNODES: '1', PET_NPROC_PER_NODE: '1' }],
  ])('%s', (_, environment) => {
    expect(placeOf(environment, { automatic })).toBeNull();
  });
});

describe('a process knows its rank', () => {
  it('by torchrun, whose agent hosts the table of keys', () => {
    const environment = {
      RANK: '5',
      WORLD_SIZE: '8',
      LOCAL_RANK: '1',
      LOCAL_WORLD_SIZE: '4',
      MASTER_ADDR: 'node-0',
      MASTER_PORT: '29400',
      TORCHELASTIC_USE_AGENT_STORE: 'True',
      TORCHELASTIC_RESTART_COUNT: '2',
    };
    expect(placeOf(environment, { automatic })).toEqual({
      rank: 5,
      size: 8,
      localRank: 1,
      localSize: 4,
      store: { host: 'node-0', port: 29400, hosts: false },
      spawns: 0,
      attempt: '2',
    });
  });

  it('by PyTorchJob, where rank 0 hosts it', () => {
    const environment = { RANK: '0', WORLD_SIZE: '3', MASTER_ADDR: 'job-master-0', MASTER_PORT: '23456' };
    expect(placeOf(environment, { automatic })).toMatchObject({ rank: 0, store: { port: 23456, hosts: true } });
  });

  it('by Slurm, which names machines in short', () => {
    const environment = {
      SLURM_STEP_ID: '0',
      SLURM_PROCID: '6',
      SLURM_NTASKS: '8',
      SLURM_LOCALID: '2',
      SLURM_TASKS_PER_NODE: '4(x2)',
      SLURM_JOB_NODELIST: 'gpu[07-08]',
      SLURM_JOB_ID: '30001',
    };
    expect(placeOf(environment, { automatic })).toMatchObject({
      rank: 6,
      size: 8,
      localRank: 2,
      localSize: 4,
      store: { host: 'gpu07', port: 30001, hosts: false },
    });
  });

  it('by Kubeflow Trainer, of whose machines each starts its own ranks', () => {
    const environment = {
      PET_NNODES: '2',
      PET_NPROC_PER_NODE: 'auto',
      PET_NODE_RANK: '1',
      PET_MASTER_ADDR: 'job-node-0-0.job',
      PET_MASTER_PORT: '29500',
    };
    expect(placeOf(environment, { automatic })).toMatchObject({ rank: 4, size: 8, localSize: 4, spawns: 3 });
    expect(placeOf({ ...environment, PET_NNODES: '2:2', PET_NODE_RANK: '0' }, { automatic })).toMatchObject({
      rank: 0,
      store: { host: 'job-node-0-0.job', hosts: true },
    });
  });

  it('by --ranks, where it starts the others itself, on this machine alone', () => {
    expect(placeOf({}, { ranks: 3, automatic })).toMatchObject({
      rank: 0,
      size: 3,
      store: { host: '127.0.0.1', port: 0, hosts: true },
      spawns: 2,
    });
  });
});

it.each([
  ['n01', 'n01'],
  ['n[01-04,07],gpu3', 'n01'],
  ['gpu3,n[01-04]', 'gpu3'],
  ['rack2-n[7]', 'rack2-n7'],
])('the first machine of %s is %s', (list, first) => {
  expect(firstNode(list)).toBe(first);
});

describe('what does not fit is refused, with the variable', () => {
  it.each<[string, Record<string, string>, RegExp]>([
    ['no address', { RANK: '0', WORLD_SIZE: '2' }, /MASTER_ADDR is not set/],
    ['no port', { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'a' }, /MASTER_PORT is not set/],
    ['no rank', { WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '1' }, /RANK is not set/],
    ['a rank that is none', { RANK: 'x', WORLD_SIZE: '2' }, /RANK is x; it has to be a whole number from 0/],
    ['a rank too many', { RANK: '2', WORLD_SIZE: '2' }, /RANK is 2; it has to be a number from 0 to 1/],
    ['machines that come and go', { PET_NNODES: '1:4' }, /PET_NNODES is 1:4.*cannot change in a run/],
  ])('%s', (_, environment, message) => {
    expect(() => placeOf(environment, { automatic })).toThrow(message);
  });

  it('--ranks beside a launcher', () => {
    const environment = { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: 'a', MASTER_PORT: '1' };
    expect(() => placeOf(environment, { ranks: 2, automatic })).toThrow('leave --ranks out');
  });
});

describe('the GPU of a rank', () => {
  it('is the one with its local number, of those that its machine may use', () => {
    expect(gpuOf({ localRank: 2, localSize: 4 }, null)).toBe('2');
    expect(gpuOf({ localRank: 1, localSize: 2 }, '4,7')).toBe('7');
    expect(gpuOf({ localRank: 0, localSize: 2 }, 'GPU-1a, GPU-2b')).toBe('GPU-1a');
  });

  it('is missed where there are more ranks than GPUs', () => {
    expect(() => gpuOf({ localRank: 2, localSize: 3 }, '0,1')).toThrow(
      expect.objectContaining({ code: 'RANKS_DEVICE', message: expect.stringContaining('is "0,1"') }),
    );
  });
});
