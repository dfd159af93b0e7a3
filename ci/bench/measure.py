"""Times that can be compared: all candidates take turns, and the median of many rounds counts."""

import time
from collections.abc import Callable, Mapping
from statistics import median


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    synchronize: Callable[[], None] = lambda: None,
    rounds: int = 100,
    calls: int = 10,
) -> dict[str, float]:
    """Return the median seconds per call of each candidate; each round gives every one of them its turn."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for candidate in candidates.values():
        candidate()
    for _ in range(rounds):
        for name, candidate in candidates.items():
            synchronize()
            start = time.perf_counter()
            for _ in range(calls):
                candidate()
            synchronize()
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: median(found) for name, found in seconds.items()}
