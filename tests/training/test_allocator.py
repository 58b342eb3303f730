"""How memory is kept and backed, in processes of their own: what the kernel says of them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from typing import Any

import pytest

CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
GLIBC = platform.libc_ver()[0] == "glibc"

FAULTS = """
import json, resource, sys
from ssl_registry.training.allocator import keep_freed_memory
import torch

told = keep_freed_memory() if sys.argv[1] == "keep" else False
for _ in range(12):
    torch.empty(1 << 24).fill_(1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.empty(1 << 24).fill_(1)
print(json.dumps([told, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before]))
"""

ROOM = """
import json, re, resource, sys
from pathlib import Path
from ssl_registry.training import allocator
import torch

def heap():
    "MiB of the heap that are to lie in huge pages."
    areas = re.split("(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    huge = [a for a in areas if "[heap]" in a and re.search("VmFlags:.* hg", a)]
    return sum(int(re.search("Size: +([0-9]+)", a)[1]) for a in huge) >> 10

def held():
    "MiB of memory."
    return int(re.search("VmRSS:[^0-9]+([0-9]+)", Path("/proc/self/status").read_text())[1]) >> 10

if sys.argv[1] == "limited":
    resource.setrlimit(resource.RLIMIT_DATA, (64 << 30, 64 << 30))
before = held()
told = [allocator.keep_freed_memory() for _ in range(2)]
room, grown = heap(), held() - before
taken = [torch.ones(1 << 24) for _ in range(3)]
used = held() - before - grown
del taken
print(json.dumps([told, allocator._may_ask(), room, grown, used, heap()]))
"""


def printed(code: str, argument: str, **more: str) -> Any:
    command = [sys.executable, "-c", code, argument]
    text = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**CLEAN, **more}
    ).stdout
    return json.loads(text)


def test_memory_is_kept_unless_the_user_has_set_it() -> None:
    """Faults of a loop that allocates 64 MiB each time."""
    if not GLIBC:
        assert printed(FAULTS, "keep")[0] is False
        return
    assert printed(FAULTS, "leave")[1] > 1000
    told, faults = printed(FAULTS, "keep")
    assert told and faults < 100
    assert printed(FAULTS, "keep", MALLOC_ARENA_MAX="4")[0] is False


def test_the_heap_is_to_lie_in_huge_pages_and_takes_no_memory_for_it() -> None:
    told, asked, room, grown, used, after = printed(ROOM, "")
    if not (GLIBC and asked):
        assert room == 0
        return
    assert told == [True, True]
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert free / 8 < room < free
    assert grown < 30
    # Tensors of 192 MiB lie in that room, and it is as large as before when they are gone.
    assert 150 < used < 260
    assert after == room


@pytest.mark.skipif(not GLIBC, reason="only glibc is told anything")
def test_where_address_space_is_limited_none_is_taken() -> None:
    told, asked, room, *_ = printed(ROOM, "limited")
    assert told == [True, True]
    assert not asked and room == 0
