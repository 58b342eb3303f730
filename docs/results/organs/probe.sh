#!/bin/sh
# Scores the runs of run.sh on BUSI, beside random weights: sh probe.sh OUT RUN...
# Writes OUT/<run>-<part>.json: kNN and linear probes on the 78 validation and 156 test images.
set -eu
out=$1; shift
mkdir -p "$out"
for run in "$@"; do
    for part in val test; do
        ssl-registry probe "$run" --data busi --kind knn --kind linear --part "$part" --json \
            > "$out/part.json"
        mv "$out/part.json" "$out/$(basename "$run")-$part.json"
    done
done
