#!/usr/bin/env bash
# A sweep on Slurm nodes that share a file system:
#
#   sbatch search/cluster/slurm.sh my.toml /shared/sweeps
#
# Submit it from the checkout, with the environment in .venv. Two minutes before the time limit the
# sweep, and it alone, is sent SIGTERM: it saves what it has. Submit the same again and it goes on.
# Needs Slurm 22.05 or newer.

#SBATCH --job-name=elr-tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=elr-tune-%j.log

set -euo pipefail
sweep=${1:?usage: sbatch slurm.sh SWEEP_FILE STORAGE}
storage=${2:?usage: sbatch slurm.sh SWEEP_FILE STORAGE}
export PATH=$PWD/.venv/bin:$PATH

# One token for all nodes, in the home folder that they share, readable by its owner alone.
export RAY_AUTH_MODE=token
umask 077
test -s ~/.ray/auth_token || ray get-auth-token --generate > /dev/null

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes%%$'\n'*}
export RAY_SYMMETRIC_RUN_CLUSTER_WAIT_TIMEOUT=300
seconds=$((SLURM_JOB_END_TIME - $(date +%s) - 120))

# srun does not take over the job's --cpus-per-task by itself.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" ray symmetric-run --address "$head:6379" --min-nodes "$SLURM_NNODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "$SLURM_GPUS_ON_NODE" \
    -- env RAY_ADDRESS="$head:6379" timeout --signal=TERM "$seconds" \
    python -m search run "$sweep" --storage "$storage"
