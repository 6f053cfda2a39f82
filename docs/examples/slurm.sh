#!/bin/bash
# sbatch slurm.sh; afterwards: judge-run merge traces.shard-*.feedback.jsonl -o traces.feedback.jsonl
# `auto/16` refuses an array with only some of the tasks: rerun one with `--shard 3/16` and its own log as `-o`.
#SBATCH --job-name=judge-run
#SBATCH --array=1-16
#SBATCH --time=02:00:00
#SBATCH --cpus-per-task=1
#SBATCH --mem=256M
#SBATCH --requeue
#SBATCH --signal=B:TERM@60

# `exec`, so that the signal before the time limit reaches judge-run: answers in flight are saved, and the requeued task resumes.
exec judge-run --dataset traces.jsonl --judge safety --model openai:/gpt-4.1-mini \
    --shard auto/16 --rpm 30 --gate 'errors <= 5%'
