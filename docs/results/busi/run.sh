#!/usr/bin/env bash
# All runs of docs/results.md on BUSI, one after the other; a run that is done is not repeated.
# From the repository's root:  bash docs/results/busi/run.sh DATA/busi runs/busi
set -euo pipefail
# One thread a run: the thread count changes the last bits.
export OMP_NUM_THREADS=1
root="$1" out="$2" here="$(dirname "$0")"

finetune() {
    local name="$1"
    shift
    ssl-registry finetune "$here/finetune.toml" --set "data.root=$root" --out "$out/$name" \
        --resume "$@"
}

ssl-registry pretrain "$here/pretrain.toml" --set "data.0.root=$root" --out "$out/pretrained" \
    --resume
for arm in scratch pretrained; do
    extra=()
    if [[ $arm == pretrained ]]; then
        extra=(--set "weights=$out/pretrained/weights")
    fi
    for seed in 0 1; do
        finetune "$arm-100-s$seed" --set "seed=$seed" "${extra[@]}"
    done
    for seed in 0 1 2; do
        finetune "$arm-10-s$seed" --set "seed=$seed" --set fraction=0.1 \
            --set training.epochs=200 "${extra[@]}"
    done
done
finetune scratch64-100-s0 --set image_size=64 --set training.precision=bf16
finetune mended64-100-s0 --set image_size=64 --set training.precision=bf16 \
    --set selection=dice/all_empty1 --set task.name=supervised --set task.dice=batch \
    --set task.augment=light
python "$here/table.py" "$out"
