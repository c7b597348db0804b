import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../files/temporary.testing.ts';
import { readGpus } from '../torch/gpus.ts';
import { type CudaHalf, checkGpus, cudaHalf } from './cuda.ts';
import { writeFiles } from './places.testing.ts';

const smi = (stdout: string, status = 0) => readGpus({ status, stdout, stderr: '' });
const H100 = smi('0, NVIDIA H100 80GB HBM3, 580.65.06, 81559, 81037, 9.0\n');
const half: CudaHalf = { library: '/torch/lib/libtorch_cuda.so', cuda: '13.2', cudnn: '9.26.0.51' };
const works = { hasGraphs: true, compute: () => ({ kind: 'loads', version: '2.15.0' }) as const };

test('cudaHalf() reads the versions of CUDA and cuDNN from the folder of the wheels', () => {
  const root = writeFiles(temporaryFolder(), {
    'torch/lib/libtorch_cuda.so': '',
    'torch/version.py': "__version__ = '2.15.0+cu132'\ncuda: Optional[str] = '13.2'\n",
    'nvidia_cudnn_cu13-9.26.0.51.dist-info/METADATA': '',
  });
  expect(cudaHalf(join(root, 'torch'))).toEqual({
    library: join(root, 'torch/lib/libtorch_cuda.so'),
    cuda: '13.2',
    cudnn: '9.26.0.51',
  });
  expect(cudaHalf(root)).toBeNull();
});

test('checkGpus() shows card, memory, driver and versions where all is well', () => {
  expect(checkGpus(H100, half, works).map(({ name, status, detail }) => [name, status, detail])).toEqual([
    ['gpu', 'ok', 'cuda:0: NVIDIA H100 80GB HBM3, 85.5 GB, 85.0 GB free, compute capability 9.0, driver 580.65.06'],
    ['cuda', 'ok', 'CUDA 13.2, cuDNN 9.26.0.51, in /torch/lib/libtorch_cuda.so'],
    ['cuda computes', 'ok', 'a matrix product came out right'],
    ['cuda graphs', 'ok', 'sampling runs its passes as graphs'],
  ]);
});

test.each([
  ['a card without CUDA in LibTorch', () => checkGpus(H100, null, works), 'run `selm engine install --cuda`'],
  [
    'a card without bf16',
    () => checkGpus(smi('0, Tesla T4, 580.65, 15360, 14917, 7.5'), half, works),
    'keep `training.dtype: float32`',
  ],
  [
    'a driver without its module',
    () =>
      checkGpus(smi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9), half, works),
    'modprobe',
  ],
  [
    'an old driver',
    () =>
      checkGpus(H100, half, {
        hasGraphs: true,
        compute: () => ({
          kind: 'fails',
          message: 'The NVIDIA driver on your system is too old (found version 12000)',
        }),
      }),
    'install NVIDIA driver 580',
  ],
  [
    'an engine without graphs',
    () => checkGpus(H100, half, { ...works, hasGraphs: false }),
    'run `selm engine install --cuda`',
  ],
])('checkGpus() warns of %s, with the fix', (_, check, fix) => {
  const warnings = check().filter(({ status }) => status !== 'ok');
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatchObject({ status: 'warning', fix: expect.stringContaining(fix) });
});

test('checkGpus() asks nothing of a machine without a driver', () => {
  const never = { hasGraphs: true, compute: (): never => expect.fail('nothing is to be tried') };
  expect(checkGpus(readGpus(null), null, never)).toMatchObject([{ name: 'gpu', status: 'ok' }]);
});
