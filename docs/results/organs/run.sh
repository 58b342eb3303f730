#!/bin/sh
# Pre-trains each method on each network: sh run.sh OUT [NETWORK...]
# Needs SSL_REGISTRY_DATA, the folder that holds busi and camus.
set -eu
out=$1; shift
here=$(dirname "$0")
adam="training.optimizer={name='adam', learning_rate=3e-4, weight_decay=1e-4, warmup_epochs=2}"
moco="training.optimizer={name='sgd', learning_rate=0.03, weight_decay=1e-4, warmup_epochs=2}"
simsiam="training.optimizer={name='sgd', learning_rate=0.025, weight_decay=1e-4, warmup_epochs=0}"
[ $# -gt 0 ] || set -- resnet18 unet
for network in "$@"; do
    case $network in
        unet) set -- --set backbone=unet_encoder --set decoder=unet \
            --set training.batch_size=64 --set training.max_steps=300 \
            --set training.precision=bf16 ;;
        *) set -- --set backbone="$network" --set training.precision=fp32 ;;
    esac
    ssl-registry pretrain "$here/pretrain.toml" "$@" --resume --out "$out/simclr-$network" \
        --set method=simclr --set "$adam"
    ssl-registry pretrain "$here/pretrain.toml" "$@" --resume --out "$out/moco-$network" \
        --set "method={name='moco', symmetric=true, mask_same_image=true}" --set "$moco"
    ssl-registry pretrain "$here/pretrain.toml" "$@" --resume --out "$out/simsiam-$network" \
        --set method=simsiam --set "$simsiam"
done
