#!/usr/bin/env bash
# All that is to be measured on one CUDA GPU, in one command; tables to the screen, JSON to OUT.
#
#     benchmarks/gpu.sh DATA CIFAR OUT
#
# DATA holds busi/; CIFAR holds CIFAR-10 as train/CLASS/ and test/CLASS/ with pictures. What fails is
# said, and the rest goes on.
set -uo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
data="$1" cifar="$2" out="$3"
mkdir -p "$out"
failed=0

measure() {
    local name="$1" script="$2"
    shift 2
    printf '\n## %s\n\n' "$name"
    python "$here/$script" "$@" --device cuda --json "$out/$name.json" || { echo "$name failed"; failed=1; }
}

measure epochs pretrain.py --data "$data" --networks resnet18 resnet50 unet --sizes 32 64 128 224
measure finetuning finetune.py --data "$data/busi" --sizes 64
measure seeds seeds.py --sizes 32 64 128 --workers 4
measure peers peers.py --data "$data" --image-size 32 --colour
measure cifar cifar.py --data "$cifar" --epochs 200
exit "$failed"
