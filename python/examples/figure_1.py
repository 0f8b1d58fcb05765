"""Figure 1 of arXiv 2106.03970: two samples become orthogonal with batch normalisation, else parallel."""

import matplotlib.pyplot as plt
import numpy as np

import orthogap

depth, runs, width = 120, 200, 32
x = orthogap.near_collinear_batch(2, 1e-3)
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for label, normalization, batch in [
    ("batch norm, from nearly parallel samples", "batch_norm", x),
    ("vanilla, from orthogonal samples", None, orthogap.orthogonal_batch(2)),
]:
    network = orthogap.Network(width, normalization=normalization)
    cosine = np.abs(network.run(batch, depth, runs, observe="cosine(0, 1)", seed=7)["cosine(0, 1)"])
    low, high = np.quantile(cosine, [0.25, 0.75], axis=0)
    (line,) = axes.plot(cosine.mean(axis=0), label=label)
    axes.fill_between(range(depth + 1), low, high, color=line.get_color(), alpha=0.15, linewidth=0)
axes.set(xlabel="layer", ylabel="absolute cosine of two samples", xlim=(0, depth), ylim=(0, 1.02))
axes.set_title(f"Width {width}, {runs} runs: means, and the middle half of runs")
axes.legend(loc="center right")
figure.savefig("figure_1.png", dpi=150)
