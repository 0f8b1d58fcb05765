//! Same seed, same bits, on any number of threads.

use std::ops::ControlFlow;

use nalgebra::DMatrix;
use orthogap::convolution::{Convolution, Images, Pooling};
use orthogap::metric::orthogonality_gap;
use orthogap::normalization::{BatchNorm, Normalization, SampleNorm, TrainableBatchNorm};
use orthogap::weights::{Fans, Haar, WeightInit};
use orthogap::{Error, Gram, Input, Network, Purpose, Scalar, Seed};

use crate::repeatability::bits;

/// Layers of a chain, so that threads meet the factor of another layer that threads have drawn.
const LAYERS: usize = 2;

/// The bits of a chain's layers on a pool of so many threads, and how often it told of its
/// progress.
fn on_threads<T: Scalar>(
    threads: usize,
    network: &Network<T>,
    input: &Input,
) -> (Vec<Vec<u64>>, usize) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    pool.install(|| {
        let mut chain = network.chain(input, Seed(5)).unwrap();
        let mut told = 0;
        let mut layer = || {
            let layer = chain.step_while(|_| {
                told += 1;
                ControlFlow::Continue(())
            });
            bits(layer.unwrap())
        };
        ((0..LAYERS).map(|_| layer()).collect(), told)
    })
}

/// Pools of 1, 2 and 7 threads, on linear networks with the paper's batch normalisation, with the
/// centred one that has an epsilon, and with none.
fn pools_agree<T: Scalar>(width: usize, batch_size: usize) {
    let input = Input::gaussian(2 * batch_size, batch_size, Seed(8)).unwrap();
    let centered = BatchNorm::standard(0.1).unwrap().into();
    for normalization in [BatchNorm::paper().into(), centered, Normalization::None] {
        let network = Network::<T>::new(width).with_normalization(normalization);
        let (alone, told) = on_threads(1, &network, &input);
        // A thread sums four super-blocks before it tells: here are more than eight. A layer without
        // normalisation is drawn at once, without rows.
        let rows = normalization != Normalization::None;
        assert!(
            !rows || told > 2 * LAYERS,
            "{width} x {batch_size} is too small for threads to share"
        );
        for threads in [2, 7] {
            let (shared, _) = on_threads(threads, &network, &input);
            assert!(shared == alone, "{threads} threads, {width} x {batch_size}, {network:?}");
        }
    }
}

#[test]
fn small_batch() {
    pools_agree::<f64>(1_000_000, 5);
    pools_agree::<f32>(1_000_000, 5);
}

#[test]
fn larger_batch() {
    pools_agree::<f64>(200_000, 16);
    pools_agree::<f32>(200_000, 16);
}

/// Operators on images, large enough for threads to share them.
#[test]
fn operators_on_images() {
    let shape = Images::new(16, 20, 20).unwrap();
    let h = Input::gaussian(16 * 400, 200, Seed(1)).unwrap();
    let h = shape.unflatten(h.columns().map(|x| x as f32)).unwrap();
    let weights =
        Input::gaussian(144, 24, Seed(2)).unwrap().columns().transpose().map(|x| x as f32);
    let (convolution, pooling) = (Convolution::new(3).unwrap(), Pooling::max(2).unwrap());
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let pooled = pooling.apply(shape, &h).unwrap();
            let back = pooling.adjoint(shape, &h, &pooled).unwrap();
            let patches = convolution.unfold(shape, &h).unwrap();
            let folded = convolution.fold(shape, &patches).unwrap();
            [pooled, back, patches, folded, convolution.apply(shape, &weights, &h).unwrap()]
        })
    };
    let alone = on(1);
    assert!(on(2) == alone && on(7) == alone);
}

/// Every normalisation of a matrix that threads share, and of a part of it, as bits; and the error of
/// the first row of two that cannot be normalised.
fn normalized<T: Scalar>() -> (Vec<u64>, Vec<Error>) {
    let (d, n) = (3000, 401);
    let mut h = DMatrix::<T>::zeros(d, n);
    let stream = |layer| Seed(5).replicate(0).stream(Purpose::User(0), layer, 0);
    stream(0).fill_normal(h.as_mut_slice());
    let mut gradient = h.clone();
    stream(1).fill_normal(gradient.as_mut_slice());

    let standard = BatchNorm::standard(1e-5).unwrap();
    let layer_norm = SampleNorm::group(3, 1e-5).unwrap();
    let mut layer = TrainableBatchNorm::<T>::new(d, 1e-5, 0.1).unwrap();
    let mut in_part = h.clone();
    standard.normalize_mut(&mut in_part.view_mut((1, 2), (d - 3, n - 2))).unwrap();
    let mut trained = h.clone();
    layer.train_mut(&mut trained).unwrap();
    layer.remember(&gradient).unwrap();
    let results = [
        BatchNorm::paper().normalize(&h).unwrap(),
        in_part,
        standard.pullback(&h, &gradient).unwrap(),
        trained,
        layer.infer(&h).unwrap(),
        layer_norm.normalize(&h).unwrap(),
        layer_norm.pullback(&h, &gradient).unwrap(),
    ];
    let statistics = layer.running_mean().iter().chain(layer.running_variance());
    let numbers = results.iter().flatten().chain(statistics);
    let to_bits = |&x: &T| {
        let x: f64 = x.into();
        x.to_bits()
    };
    let bits = numbers.map(to_bits).collect();

    h[(2900, 7)] = T::of(f64::NEG_INFINITY);
    h[(1700, 300)] = T::of(f64::INFINITY);
    let errors = vec![
        standard.normalize(&h).unwrap_err(),
        standard.pullback(&h, &gradient).unwrap_err(),
        layer.train(&h).unwrap_err(),
        layer.infer(&h).unwrap_err(),
        layer_norm.normalize(&h).unwrap_err(),
    ];
    (bits, errors)
}

#[test]
fn normalizations() {
    fn check<T: Scalar>() {
        let [one, two, seven] = [1, 2, 7].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(normalized::<T>)
        });
        assert!(one == two && one == seven);
        let (first, sample) = ((1700, 300), (2900, 7));
        for (error, place) in one.1.iter().zip([first, first, first, first, sample]) {
            let Error::NotFinite { row, column, .. } = *error else { panic!("{error}") };
            assert_eq!((row, column), place);
        }
    }
    check::<f64>();
    check::<f32>();
}

/// What sums over rows, and a matrix with orthonormal columns.
#[test]
fn metrics_and_frames() {
    let (d, n) = (20_000, 40);
    let mut h = DMatrix::<f64>::zeros(d, n);
    let stream = |layer| Seed(5).replicate(0).stream(Purpose::User(0), layer, 0);
    stream(0).fill_normal(h.as_mut_slice());
    let [one, two, seven] = [1, 2, 7].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let gap = orthogonality_gap(&h.rows(1, d - 1)).unwrap();
            let gram = Gram::from_columns(&h).unwrap();
            let mut frame = DMatrix::zeros(600, 200);
            Haar::default().sample_to(&mut frame, Fans { inputs: 200, outputs: 600 }, stream(1));
            let numbers = gram.factor().iter().chain(&frame).chain([&gap]);
            numbers.map(|x| x.to_bits()).collect::<Vec<_>>()
        })
    });
    assert!(one == two && one == seven);
}
