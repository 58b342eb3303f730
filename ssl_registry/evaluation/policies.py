"""What each aggregate means, in one line: names carry the policy, these lines explain it."""

from __future__ import annotations

import re
from typing import Final

_LINES: Final[dict[str, str]] = {
    "images": "Number of images.",
    "images/lesion": "Images whose truth has at least one foreground pixel at this size.",
    "images/vanished": (
        "Images whose lesion is there at native size but has no pixel left at training size; "
        "they are lesion images at native size only."
    ),
    "dice/lesion": "Mean Dice over the images with a lesion; images without one are left out.",
    "dice/all_empty1": (
        "Mean Dice over all images; where the truth is empty, 1 if the prediction is empty, else 0."
    ),
    "dice/global": "Dice of the pixels of all images taken together; large lesions weigh more.",
    "iou/lesion": "Mean intersection over union over the images with a lesion.",
    "precision/lesion": (
        "Mean precision over the images with a lesion in which anything was predicted."
    ),
    "sensitivity/lesion": "Mean sensitivity (recall of pixels) over the images with a lesion.",
    "detection_rate": "Share of the images with a lesion in which it is touched at all (Dice > 0).",
    "normal_false_positive_rate": (
        "Share of the images without a lesion in which any pixel was predicted."
    ),
}
_NAME: Final = re.compile(
    r"(?P<native>native/)?(?:class/(?P<class>.+)/)?"
    rf"(?P<metric>{'|'.join(map(re.escape, _LINES))})"
    r"(?:(?<=dice/lesion)/(?P<label>.+))?"
)


def explain(name: str) -> str:
    """One line on an aggregate's policy, for example of `native/class/cyst/dice/lesion`.

    Returns "" for a name that is no aggregate.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return ""
    line = _LINES[match["metric"]]
    if match["label"]:
        line += f" Only images labelled {match['label']}."
    if match["class"]:
        line += f" Only class {match['class']}."
    return line + (" At the size of the image files." if match["native"] else "")
