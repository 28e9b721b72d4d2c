#!/bin/sh
# Trains each task that /models has no version of yet, by its default recipe: train-missing TASK ...
# What is there is left alone, so that it may run at every start. A run that was stopped goes on from SIGNET_CACHE.
set -eu
for task in "$@"; do
  if ls "/models/$task"/*/manifest.json >/dev/null 2>&1; then
    echo "$task: there is a version in /models, nothing to train"
  else
    signet-train "$task" --out /models
  fi
done
