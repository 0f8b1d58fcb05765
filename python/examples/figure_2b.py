"""Figure 2b of arXiv 2106.03970: the orthogonality gap falls with the width like a power."""

import matplotlib.pyplot as plt
import numpy as np

import orthogap

widths, depth, runs = [16, 32, 64, 128, 256, 512], 500, 40
x = orthogap.spiked_batch(4, 1e-6)
gaps = []
for width in widths:
    ensemble = orthogap.Network(width).run(x, depth, runs, at=range(1, depth + 1), seed=width)
    gaps.append(np.log(ensemble["orthogonality_gap"].mean(axis=1)).mean())  # as in the paper
slope, intercept = np.polyfit(np.log(widths), gaps, 1)
theory = [orthogap.theory.mean_gap(4, width) for width in widths]
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.loglog(widths, np.exp(gaps), "o", label=f"mean over {depth} layers, {runs} runs")
axes.loglog(widths, np.exp(intercept) * np.array(widths) ** slope, label=f"slope {slope:.3f}")
axes.loglog(widths, theory, "--", color="gray", label="stationary law at large width")
axes.set(xlabel="width", ylabel="orthogonality gap", title="Four samples, linear layers, batch norm")
axes.set_xticks(widths, map(str, widths))
axes.set_yticks([0.05, 0.1, 0.2, 0.3], ["0.05", "0.1", "0.2", "0.3"])
axes.minorticks_off()
axes.legend()
figure.savefig("figure_2b.png", dpi=150)
