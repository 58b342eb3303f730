"""Formulas as MathML, which browsers draw on their own.

The usual way, a script that is fetched from elsewhere, would leave formulas unreadable where the
network cannot be reached.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_DISPLAY = re.compile(r'<div class="arithmatex">\s*\\\[(.*?)\\\]\s*</div>', re.DOTALL)


def on_page_content(content: str, **_: Any) -> str:
    """Replace the formulas of a page."""
    content = _DISPLAY.sub(lambda found: _mathml(found[1], "block"), content)
    return _INLINE.sub(lambda found: _mathml(found[1], "inline"), content)


def _mathml(formula: str, display: str) -> str:
    drawn: str = convert(" ".join(html.unescape(formula).split()), display=display)
    return f'<div class="formula">{drawn}</div>' if display == "block" else drawn
