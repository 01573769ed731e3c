#!/bin/bash
#SBATCH --job-name=cytoimagenet
#SBATCH --array=1-64%16
#SBATCH --cpus-per-task=2
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#
# One command as a Slurm array: each task makes its part of the shards, and one more job completes the folder.
#
#   parts=$(sbatch --parsable scripts/cluster/slurm.sh cytoimagenet extract /data/plate --model MODEL --output /shared/features)
#   sbatch --dependency=afterany:$parts --array=1-1 scripts/cluster/slurm.sh --complete cytoimagenet extract /data/plate \
#       --model MODEL --output /shared/features
#
# The completing job makes what parts that died have left, checks every shard and writes the summary. `python -m builder
# render` runs in the same way. The output lies on a disk that all nodes share and that can lock files.
set -euo pipefail
export OMP_NUM_THREADS=${SLURM_CPUS_PER_TASK:-2}
if [ "${1:-}" = --complete ]; then
    shift
    exec "$@"
fi
exec "$@" --part "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
