"""What the processor can do, as torch tells it; imports no torch."""

from __future__ import annotations

_QUESTIONS = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")


def multiplies_bf16(cpu: object) -> bool:
    """Whether the processor multiplies bf16 numbers in hardware: by AMX tiles or AVX-512 BF16.

    Args:
        cpu: The module `torch.cpu`; where it does not know a question, the answer is no.
    """
    return any(getattr(cpu, question, bool)() for question in _QUESTIONS)
