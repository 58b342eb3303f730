"""Kills a process that saves weights, again and again, and looks at what it left.

Run with a folder and a number of kills; prints how often each of two contents was found. It goes
on for at most ten times as many kills until it has found both.
"""

import itertools
import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import torch

from ssl_registry.build import build_backbone
from ssl_registry.config.pretrain import PretrainConfig
from ssl_registry.nn import Trunk
from ssl_registry.weights.networks import load_backbone
from ssl_registry.weights.read import read_weights
from ssl_registry.weights.write import write_trunk

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)
config = PretrainConfig.model_validate(
    {
        "image_size": 32,
        "channels": 1,
        "method": "simclr",
        "backbone": {"name": "unet_encoder", "widths": [4, 8, 16]},
        "data": [{"name": "phantom"}],
    }
)
contents = []
started = 0.0
for seed in (0, 1):
    torch.manual_seed(seed)
    trunk = Trunk(build_backbone(config.backbone, config.channels), None)
    started = time.perf_counter()
    record = {"id": str(seed), "gray": True, "data": []}
    write_trunk(folder, trunk, config, record, {"steps": seed})
    contents.append((trunk, record, read_weights(folder).card.digest))
seconds = time.perf_counter() - started
whole = {digest: seed for seed, (_, _, digest) in enumerate(contents)}
found: Counter[int] = Counter()
draw = random.Random(0)
for number in range(10 * kills):
    if number >= kills and len(found) == 2:
        break
    child = os.fork()
    if not child:
        for seed in itertools.cycle((0, 1)):
            trunk, record, _ = contents[seed]
            write_trunk(folder, trunk, config, record, {"steps": seed})
    time.sleep(draw.uniform(0, 4 * seconds))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    load_backbone(folder)
    card = read_weights(folder).card
    if (card.run["id"], card.summary["steps"]) != (str(whole[card.digest]), whole[card.digest]):
        raise SystemExit("the card is of other weights")
    found[whole[card.digest]] += 1
print(found[0], found[1])
