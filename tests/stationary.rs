//! The stationary gap of the chain against the large-width law.

use orthogap::statistics::Moments;
use orthogap::theory::stationary::{mean_gap, mean_squared_gap};
use orthogap::{Input, Network, Scalar, Seed};

/// Means of `V` and `V²` over runs, every tenth layer from 60 to 260: with `decay` 0.8 or less a
/// layer the correlation over ten is below 0.11, and runs, not layers, give the standard error.
fn gaps<T: Scalar>(n: usize, d: usize, runs: u32) -> (Moments, Moments) {
    let input = Input::orthogonal(n).unwrap();
    let (mut first, mut second) = (Moments::new(), Moments::new());
    for run in 0..runs {
        let mut chain = Network::<T>::new(d).chain(&input, Seed(11).replicate(run)).unwrap();
        chain.advance(50).unwrap();
        let gaps: Vec<f64> =
            (0..21).map(|_| chain.advance(10).unwrap().orthogonality_gap()).collect();
        first.push(gaps.iter().sum::<f64>() / gaps.len() as f64);
        second.push(gaps.iter().map(|v| v * v).sum::<f64>() / gaps.len() as f64);
    }
    (first, second)
}

/// Within 3 standard errors of the law with its known relative correction `c/d` (0.2, 0.8, 3 for
/// n = 2, 4, 8; half of that for E V); 6 comparisons, false alarm rate 1.6 % (seeds are fixed).
#[test]
fn mean_and_mean_square() {
    let cases = [
        (2, 512, 0.2, gaps::<f64>(2, 512, 400)),
        (4, 512, 0.8, gaps::<f64>(4, 512, 200)),
        (8, 1024, 3.0, gaps::<f32>(8, 1024, 100)),
    ];
    for (n, d, c, (first, second)) in cases {
        let correction = c / d as f64;
        let checks = [
            ("E V", first, mean_gap(n, d) * (1.0 + correction / 2.0)),
            ("E V^2", second, mean_squared_gap(n, d) * (1.0 + correction)),
        ];
        for (name, moments, predicted) in checks {
            let z = (moments.mean() - predicted) / moments.standard_error();
            assert!(z.abs() < 3.0, "n = {n}, d = {d}: {name} off by {z} standard errors");
            assert!(moments.standard_error() < 0.02 * predicted, "too few runs to tell");
        }
    }
}
