"""Seed derivation: one seed per sample, derived from the seed of the run."""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *path: str | int) -> int:
    """Derive a 32-bit seed from all arguments, the same on every machine and in every process.

    llama.cpp takes 0xFFFFFFFF to mean "choose one", so that value is never returned.

    Args:
        seed: the parent seed, such as a run's.
        path: what the seed is for, such as a node, its round and a sample's number.
    """
    key = "\0".join(map(str, (seed, *path))).encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=4).digest(), "little") % 0xFFFFFFFF
