#!/bin/sh
# Slurm: two machines with four ranks each. Submit with `sbatch examples/cluster/slurm.sh`. The signal comes two minutes before the
# time is over: the run saves, and the same job submitted again goes on.
#SBATCH --nodes 2
#SBATCH --ntasks-per-node 4
#SBATCH --cpus-per-task 8
#SBATCH --time 04:00:00
#SBATCH --signal TERM@120
#SBATCH --requeue
srun --kill-on-bad-exit bin/selm train my.yaml
