"""Encoders of other libraries come in with the same features, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from ssl_registry.build import build_backbone
from ssl_registry.config.importing import ImportConfig
from ssl_registry.config.load import validate
from ssl_registry.errors import WeightsError
from ssl_registry.interfaces.backbone import Backbone
from ssl_registry.weights.card import Card
from ssl_registry.weights.foreign_file import ForeignFile
from ssl_registry.weights.importing import adopt, import_file
from ssl_registry.weights.layouts import LAYOUTS, SOURCES, Source
from ssl_registry.weights.networks import load_backbone
from ssl_registry.weights.tensors import file_digest

Module = TypeVar("Module", bound=nn.Module)
CIFAR = {"name": "resnet18", "stem": "cifar"}


def shaken(module: Module) -> Module:
    """In eval mode, with values in every tensor that no fresh module has."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in module.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand(value.shape, generator=generator) * 0.02)
            else:
                value.fill_(7)
    return module.eval()


def resnet(depth: int = 18, classes: int = 1000) -> torchvision.models.ResNet:
    build = getattr(torchvision.models, f"resnet{depth}")
    model: torchvision.models.ResNet = shaken(build(num_classes=classes))
    return model


def images(channels: int = 3, side: int = 48) -> Tensor:
    return torch.rand(2, channels, side, side, generator=torch.Generator().manual_seed(1))


def last_map(model: torchvision.models.ResNet, batch: Tensor) -> Tensor:
    """What the classifier of a torchvision ResNet pools."""
    features: Tensor = nn.Sequential(*list(model.children())[:-2])(batch)
    return features


def brought_in(
    file: Path, source: Source | None, backbone: str | dict[str, Any], **settings: Any
) -> tuple[Backbone, Card]:
    config = validate(ImportConfig, {"backbone": backbone, **settings}, "test")
    out = file.parent / "weights"
    import_file(file, source, config, out)
    return load_backbone(out)


def same_last_map(backbone: Backbone, expected: Tensor, batch: Tensor) -> bool:
    with torch.inference_mode():
        return torch.equal(backbone(batch)[-1], expected)


class MoCo(nn.Module):
    """The names of the official builder (v2: a projection of two layers)."""

    def __init__(self, encoder: torchvision.models.ResNet) -> None:
        super().__init__()
        self.encoder_q = encoder
        self.encoder_k = resnet(18, 8)
        for model in (self.encoder_q, self.encoder_k):
            width = model.fc.weight.shape[1]
            model.fc = nn.Sequential(nn.Linear(width, width), nn.ReLU(), model.fc)
        self.register_buffer("queue", torch.randn(8, 16))
        self.register_buffer("queue_ptr", torch.zeros(1, dtype=torch.long))


class SimSiam(nn.Module):
    """The names of the official builder: the last layer of the projector keeps a fixed bias."""

    def __init__(self, encoder: torchvision.models.ResNet) -> None:
        super().__init__()
        self.encoder = encoder
        width, out = encoder.fc.weight.shape[1], encoder.fc.weight.shape[0]
        encoder.fc.bias.requires_grad = False
        encoder.fc = nn.Sequential(
            *(nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
            *(encoder.fc, nn.BatchNorm1d(out, affine=False)),
        )
        self.predictor = nn.Sequential(
            nn.Linear(out, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, out)
        )


OFFICIAL: dict[str, tuple[Callable[[torchvision.models.ResNet], nn.Module], set[str]]] = {
    "moco": (MoCo, {"encoder_k", "queue", "queue_ptr", "fc"}),
    "simsiam": (SimSiam, {"predictor", "fc"}),
}


@pytest.mark.parametrize(("method", "depth"), [("moco", 50), ("simsiam", 18)])
def test_official_checkpoints(tmp_path: Path, method: str, depth: int) -> None:
    build, left_out = OFFICIAL[method]
    encoder = resnet(depth, 8)
    with torch.inference_mode():
        expected = last_map(encoder, images())
    wrapped = nn.DataParallel(build(encoder))
    momenta = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.03}]}
    file = tmp_path / "checkpoint_0199.pth.tar"
    content = {"epoch": 200, "arch": "resnet50", "state_dict": wrapped.state_dict()}
    torch.save({**content, "optimizer": momenta}, file)
    other: Source = "simsiam" if method == "moco" else "timm"
    with pytest.raises(WeightsError, match=f"those of {other} are, but as those of {method}"):
        brought_in(file, other, f"resnet{depth}")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    backbone, card = brought_in(file, None, f"resnet{depth}")
    assert same_last_map(backbone, expected, images())
    origin = card.run["origin"]
    assert origin["layout"].startswith(f"{method} (")
    assert {name.partition(".")[0] for name in origin["left_out"]} == left_out
    assert origin["entry"] == "state_dict"
    assert [rule["pattern"] for rule in origin["rules"]][:1] == [r"^module\."]
    assert (card.mean, card.image_size, card.licence) == ((0.485, 0.456, 0.406), 224, None)


def plain(model: torchvision.models.ResNet) -> dict[str, Tensor]:
    return dict(model.state_dict())


def under(prefix: str, model: torchvision.models.ResNet, *heads: str) -> dict[str, Tensor]:
    """The encoder without classifier under a prefix, beside heads of that name."""
    state = {f"{prefix}.{k}": v for k, v in plain(model).items() if not k.startswith("fc.")}
    return state | {head: torch.ones(2) for head in heads}


def numbered(model: torchvision.models.ResNet, prefix: str = "") -> dict[str, Tensor]:
    """As lightly's tutorials take a ResNet apart."""
    parts = nn.Sequential(*list(model.children())[:-1])
    return {f"{prefix}{name}": value for name, value in parts.state_dict().items()}


SOLO = ("classifier.weight", "projector.0.weight", "momentum_projector.0.bias", "queue")
TUTORIAL = ("projection_head.layers.0.weight", "backbone_momentum.0.weight")
ALIKE = ({"timm", "torchvision"}, {"lightly", "solo-learn"})
STATES: list[tuple[Source, Callable[[torchvision.models.ResNet], dict[str, Tensor]]]] = [
    ("torchvision", plain),
    ("timm", plain),
    ("solo-learn", partial(under, "backbone")),
    ("solo-learn", lambda model: under("backbone", model, *SOLO, "predictor.0.weight")),
    ("solo-learn", lambda model: under("encoder", model, *SOLO, "predictor.0.weight")),
    ("lightly", lambda model: under("backbone", model, "projection_head.layers.0.weight")),
    ("lightly", partial(under, "backbone")),
    ("lightly", numbered),
    ("lightly", partial(numbered, prefix="backbone.")),
    ("lightly", lambda m: numbered(m, "backbone.") | {name: torch.ones(2) for name in TUTORIAL}),
    ("smp", lambda model: under("encoder", model, "decoder.a", "segmentation_head.0.weight")),
    ("smp", lambda model: under("model.encoder", model, "model.decoder.a")),
]


@pytest.fixture(scope="module")
def model() -> torchvision.models.ResNet:
    return resnet()


@pytest.fixture(scope="module")
def expected(model: torchvision.models.ResNet) -> Tensor:
    with torch.inference_mode():
        return last_map(model, images())


@pytest.mark.parametrize(("source", "state"), STATES)
def test_each_layout_is_recognised_and_brings_the_same_features(
    model: torchvision.models.ResNet,
    expected: Tensor,
    source: Source,
    state: Callable[[torchvision.models.ResNet], dict[str, Tensor]],
) -> None:
    backbone = build_backbone(validate(ImportConfig, {"backbone": "resnet18"}, "test").backbone, 3)
    module = backbone.exported()
    given = state(model)
    for wanted in (source, None):
        found = adopt(ForeignFile(given), wanted, module.state_dict())
        assert len(found.tensors) + len(found.left_out) == len(given)
        # Some names say nothing of where they come from.
        same = {found.layout.source, source}
        assert len(same) == 1 or (not wanted and same in ALIKE)
        module.load_state_dict(found.tensors)
        assert same_last_map(backbone.eval(), expected, images())


@pytest.mark.parametrize(("name", "content"), [
    ("model.safetensors", plain),
    ("model.bin", partial(under, "backbone")),
    ("last.ckpt", lambda model: {"state_dict": numbered(model, "backbone."), "epoch": 3}),
])  # fmt: skip
def test_files_come_in_whole(
    tmp_path: Path,
    model: torchvision.models.ResNet,
    expected: Tensor,
    name: str,
    content: Callable[[torchvision.models.ResNet], dict[str, Any]],
) -> None:
    save = save_file if name.endswith(".safetensors") else torch.save
    save(content(model), tmp_path / name)
    backbone, card = brought_in(tmp_path / name, None, "resnet18")
    assert same_last_map(backbone, expected, images())
    assert card.run["origin"]["sha256"] == file_digest(tmp_path / name)
    assert (card.library, card.architecture) == ("timm", "resnet18")


def test_every_source_has_a_layout() -> None:
    assert {layout.source for layout in LAYOUTS} == set(SOURCES)


def test_half_precision_and_counters_of_old_files(
    tmp_path: Path, model: torchvision.models.ResNet
) -> None:
    old = {k: v for k, v in plain(model).items() if not k.endswith("num_batches_tracked")}
    file = tmp_path / "old.safetensors"
    save_file({name: value.to(torch.bfloat16) for name, value in old.items()}, file)
    backbone, card = brought_in(file, "torchvision", "resnet18")
    state = backbone.exported().state_dict()
    assert state["conv1.weight"].dtype == torch.float32
    assert torch.equal(state["conv1.weight"], model.conv1.weight.to(torch.bfloat16).float())
    assert state["bn1.num_batches_tracked"] == 0
    assert len(card.run["origin"]["fresh"]) == 20
    assert any("from bfloat16 to float32" in text for text in card.run["origin"]["adapted"])


def test_one_channel_sees_gray_images_as_three_did(
    tmp_path: Path, model: torchvision.models.ResNet
) -> None:
    torch.save(plain(model), tmp_path / "model.pt")
    backbone, card = brought_in(tmp_path / "model.pt", None, "resnet18", channels=1)
    gray = images(1)
    with torch.inference_mode():
        expected = last_map(model, gray.expand(-1, 3, -1, -1))
        torch.testing.assert_close(backbone(gray)[-1], expected, rtol=1e-4, atol=1e-4)
    assert card.run["origin"]["adapted"] == ["backbone.conv1.weight from 3 to 1 channels"]
    assert (card.channels, card.gray) == (1, True)
    assert card.mean == pytest.approx((0.449,))


def test_solo_learns_small_stem_is_told_apart(tmp_path: Path) -> None:
    model = resnet()
    model.conv1 = nn.Conv2d(3, 64, 3, padding=2, bias=False)
    torch.save({"state_dict": under("backbone", model)}, tmp_path / "last.ckpt")
    _, card = brought_in(tmp_path / "last.ckpt", "solo-learn", CIFAR, image_size=32)
    assert any("pads the images by 2 px" in note for note in card.run["origin"]["notes"])
    assert card.image_size == 32


@pytest.mark.parametrize("name", ["convnext_atto", "vit_tiny_patch16_224"])
def test_other_timm_models_lose_only_their_classifier(tmp_path: Path, name: str) -> None:
    model: Any = shaken(timm.create_model(name, num_classes=5))
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    backbone, card = brought_in(
        tmp_path / "model.safetensors", "timm", {"name": "timm", "model": name}
    )
    batch = images(side=224)[:1]
    with torch.inference_mode():
        kept = timm.create_model(name, num_classes=0)
        kept.load_state_dict(backbone.exported().state_dict())
        head: Mapping[str, Tensor] = model.state_dict()
        classifier = model.pretrained_cfg["classifier"]
        pooled = kept.eval()(batch) @ head[f"{classifier}.weight"].T + head[f"{classifier}.bias"]
        torch.testing.assert_close(pooled, model(batch))
    assert {n.rpartition(".")[0] for n in card.run["origin"]["left_out"]} == {classifier}


@pytest.mark.parity
@pytest.mark.parametrize(
    ("name", "prefix"),
    [("resnet18", "model."), ("tu-resnet18", "module."), ("tu-convnext_atto", "")],
)
def test_encoders_of_segmentation_models_pytorch(tmp_path: Path, name: str, prefix: str) -> None:
    smp = pytest.importorskip("segmentation_models_pytorch", reason="needs smp")
    network = shaken(smp.Unet(name, encoder_weights=None))
    state = {f"{prefix}{key}": value for key, value in network.state_dict().items()}
    torch.save(state, tmp_path / "unet.pth")
    own = name.removeprefix("tu-")
    chosen = own if own == "resnet18" else {"name": "timm", "model": own}
    backbone, card = brought_in(tmp_path / "unet.pth", None, chosen)
    with torch.inference_mode():
        # smp lists the image too, and an empty map where a network has none of half the size.
        theirs = [m for m in network.encoder(images(side=64))[1:] if m.shape[1]]
        mine = backbone(images(side=64))
    assert len(mine) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert card.run["origin"]["layout"].startswith("smp (")
    assert len(card.run["origin"]["fresh"]) == (0 if own == "resnet18" else 2)
    # `model.encoder` saved alone; its names say nothing of smp where they are timm's.
    module = backbone.exported().state_dict()
    alone = adopt(ForeignFile(network.encoder.state_dict()), None, module)
    assert all(torch.equal(module[name], value) for name, value in alone.tensors.items())
    assert len(alone.tensors) == len(module) - len(card.run["origin"]["fresh"])


@pytest.mark.parity
@pytest.mark.parametrize("splits", [0, 4])
@pytest.mark.parametrize("form", ["whole", "backbone", "alone"])
def test_lightlys_own_resnets(tmp_path: Path, form: str, splits: int) -> None:
    models = pytest.importorskip("lightly.models", reason="needs lightly")
    generated = shaken(models.ResNetGenerator("resnet-18", num_splits=splits).train())
    parts = nn.Sequential(*list(generated.children())[:-1])
    saved = {
        "whole": generated,
        "backbone": nn.ModuleDict({"backbone": parts, "projection_head": nn.Linear(2, 2)}),
        "alone": parts,
    }[form]
    state = saved.state_dict()
    torch.save({"resnet18_parameters": state} if form == "alone" else state, tmp_path / "model.pth")
    backbone, card = brought_in(tmp_path / "model.pth", None, CIFAR, image_size=32)
    with torch.inference_mode():
        # Its bn1 is followed by a ReLU that is no module.
        features = torch.relu(generated.bn1(generated.conv1(images(side=32))))
        for stage in (generated.layer1, generated.layer2, generated.layer3, generated.layer4):
            features = stage(features)
        assert torch.equal(backbone(images(side=32))[-1], features)
    assert card.run["origin"]["layout"].startswith("lightly (")
    assert card.run["origin"]["entry"] == ("resnet18_parameters" if form == "alone" else "")


@pytest.mark.parity
def test_a_split_batch_norm_saved_in_training_is_averaged(tmp_path: Path) -> None:
    models = pytest.importorskip("lightly.models", reason="needs lightly")
    generated = models.ResNetGenerator("resnet-9", num_splits=2)
    norm = generated.bn1
    norm.running_mean.copy_(torch.arange(128.0))
    own = {"bn1.running_mean": torch.zeros(64)}
    found = adopt(ForeignFile(generated.state_dict()), "lightly", own)
    generated.eval()
    assert torch.equal(found.tensors["bn1.running_mean"], generated.bn1.running_mean[:64])


def test_statistics_that_only_say_to_be_large_are_not_averaged() -> None:
    given = {"conv1.weight": torch.ones(1), "layer1.0.shortcut.0.weight": torch.ones(1)}
    endless = torch.zeros(1).expand(2**40)
    own = {"bn1.running_mean": torch.zeros(64)}
    found = adopt(ForeignFile({**given, "bn1.running_mean": endless}), "lightly", own)
    assert found.tensors["bn1.running_mean"] is endless


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore")
def test_a_checkpoint_that_lightning_wrote(
    tmp_path: Path, model: torchvision.models.ResNet, expected: Tensor
) -> None:
    lightning = pytest.importorskip("pytorch_lightning", reason="needs lightly")

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, temperature: float = 0.5) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.backbone = nn.Sequential(*list(model.children())[:-1])
            self.projection_head = nn.Linear(2, 2)

        def training_step(self, batch: list[Tensor]) -> Tensor:
            loss: Tensor = self.projection_head(batch[0]).sum()
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.projection_head.parameters(), lr=0.1)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = lightning.Trainer(max_steps=1, accelerator="cpu", enable_model_summary=False, **quiet)
    module = Module()
    module.backbone.requires_grad_(False).eval()
    data = torch.utils.data.TensorDataset(torch.rand(2, 2))
    trainer.fit(module, torch.utils.data.DataLoader(data, batch_size=2))
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert "hyper_parameters" in torch.load(tmp_path / "last.ckpt", weights_only=False)
    backbone, card = brought_in(tmp_path / "last.ckpt", "lightly", "resnet18")
    assert same_last_map(backbone, expected, images())
    assert card.run["origin"]["entry"] == "state_dict"
