import { expect, test } from 'vitest';
import { cudaRequirements, describeWheels, readPipReport, totalBytes } from './cuda-wheels.ts';

/** Of torch 2.15.0's METADATA, 2026-11. */
const METADATA = `Name: torch
Requires-Dist: filelock
Requires-Dist: cuda-toolkit[cublas,cudart,cufft]==13.2.2; platform_system == "Linux"
Requires-Dist: cuda-bindings<14,>=13.0.3; platform_system == "Linux" and python_version < "3.15"
Requires-Dist: nvidia-cudnn-cu13==9.26.0.51; platform_system == "Linux"
Requires-Dist: nvidia-extra==1; extra == "more"
Requires-Dist: triton~=3.9.0; platform_system == "Linux" and python_version < "3.16"
`;

test('cudaRequirements() takes the libraries of NVIDIA, headers for graphs, and nothing of Python', () => {
  expect(cudaRequirements(METADATA)).toEqual([
    'cuda-toolkit[cublas,cudart,cufft,crt]==13.2.2',
    'nvidia-cudnn-cu13==9.26.0.51',
  ]);
  expect(cudaRequirements('Name: torch\nRequires-Dist: numpy\n')).toEqual([]);
});

test("readPipReport() takes names, versions and places of pip's plan, and refuses anything else", () => {
  const wheel = {
    download_info: { url: 'https://files/nvidia_cudnn.whl', archive_info: {} },
    metadata: { name: 'nvidia-cudnn-cu13', version: '9.26.0.51', summary: 'cuDNN' },
  };
  expect(readPipReport(JSON.stringify({ version: '1', install: [wheel] }))).toEqual([
    { name: 'nvidia-cudnn-cu13', version: '9.26.0.51', url: 'https://files/nvidia_cudnn.whl' },
  ]);
  expect(() => readPipReport('{"install": [{}]}')).toThrow();
});

test('describeWheels() says before the download how much it is, the largest first', () => {
  const wheel = (name: string, bytes: number | null) => ({ name, version: '1', url: '', bytes });
  const wheels = [wheel('small', 2e7), wheel('large', 7e8), wheel('other', null)];
  expect(describeWheels(wheels)).toEqual([
    "CUDA's half of LibTorch needs 3 wheels, 0.7 GB to fetch:",
    '  large 1, 0.7 GB',
    '  small 1, 0.0 GB',
    '  other 1, of unknown size',
  ]);
  expect(totalBytes([wheel('other', null)])).toBeNull();
});
