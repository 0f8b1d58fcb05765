"""The interpreter is released while Rust computes, and Ctrl-C is heard."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

import orthogap as og

WIDE = og.Network(1 << 22, dtype="float32")
X = og.gaussian_batch(4, 30, seed=1)


def test_other_threads_go_on() -> None:
    chain = WIDE.chain(X)
    depth, layers = 0, 30
    while True:
        worker = threading.Thread(target=chain.advance, args=(layers,))
        worker.start()
        steps = 0
        while worker.is_alive():
            time.sleep(0.001)
            steps += 1
        depth += layers
        assert chain.layer.depth == depth
        # Were the interpreter held, this thread would step twice at most.
        if steps > 10:
            break
        # A machine with many cores needs more layers.
        layers *= 2
        assert layers < 1000


def test_threads_share_nothing() -> None:
    gaps: dict[int, float] = {}

    def run(seed: int) -> None:
        gaps[seed] = og.Network(64).chain(X, seed=seed).advance(200).orthogonality_gap

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = {seed: og.Network(64).chain(X, seed=seed).advance(200) for seed in range(8)}
    assert gaps == {seed: layer.orthogonality_gap for seed, layer in alone.items()}


def test_one_chain_is_not_advanced_twice_at_once() -> None:
    chain = WIDE.chain(X)
    depth, layers, refused = 0, 20, False
    while not refused:
        worker = threading.Thread(target=chain.advance, args=(layers,))
        worker.start()
        time.sleep(0.02)
        depth += layers
        try:
            next(chain)
            # The worker has ended: a machine with many cores needs more layers.
            depth += 1
        except RuntimeError as error:
            assert "borrowed" in str(error)
            refused = True
        worker.join()
        assert chain.layer.depth == depth
        layers *= 2
        assert layers < 1000


def interrupted(work: Callable[[], object]) -> float:
    """The seconds that `work` goes on after Ctrl-C."""
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.perf_counter())
        _thread.interrupt_main()

    # A shell starts background jobs with SIGINT ignored, and Python keeps that.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    timer.join()
    signal.signal(signal.SIGINT, handler)
    return time.perf_counter() - sent[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_interrupt_between_layers(dtype: str) -> None:
    chain = og.Network(256, dtype=dtype).chain(X)
    assert interrupted(lambda: chain.advance(10**9)) < 5
    depth = chain.layer.depth
    assert depth > 0
    assert chain.advance(1).depth == depth + 1


def test_an_interrupt_within_a_layer() -> None:
    chain = og.Network(1 << 40, dtype="float32").chain(X)
    assert interrupted(lambda: next(chain)) < 5
    assert chain.layer.depth == 0


def test_an_interrupt_of_an_ensemble() -> None:
    network = og.Network(256)
    assert interrupted(lambda: network.run(X, 10**6, 1000, at=[10**6], progress=False)) < 5
    wide = og.Network(1 << 40)
    assert interrupted(lambda: wide.run(X, 1, 2, progress=False)) < 5


def test_an_interrupt_of_initial_weights() -> None:
    x = np.random.default_rng(1).standard_normal((50, 100))
    assert interrupted(lambda: og.orthogonal_init(x, [100] * 10**5)) < 5
