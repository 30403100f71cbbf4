"""Work in threads: how many, and in order with few items begun; the kernels and readers release the lock."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral


def worker_count(workers: int | None) -> int:
    """`workers`, or as many as this process may use.  Raises TypeError for what is no whole number, ValueError below 1."""
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not isinstance(workers, Integral):
        raise TypeError(f"workers ({workers!r}) must be a whole number of threads; leave it out for all cores")
    if workers < 1:
        raise ValueError(f"workers ({workers}) must be at least 1; leave it out for all cores")
    return workers


def in_order(function, items, workers):
    """`map` in threads with at most `workers` items begun and not yet handed out: after a fault or Ctrl-C none begins."""
    with ThreadPoolExecutor(workers) as pool:
        begun: deque = deque()
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) >= workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
