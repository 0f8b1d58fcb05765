//! One layer of the chain, streamed and with explicit weights, over widths and batch sizes.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use orthogap::{Input, Network, Seed};

fn layers(c: &mut Criterion) {
    let mut group = c.benchmark_group("layer");
    for (d, n) in [(32, 4), (512, 4), (1024, 16), (2048, 64)] {
        let input = Input::spiked(n, 1e-6).expect("a valid batch");
        let network = Network::<f64>::new(d);
        let mut streamed = network.chain(&input, Seed(1)).expect("a valid recipe");
        group.bench_function(BenchmarkId::new("streamed", format!("{d}x{n}")), |b| {
            b.iter(|| streamed.step().expect("a layer").depth());
        });
        let mut explicit = network.explicit_chain(&input, Seed(1)).expect("a valid recipe");
        group.bench_function(BenchmarkId::new("explicit", format!("{d}x{n}")), |b| {
            b.iter(|| explicit.step().expect("a layer").layer().depth());
        });
    }
    group.finish();
}

fn metrics(c: &mut Criterion) {
    let mut group = c.benchmark_group("metric");
    for n in [4, 16, 64, 256] {
        let input = Input::gaussian(4 * n, n, Seed(1)).expect("a valid batch");
        let gram = input.gram();
        group.bench_function(BenchmarkId::new("orthogonality_gap", n), |b| {
            b.iter(|| gram.orthogonality_gap());
        });
        group.bench_function(BenchmarkId::new("spectrum", n), |b| b.iter(|| gram.spectrum()));
    }
    group.finish();
}

criterion_group!(benches, layers, metrics);
criterion_main!(benches);
