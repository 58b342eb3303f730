#!/bin/bash
# One pre-training over all GPUs of several machines. Send it off with
#     sbatch slurm.sh pretrain.toml runs/large
# and with the same line again, or by SLURM's own requeueing, to go on where it stopped.
#SBATCH --job-name=pretrain
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
# Two minutes before the time is up: the run writes a checkpoint and stops.
#SBATCH --signal=TERM@120
#SBATCH --requeue

set -euo pipefail
config=$1
out=$2

# Both on a file system that all machines see.
export SSL_REGISTRY_DATA=$HOME/data
export SSL_REGISTRY_CACHE=$HOME/ssl_registry_cache

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)

# One torchrun on each machine, which starts one process for each GPU. If one of them fails, all
# are ended. --resume starts anew where there is nothing to go on with.
srun --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_NNODES" \
    --nproc-per-node="$SLURM_GPUS_ON_NODE" \
    --rdzv-id="$SLURM_JOB_ID" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="$first:29500" \
    --no-python ssl-registry pretrain "$config" --out "$out" --resume
