"""The laws behind the simulations: pure functions, independent of chains.

| | |
| --- | --- |
| large width, many layers: gap, singular values, relaxation | mean_gap, SingularValueLaw, .. |
| infinite width: the deterministic chain | mean_field_map, MeanFieldChain, mean_field_relu, .. |
| the map of a cosine under an activation | KernelMap |
| vanilla linear networks | lyapunov_exponents |
| gradients: how they grow from layer to layer | squared_growth, .. |
| small width: loss of rank | critical_width, estimate_critical_width |
| what the paper claims (arXiv 2106.03970) | theorem_1, corollary_3, lemma_2, lemma_4, theorem_5 |
"""

from orthogap._orthogap.theory import (
    RECTIFIED_SQUARED_GROWTH,
    Bound,
    KernelMap,
    MeanFieldChain,
    SingularValueLaw,
    corollary_3,
    critical_growth,
    critical_width,
    decay_rate,
    estimate_critical_width,
    haar_share,
    lemma_2,
    lemma_4,
    lyapunov_exponents,
    mean_coupling_bound,
    mean_field_map,
    mean_field_product,
    mean_field_quasi_monte_carlo,
    mean_field_relu,
    mean_gap,
    mean_lyapunov,
    mean_squared_gap,
    rectified_log_growth,
    relaxation_time,
    squared_distance,
    squared_growth,
    squared_growth_centred,
    theorem_1,
    theorem_5,
    traceless_growth,
)

__all__ = [
    "RECTIFIED_SQUARED_GROWTH",
    "Bound",
    "KernelMap",
    "MeanFieldChain",
    "SingularValueLaw",
    "corollary_3",
    "critical_growth",
    "critical_width",
    "decay_rate",
    "estimate_critical_width",
    "haar_share",
    "lemma_2",
    "lemma_4",
    "lyapunov_exponents",
    "mean_coupling_bound",
    "mean_field_map",
    "mean_field_product",
    "mean_field_quasi_monte_carlo",
    "mean_field_relu",
    "mean_gap",
    "mean_lyapunov",
    "mean_squared_gap",
    "rectified_log_growth",
    "relaxation_time",
    "squared_distance",
    "squared_growth",
    "squared_growth_centred",
    "theorem_1",
    "theorem_5",
    "traceless_growth",
]
