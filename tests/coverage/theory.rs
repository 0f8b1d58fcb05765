//! Coverage of the errors that the theory module states.

use orthogap::Activation::Relu;
use orthogap::theory::mean_field_activation::{quasi_monte_carlo, relu};
use orthogap::{Error, Input, Seed};

use super::Case;

/// Quantiles of Student's law of 11 degrees of freedom at .84 and .975 (SciPy).
const STUDENT: [f64; 2] = [1.0415, 2.2010];

/// The cosine of nearly parallel samples after ReLU, with the fewest points that are accepted, where
/// signs of a pair differ at two points a lattice: 95 % intervals of a twentieth of them cover 0.8.
#[test]
fn quasi_monte_carlo_with_the_fewest_points() {
    for (samples, distance, law) in [
        (2, 1e-2, "ReLU, 2 samples, distance 0.01"),
        (2, 1e-1, "ReLU, 2 samples, distance 0.1"),
        (4, 3e-2, "ReLU, 4 samples, distance 0.03"),
    ] {
        let input = Input::near_collinear(samples, distance).unwrap();
        let truth = relu(input.gram()).unwrap().matrix()[(0, 1)];
        let of = |points, seed| quasi_monte_carlo(input.gram(), &Relu, 1.0, points, Seed(seed));
        let Err(Error::SampleTooSmall { count: 1, minimum }) = of(1, 0) else {
            panic!("one point is enough")
        };
        assert!(of(minimum - 1, 0).is_err());
        let function = "quasi_monte_carlo";
        let case = Case { function, law, repetitions: 400, shortfall: 0.02, excess: 0.02 };
        case.check(|seed| {
            let estimate = of(minimum, seed).unwrap();
            let error = (estimate.gram.matrix()[(0, 1)] - truth).abs();
            STUDENT.map(|quantile| error <= quantile * estimate.standard_error[(0, 1)])
        });
    }
}
