//! Measured numbers compared with known ones.

use orthogap::experiment::Observable;
use orthogap::report::{Table, Value};
use orthogap::statistics::Line;

/// A known number with its standard error.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its layer, in [`known`].
    pub layer: usize,
    /// The number.
    pub value: f64,
    /// Its standard error, which includes the rounding of printed digits.
    pub error: f64,
}

impl Known {
    /// A number that was printed with so many decimals, and also has this standard error.
    pub fn printed(value: f64, decimals: i32, error: f64) -> Self {
        let rounding = 0.1f64.powi(decimals) / 12f64.sqrt(); // that of a uniform law
        Self { layer: 0, value, error: error.hypot(rounding) }
    }

    /// An exact number.
    pub fn exact(value: f64) -> Self {
        Self { layer: 0, value, error: 0.0 }
    }
}

/// The means of a figure at one width, from an independent simulation with explicit weights.
///
/// The figure, the network and the width are those of the file.
pub fn known(figure: &str, network: &str, width: usize) -> Vec<Known> {
    let file = include_str!("../../../../tests/golden/paper_figures.csv");
    let start = format!("{figure},{network},{width},");
    let numbers = file.lines().filter_map(|line| line.strip_prefix(&start)).map(|line| {
        let fields: Vec<_> = line.split(',').collect();
        let number = |text: &str| text.parse().unwrap_or(0.0); // a blank error is none
        let value = number(fields[1]);
        let known = match fields[1].split_once('.') {
            Some((_, digits)) => Known::printed(value, digits.len() as i32, number(fields[2])),
            None => Known::exact(value),
        };
        Known { layer: number(fields[0]) as usize, ..known }
    });
    numbers.collect()
}

/// A measured number and the known one.
pub struct Comparison {
    /// The name of the measured quantity.
    pub quantity: String,
    /// Its estimate.
    pub measured: f64,
    /// The standard error of the estimate.
    pub error: f64,
    /// The known number, if there is one.
    pub known: Option<Known>,
    /// The statement of the paper.
    pub paper: &'static str,
}

impl Comparison {
    /// A mean over runs.
    pub fn mean(
        quantity: impl Into<String>,
        observable: &Observable,
        known: Option<Known>,
    ) -> Self {
        let moments = observable.moments();
        let (measured, error) = (moments.mean(), moments.standard_error());
        Self { quantity: quantity.into(), measured, error, known, paper: "" }
    }

    /// The slope of a line.
    pub fn slope(quantity: impl Into<String>, line: &Line, known: Option<Known>) -> Self {
        let (measured, error) = (line.slope(), line.slope_error());
        Self { quantity: quantity.into(), measured, error, known, paper: "" }
    }

    /// The same with the statement of the paper.
    pub fn paper(self, paper: &'static str) -> Self {
        Self { paper, ..self }
    }

    /// The difference between measured and known in its standard errors.
    pub fn z(&self) -> Option<f64> {
        let known = self.known?;
        let difference = self.measured - known.value;
        Some(if difference == 0.0 { 0.0 } else { difference / self.error.hypot(known.error) })
    }

    /// A table of comparisons.
    pub fn table(comparisons: &[Self]) -> orthogap::Result<Table> {
        let columns = ["quantity", "measured", "error", "known", "its error", "z", "paper"];
        let mut table = Table::new(columns);
        for comparison in comparisons {
            let rounded = |number: f64, decimals: usize| format!("{number:.decimals$}").into();
            let z = comparison.z().map_or(Value::Missing, |z| rounded(z, 1));
            let pair = |value, error| [value, error].map(|it| rounded(it, decimals(error)));
            let [measured, error] = pair(comparison.measured, comparison.error);
            let known = comparison.known.map(|known| pair(known.value, known.error));
            let [known, its_error] = known.unwrap_or([Value::Missing, Value::Missing]);
            let quantity = Value::from(comparison.quantity.as_str());
            table.push([
                quantity,
                measured,
                error,
                known,
                its_error,
                z,
                comparison.paper.into(),
            ])?;
        }
        Ok(table)
    }
}

/// The number of decimals that shows two digits of an error.
fn decimals(error: f64) -> usize {
    if error > 0.0 { (1.0 - error.log10().floor()).clamp(0.0, 9.0) as usize } else { 4 }
}
