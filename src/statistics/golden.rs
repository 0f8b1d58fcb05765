//! Values of special functions from mpmath (`tests/golden/special_functions.csv`).

/// Asserts that `computed(parameter, argument)` has at most a relative error of `tolerance` in all
/// rows of a function, where it is not NaN, and returns how many rows those are.
pub(super) fn check(function: &str, tolerance: f64, computed: impl Fn(f64, f64) -> f64) -> usize {
    let rows = include_str!("../../tests/golden/special_functions.csv").lines().skip(1);
    rows.filter(|row| row.split(',').next() == Some(function))
        .filter(|row| {
            let numbers: Vec<f64> = row.split(',').skip(1).map(|x| x.parse().unwrap()).collect();
            let [parameter, argument, expected] = numbers[..] else { panic!("{row}") };
            let found = computed(parameter, argument);
            let error = (found - expected).abs();
            assert!(found.is_nan() || error <= tolerance * expected.abs(), "{row}: {found}");
            !found.is_nan()
        })
        .count()
}
