//! How unlikely a difference is: the two-sample Kolmogorov-Smirnov test.

/// The p-value of two samples under the hypothesis of one law, by the asymptotic distribution of
/// the largest distance between their empirical distribution functions, with the small-sample
/// correction of Stephens (1970).
pub fn kolmogorov_smirnov(mut left: Vec<f64>, mut right: Vec<f64>) -> f64 {
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    let (mut i, mut j, mut distance) = (0, 0, 0.0f64);
    while i < left.len() && j < right.len() {
        let value = left[i].min(right[j]);
        while i < left.len() && left[i] <= value {
            i += 1;
        }
        while j < right.len() && right[j] <= value {
            j += 1;
        }
        let gap = i as f64 / left.len() as f64 - j as f64 / right.len() as f64;
        distance = distance.max(gap.abs());
    }
    let root = ((left.len() * right.len()) as f64 / (left.len() + right.len()) as f64).sqrt();
    let x = distance * (root + 0.12 + 0.11 / root);
    if x < 0.2 {
        return 1.0; // to 13 digits, and the series below converges too slowly
    }
    let terms = (1..=100).map(|k: i32| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * (f64::from(k) * x).powi(2)).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

#[test]
fn p_values_are_large_for_one_law_and_small_beside_it() {
    let uniform = |start: usize| {
        // A golden-ratio sequence with a random-looking start: very even.
        (0..1000).map(|k| ((start + k) as f64 * 0.618_033_988_749_895).fract()).collect::<Vec<_>>()
    };
    assert!(kolmogorov_smirnov(uniform(0), uniform(5000)) > 0.99);
    let shifted = uniform(77).iter().map(|x| x + 0.1).collect();
    // Distance 0.1, root sqrt(500): the exact tail is 2 exp(-2 * 500 * 0.1²) = 9e-5.
    let p = kolmogorov_smirnov(uniform(0), shifted);
    assert!((5e-5..2e-4).contains(&p), "{p}");
}
