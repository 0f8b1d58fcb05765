//! What a layer costs, and what of that its parts cost: normals, layers, metrics.
//!
//! Sweeps hold one of width and batch fixed: a streamed layer is linear in the width d, and goes
//! from n to n² in the batch.

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use criterion::{criterion_group, criterion_main};
use orthogap::{Input, Network, Purpose, Scalar, Seed};
use rand_distr::{Distribution, StandardNormal};

/// Normals of a block, about a first-level cache full, beside the ziggurat on xoshiro256++.
fn normals(c: &mut Criterion) {
    let mut group = c.benchmark_group("normals");
    fill::<f64>(&mut group, "f64");
    fill::<f32>(&mut group, "f32");
    group.finish();
}

fn fill<T: Scalar>(group: &mut BenchmarkGroup<'_, WallTime>, scalar: &str)
where
    StandardNormal: Distribution<T>,
{
    let stream = Seed(1).replicate(0).stream(Purpose::User(0), 0, 0);
    let mut out = vec![T::zero(); 4096];
    group.throughput(Throughput::Elements(out.len() as u64));
    group.bench_function(BenchmarkId::new("fill_normal", scalar), |b| {
        b.iter(|| stream.fill_normal(&mut out));
    });
    let mut rng = stream.rng();
    group.bench_function(BenchmarkId::new("ziggurat", scalar), |b| {
        b.iter(|| out.fill_with(|| StandardNormal.sample(&mut rng)));
    });
}

/// Streamed layers over widths and over batches, on one thread; elements are entries of `H`.
fn streamed(c: &mut Criterion) {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    one_thread.expect("nothing has asked for threads before");
    let mut group = c.benchmark_group("streamed");
    let widths = [64, 256, 1024, 4096, 16384].map(|d| (d, 16));
    let batches = [1, 2, 4, 8, 32, 64, 128, 256].map(|n| (4096, n));
    for shape in [(32, 4), (512, 4)].into_iter().chain(widths).chain(batches) {
        layer::<f64>(&mut group, "f64", shape);
        layer::<f32>(&mut group, "f32", shape);
    }
    group.finish();
}

fn layer<T: Scalar>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    scalar: &str,
    (d, n): (usize, usize),
) {
    // Far from collapse: a batch of one is collapsed from the start, and stays.
    let input = Input::orthogonal(n).expect("a valid batch");
    let mut chain = Network::<T>::new(d).chain(&input, Seed(1)).expect("a valid recipe");
    group.throughput(Throughput::Elements((d * n) as u64));
    group.bench_function(BenchmarkId::new(scalar, format!("{d}x{n}")), |b| {
        b.iter(|| chain.step().expect("a layer").depth());
    });
}

/// The same with weights drawn; elements are weights.
fn explicit(c: &mut Criterion) {
    let mut group = c.benchmark_group("explicit");
    for (d, n) in [(32, 4), (256, 4), (1024, 16)] {
        let input = Input::orthogonal(n).expect("a valid batch");
        let network = Network::<f64>::new(d);
        let mut chain = network.explicit_chain(&input, Seed(1)).expect("a valid recipe");
        group.throughput(Throughput::Elements((d * d) as u64));
        group.bench_function(BenchmarkId::new("f64", format!("{d}x{n}")), |b| {
            b.iter(|| chain.step().expect("a layer").layer().depth());
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

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = normals, streamed, explicit, metrics
}
criterion_main!(benches);
