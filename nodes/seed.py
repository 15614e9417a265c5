"""Seeds, one for each sample of each run of each node, all from the run's one."""

from __future__ import annotations

import hashlib


def derive_seed(run_seed: int, node: str, round: int, sample: int) -> int:
    """A 32-bit seed that depends on all four, the same on every machine and in every process.

    llama.cpp takes 0xFFFFFFFF to mean "choose one", so that value is never returned.
    """
    key = f"{run_seed}\0{node}\0{round}\0{sample}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "little") % 0xFFFFFFFF
