"""The U-Net decoder with attention gates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ssl_registry.nn import ConcatenationStep, DecoderStep, SteppedDecoder, double_conv, doubling
from ssl_registry_attention_unet.config import AttentionUNetConfig


class AttentionGate(nn.Module):
    """Additive attention on a skip (Oktay et al. 2018, equations 1 and 2).

    With skip `x` and gating map `g`, both at the same size, 1x1 convolutions `W` and `psi`, each
    followed by batch normalisation::

        alpha = sigmoid(psi(relu(W_g g + W_x x)))        [N, 1, H, W]
        gated = alpha * x

    The gating map is the upsampled one, as in the common reference network; the paper gates with
    the coarser map and resamples alpha instead.

    Args:
        gate: Channels of the gating map.
        skip: Channels of the skip.
        inner: Channels between.
    """

    def __init__(self, gate: int, skip: int, inner: int) -> None:
        super().__init__()
        self.from_gate = nn.Sequential(nn.Conv2d(gate, inner, kernel_size=1), nn.BatchNorm2d(inner))
        self.from_skip = nn.Sequential(nn.Conv2d(skip, inner, kernel_size=1), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.Conv2d(inner, 1, kernel_size=1), nn.BatchNorm2d(1))

    def forward(self, skip: Tensor, gate: Tensor) -> Tensor:
        """The weighted skip, `[N, skip, H, W]`."""
        inner = (self.from_gate(gate) + self.from_skip(skip)).relu()
        alpha: Tensor = self.psi(inner).sigmoid()
        return alpha * skip


class _GatedStep(ConcatenationStep):
    """A U-Net step whose skip passes a gate."""

    def __init__(self, up: nn.Module, conv: nn.Module, gate: AttentionGate, width: int) -> None:
        super().__init__(up, conv, width)
        self.gate = gate

    def prepared(self, skip: Tensor, x: Tensor) -> Tensor:
        gated: Tensor = self.gate(skip, x)
        return gated


class AttentionUNetDecoder(SteppedDecoder):
    """The U-Net's decoder with an `AttentionGate` on each skip (Oktay et al. 2018, figure 1).

    As in the common network all skips have a gate; the authors' leaves out the finest, and is
    deeply supervised, which is a matter of training.

    Upsampling, gate, concatenation, double convolution. Steps without a skip have no gate. Sizes
    are handled as in `SteppedDecoder`, so any image size works. With the backbone `unet_encoder`
    and widths 64 to 1024 it is the published net in its common form: 34,877,421 parameters with
    one channel and one output.

    Args:
        config: Its settings.
        channels: Channels of the pyramid's levels, finest first.
        reductions: Their reductions, finest first.

    Raises:
        ConfigError: `widths` has fewer entries than there are steps.
    """

    def __init__(
        self, config: AttentionUNetConfig, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        def step(inputs: int, skip: int, width: int) -> DecoderStep:
            up = doubling(inputs, width, config.upsampling)
            conv = double_conv(width + skip, width)
            if skip == 0:
                return ConcatenationStep(up, conv, width)
            return _GatedStep(up, conv, AttentionGate(width, skip, width // 2), width)

        super().__init__(step, config.widths, channels, reductions)
