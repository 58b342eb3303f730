"""How much of an epoch each of several datasets gets."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from ssl_registry.config.pretrain import Mixing
from ssl_registry.errors import ConfigError


class Share(NamedTuple):
    """What an epoch shows of one dataset.

    Attributes:
        images: Its images.
        rounds: How often an epoch shows each of them.
        drawn: Further images that an epoch shows, drawn anew each time.
        in_turn: Further images that an epoch shows, going on where the last one ended: over the
            epochs, none is shown again before all have been.
    """

    images: int
    rounds: int = 0
    drawn: int = 0
    in_turn: int = 0

    @property
    def shown(self) -> int:
        """Images that an epoch shows, repetitions counted."""
        return self.rounds * self.images + self.drawn + self.in_turn


def epoch_shares(
    mixing: Mixing, sizes: Sequence[int], weights: Sequence[float], names: Sequence[str]
) -> tuple[Share, ...]:
    """Divide an epoch among datasets.

    `concatenate` shows each image as often as its dataset's weight says: at 2.5, twice, and half
    of the images, drawn anew for each epoch, a third time. `balanced` shows as many images as there
    are, of each dataset a number in proportion to its weight, rounded by largest remainder.

    Args:
        mixing: How datasets are mixed.
        sizes: Images of each dataset; an empty one takes no part.
        weights: Weight of each dataset, above 0.
        names: Their names, for messages.

    Raises:
        ConfigError: The weight of a dataset is so small that an epoch shows none of its images.
    """
    # The decimals as written, so that 0.7 is 7/10 and no rounding error decides.
    exact = [Fraction(str(weight)) for weight in weights]
    if mixing == "concatenate":
        shares = [_repeated(size, weight) for size, weight in zip(sizes, exact, strict=True)]
    else:
        shares = _balanced(sizes, exact)
    for share, name, weight in zip(shares, names, weights, strict=True):
        if share.images and not share.shown:
            raise ConfigError(
                f"the dataset {name!r} has the weight {weight:g}, by which an epoch shows none of "
                f"its {share.images} images; give it a larger weight, or leave it out"
            )
    return tuple(shares)


def epoch_length(shares: Sequence[Share]) -> int:
    """Images that an epoch shows."""
    return sum(share.shown for share in shares)


def _repeated(size: int, weight: Fraction) -> Share:
    rounds = int(weight)
    return Share(size, rounds=rounds, drawn=round((weight - rounds) * size))


def _balanced(sizes: Sequence[int], weights: Sequence[Fraction]) -> list[Share]:
    present = [weight if size else Fraction(0) for size, weight in zip(sizes, weights, strict=True)]
    exact = [weight * sum(sizes) / sum(present) for weight in present]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda number: counts[number] - exact[number])
    for number in by_remainder[: sum(sizes) - sum(counts)]:
        counts[number] += 1
    return [Share(size, in_turn=count) for size, count in zip(sizes, counts, strict=True)]
