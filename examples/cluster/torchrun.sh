#!/bin/sh
# Two machines with four ranks each, started by torchrun. Run this on both, with NODE=0 on the first and NODE=1 on the second;
# MASTER is the name of the first. torchrun comes with PyTorch (pip install torch); the ranks themselves use no Python.
torchrun --no-python --nnodes 2 --node-rank "$NODE" --nproc-per-node 4 --master-addr "$MASTER" --master-port 29500 bin/selm train my.yaml
