//! Operators on images, on weights and on samples, on one thread; elements are numbers that come in.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::nalgebra::DMatrix;
use orthogap::wasserstein::{Gaussian, Sample, normal_bins};
use orthogap::weights::{Fans, Haar, WeightInit};
use orthogap::{Input, Network, Purpose, Scalar, Seed, normalization::Normalization};

fn normals<T: Scalar>(rows: usize, columns: usize, seed: u64) -> DMatrix<T> {
    let mut matrix = DMatrix::zeros(rows, columns);
    let stream = Seed(seed).replicate(0).stream(Purpose::User(0), 0, 0);
    stream.fill_normal(matrix.as_mut_slice());
    matrix
}

/// A 3 x 3 convolution and a 2 x 2 pooling, with the adjoints that training takes.
fn images<T: Scalar>(c: &mut Criterion, scalar: &str) {
    let mut group = c.benchmark_group(format!("images {scalar}"));
    let (convolution, pooling) =
        (Convolution::new(3).expect("a kernel"), Pooling::max(2).expect("a window"));
    for (channels, side) in [(3, 32), (64, 16), (128, 8)] {
        let shape = Images::new(channels, side, side).expect("a shape");
        let h = normals::<T>(channels, side * side * 50, 3);
        let weights = normals::<T>(channels.max(64), channels * 9, 4);
        let gradient = pooling.apply(shape, &h).expect("finite numbers");
        let patches = convolution.unfold(shape, &h).expect("finite numbers");
        let name = format!("{channels}x{side}x{side}");
        group.throughput(Throughput::Elements(h.len() as u64));
        group.bench_function(BenchmarkId::new("convolution", &name), |b| {
            b.iter(|| convolution.apply(shape, &weights, &h).expect("finite numbers"));
        });
        group.bench_function(BenchmarkId::new("fold", &name), |b| {
            b.iter(|| convolution.fold(shape, &patches).expect("finite numbers"));
        });
        group.bench_function(BenchmarkId::new("pooling", &name), |b| {
            b.iter(|| pooling.apply(shape, &h).expect("finite numbers"));
        });
        group.bench_function(BenchmarkId::new("pooling_adjoint", &name), |b| {
            b.iter(|| pooling.adjoint(shape, &h, &gradient).expect("finite numbers"));
        });
    }
    group.finish();
}

/// Both scalars, on one thread.
fn of_images(c: &mut Criterion) {
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build_global();
    one_thread.expect("nothing has asked for threads before");
    images::<f64>(c, "f64");
    images::<f32>(c, "f32");
}

/// Haar matrices, and layers without normalisation at any width.
fn draws(c: &mut Criterion) {
    let mut group = c.benchmark_group("draws");
    for width in [64, 256, 1024] {
        let mut weights = DMatrix::<f64>::zeros(width, width);
        let fans = Fans { inputs: width, outputs: width };
        group.throughput(Throughput::Elements((width * width) as u64));
        group.bench_function(BenchmarkId::new("haar", width), |b| {
            let stream = Seed(1).replicate(0).stream(Purpose::Weights, 1, 0);
            b.iter(|| Haar::default().sample_to(&mut weights, fans, stream));
        });
    }
    for n in [4, 16, 64] {
        let input = Input::orthogonal(n).expect("a valid batch");
        let network = Network::<f64>::new(4096).with_normalization(Normalization::None);
        let mut chain = network.chain(&input, Seed(1)).expect("a valid recipe");
        group.throughput(Throughput::Elements((n * n) as u64));
        group.bench_function(BenchmarkId::new("vanilla", n), |b| {
            b.iter(|| chain.step().expect("a layer").depth());
        });
    }
    group.finish();
}

/// Distances between samples and between Gaussians.
fn transport(c: &mut Criterion) {
    let mut group = c.benchmark_group("transport");
    for n in [64, 256] {
        let law = |seed| {
            let h = normals::<f64>(4 * n, n, seed);
            Gaussian::from_covariance(&(h.transpose() * &h)).expect("a covariance")
        };
        let (a, b_law) = (law(1), law(2));
        group.throughput(Throughput::Elements((2 * n * n) as u64));
        group.bench_function(BenchmarkId::new("bures", n), |b| {
            b.iter(|| a.w2(&b_law).expect("one dimension"));
        });
    }
    let numbers = normals::<f64>(10_000, 1, 3);
    let bins = normal_bins(numbers.len()).expect("a count");
    group.throughput(Throughput::Elements(numbers.len() as u64));
    group.bench_function("line", |b| {
        b.iter(|| bins.w2(numbers.as_slice(), 0.0, 1.0).expect("finite numbers"));
    });
    group.bench_function("normal_bins", |b| {
        b.iter(|| normal_bins(numbers.len()).expect("a count"));
    });
    for count in [100, 500] {
        let sample =
            |seed| Sample::from_rows(&normals::<f64>(count, 16, seed)).expect("finite numbers");
        let (a, other) = (sample(6), sample(7));
        group.throughput(Throughput::Elements((2 * count * 16) as u64));
        group.bench_function(BenchmarkId::new("assignment", count), |b| {
            b.iter(|| a.assignment(&other).expect("samples of one size"));
        });
        group.bench_function(BenchmarkId::new("entropic", count), |b| {
            b.iter(|| a.entropic_transport(&other, 1.0).expect("a plan"));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = of_images, draws, transport
}
criterion_main!(benches);
