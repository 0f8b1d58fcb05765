"""The result of Network.run, and its progress bar."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Ensemble(dict[str, Floats]):
    """The arrays (runs, layers) of observables by name, and their statistics.

    Entries are NaN where a run did not reach a layer; statistics are over the runs that did.
    """

    layers: Integers
    """The layers that were observed; 0 is the input."""
    means: dict[str, Floats]
    """Means over runs, (layers,)."""
    standard_errors: dict[str, Floats]
    """Standard errors of the means, (layers,)."""
    intervals: dict[str, Floats]
    """Ends of the interval that contains the true mean with probability 0.95, (layers, 2)."""
    stopped: int
    """The number of runs that ended early."""
    stops: list[tuple[int, str]]
    """The first 16 runs that ended early, and why."""
    dead_samples: Integers
    """The number of runs that had dead samples by each layer, (layers,)."""
    rank_loss: Integers
    """The number of runs that had lost rank by each layer, (layers,)."""
    seed: int
    """The seed of the runs; run k is replicate k."""

    def __init__(self, samples: dict[str, Floats], **statistics: Any) -> None:
        super().__init__(samples)
        self.__dict__.update(statistics)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_restore, (dict(self), self.__dict__))

    def __repr__(self) -> str:
        runs = len(next(iter(self.values())))
        return f"Ensemble({', '.join(self)}; {runs} runs, {len(self.layers)} layers)"


def _restore(samples: dict[str, Floats], statistics: dict[str, Any]) -> Ensemble:
    return Ensemble(samples, **statistics)


class Bar(Protocol):
    """The interface of a progress bar."""

    def update(self, n: int, /) -> object: ...
    def close(self) -> object: ...


class NoBar:
    """A progress bar that does not show."""

    def update(self, n: int, /) -> None:
        pass

    def close(self) -> None:
        pass


def bar(runs: int, progress: bool) -> Bar:
    """Returns a bar that appears after a second, if `progress` is true and tqdm is installed."""
    if progress and importlib.util.find_spec("tqdm") is not None:
        auto: Any = importlib.import_module("tqdm.auto")
        shown: Bar = auto.tqdm(total=runs, unit="run", delay=1, leave=False)
        return shown
    return NoBar()
