"""Random deep networks through their Gram matrix: the Rust crate orthogap for NumPy.

Samples are rows: batches are arrays (n, d), float32 or float64. In C order they are read in place, in
other layouts copied; integers and float16 become float64, and other types are refused. An array must
not be written by another thread while a function reads it.

>>> import orthogap
>>> network = orthogap.Network(512)
>>> chain = network.chain(orthogap.spiked_batch(4, 1e-6), seed=7)
>>> chain.advance(50).orthogonality_gap < 0.12
True
"""

from orthogap import theory
from orthogap._ensemble import Ensemble
from orthogap._orthogap import (
    METRICS,
    BatchGradient,
    Bracket,
    Chain,
    Error,
    Event,
    ExplicitChain,
    ExplicitLayer,
    Gaussian,
    Gradients,
    Gram,
    Layer,
    LineW2,
    MatrixLaw,
    Network,
    Normalization,
    RowLaw,
    Sample,
    TangentKernel,
    W2,
    __version__,
    activate,
    batch_norm,
    condition_number,
    coupling_bound,
    effective_rank,
    gap_floor,
    gaussian_batch,
    group_norm,
    isometry_gap,
    layer_norm,
    line_w2,
    lyapunov,
    min_singular_value,
    near_collinear_batch,
    orthogonal_batch,
    orthogonal_init,
    orthogonality_gap,
    participation_ratio,
    rms_norm,
    spectrum,
    spiked_batch,
    stable_rank,
    w2_to_gaussian,
)

gap = orthogonality_gap

__all__ = [
    "METRICS",
    "BatchGradient",
    "Bracket",
    "Chain",
    "Ensemble",
    "Error",
    "Event",
    "ExplicitChain",
    "ExplicitLayer",
    "Gaussian",
    "Gradients",
    "Gram",
    "Layer",
    "LineW2",
    "MatrixLaw",
    "Network",
    "Normalization",
    "RowLaw",
    "Sample",
    "TangentKernel",
    "W2",
    "__version__",
    "activate",
    "batch_norm",
    "condition_number",
    "coupling_bound",
    "effective_rank",
    "gap",
    "gap_floor",
    "gaussian_batch",
    "group_norm",
    "isometry_gap",
    "layer_norm",
    "line_w2",
    "lyapunov",
    "min_singular_value",
    "near_collinear_batch",
    "orthogonal_batch",
    "orthogonal_init",
    "orthogonality_gap",
    "participation_ratio",
    "rms_norm",
    "spectrum",
    "spiked_batch",
    "stable_rank",
    "theory",
    "w2_to_gaussian",
]
