//! The experiment that observes the layers of a network.

use std::borrow::Cow;
use std::cmp::Reverse;

use super::{Experiment, Layers, Metric, Record};
use crate::{Input, Layer, Network, Replicate, Result, Scalar};

/// An experiment that sends a batch through a [`Network`] and observes its layers.
///
/// It records any number of observables at every chosen layer. A run whose chain fails, or whose
/// observable is undefined, [stops](super::Summary::stops) there and keeps its earlier records.
/// Dead samples and falls of the rank are [counted](super::Summary::dead_samples).
///
/// ```
/// use orthogap::experiment::{ChainExperiment, Ensemble, Metric};
/// use orthogap::{Activation, Input, Network, Seed};
///
/// let network = Network::<f32>::new(64).with_activation(Activation::Relu);
/// let input = Input::near_collinear(2, 1e-3)?;
/// let experiment = ChainExperiment::new(&network, &input)
///     .observe("cosine", |layer| layer.cosine(0, 1))
///     .observe_metrics([Metric::ConditionNumber, Metric::EffectiveRank])
///     .at((0..=20).step_by(5));
/// let summary = Ensemble::new(&experiment, Seed(7)).run(64)?;
/// assert!(summary.mean(0, "cosine")?.value > 0.999 && summary.mean(20, "cosine")?.value < 0.7);
/// assert!(summary.mean(20, "effective_rank")?.interval.low > 1.5);
/// # Ok::<(), orthogap::Error>(())
/// ```
pub struct ChainExperiment<'a> {
    walk: Box<Walk<'a>>,
    observables: Vec<String>,
    measures: Vec<Measure<'a>>,
    layers: Vec<Layers>,
}

/// Shows the layers of a run to a visitor, from the input to some depth.
type Walk<'a> =
    dyn Fn(Replicate, usize, &mut dyn FnMut(&Layer) -> Result<()>) -> Result<()> + Send + Sync + 'a;

/// Appends its values at a layer.
type Measure<'a> = Box<dyn Fn(&Layer, &mut Vec<f64>) -> Result<()> + Send + Sync + 'a>;

impl<'a> ChainExperiment<'a> {
    /// Creates an experiment that sends one batch through networks of a recipe, on its cheapest
    /// exact [engine](Network::engine).
    #[must_use]
    pub fn new<T: Scalar>(network: &Network<T>, input: &'a Input) -> Self {
        Self::of_inputs(network, move |_| Ok(Cow::Borrowed(input)))
    }

    /// Creates an experiment with a separate batch for each run, such as one drawn from a data set.
    ///
    /// ```
    /// use orthogap::experiment::{ChainExperiment, Ensemble};
    /// use orthogap::{Input, Network, Seed};
    ///
    /// let network = Network::<f64>::new(64);
    /// let experiment = ChainExperiment::with_inputs(&network, |run| Input::gaussian(100, 4, run))
    ///     .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
    ///     .at([0]);
    /// let summary = Ensemble::new(&experiment, Seed(7)).run(30)?;
    /// let inputs = summary.at(0, "orthogonality_gap").expect("observed");
    /// assert!(inputs.moments().sample_variance() > 0.0); // each run has its own
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn with_inputs<T: Scalar>(
        network: &Network<T>,
        input: impl Fn(Replicate) -> Result<Input> + Send + Sync + 'a,
    ) -> Self {
        Self::of_inputs(network, move |run| input(run).map(Cow::Owned))
    }

    fn of_inputs<T: Scalar>(
        network: &Network<T>,
        input: impl Fn(Replicate) -> Result<Cow<'a, Input>> + Send + Sync + 'a,
    ) -> Self {
        let network = network.clone();
        Self {
            walk: Box::new(move |run, depth, visit| {
                let mut chain = network.chain(&*input(run)?, run)?;
                visit(chain.layer())?;
                (0..depth).try_for_each(|_| visit(chain.step()?))
            }),
            observables: Vec::new(),
            measures: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Adds an observable.
    #[must_use]
    pub fn observe(
        self,
        name: &str,
        measure: impl Fn(&Layer) -> Result<f64> + Send + Sync + 'a,
    ) -> Self {
        self.observe_all([name], move |layer| Ok([measure(layer)?]))
    }

    /// Adds several observables that are computed together.
    #[must_use]
    pub fn observe_all<const N: usize>(
        mut self,
        names: [&str; N],
        measure: impl Fn(&Layer) -> Result<[f64; N]> + Send + Sync + 'a,
    ) -> Self {
        self.observables.extend(names.map(str::to_owned));
        self.measures.push(Box::new(move |layer, values| {
            values.extend(measure(layer)?);
            Ok(())
        }));
        self
    }

    /// Adds metrics as observables, under their [names](Metric::name). Those of the spectrum share
    /// one decomposition. A metric that is infinite, such as the condition number of a batch that
    /// lost its rank, stops the run.
    ///
    /// ```
    /// use orthogap::experiment::{ChainExperiment, Ensemble, Metric};
    /// use orthogap::{Input, Network, Seed};
    ///
    /// let (network, input) = (Network::<f64>::new(64), Input::orthogonal(4)?);
    /// let experiment = ChainExperiment::new(&network, &input)
    ///     .observe_metrics(Metric::ALL.to_vec())
    ///     .at([5]);
    /// let summary = Ensemble::new(&experiment, Seed(1)).run(10)?;
    /// assert!(summary.mean(5, "stable_rank")?.value > 1.0);
    /// # Ok::<(), orthogap::Error>(())
    /// ```
    #[must_use]
    pub fn observe_metrics(mut self, metrics: impl Into<Vec<Metric>>) -> Self {
        let metrics = metrics.into();
        self.observables.extend(metrics.iter().map(ToString::to_string));
        self.measures.push(Box::new(move |layer, values| {
            Metric::measure(&metrics, layer.gram(), values);
            Ok(())
        }));
        self
    }

    /// Adds layers at which to observe; 0 is the input.
    #[must_use]
    pub fn at(mut self, layers: impl IntoIterator<Item = usize>) -> Self {
        self.layers.extend(layers.into_iter().map(Layers::from));
        self
    }

    /// Adds means over a range of layers, first and last included. An ensemble refuses a range that
    /// ends before it begins.
    #[must_use]
    pub fn mean_over(mut self, layers: impl Into<Layers>) -> Self {
        self.layers.push(layers.into());
        self
    }

    /// Adds a layer: records its events, adds to the sums of its rows, and records the sums that
    /// end with it.
    fn look(&self, layer: &Layer, rows: &mut Rows, record: &mut Record) -> Result<()> {
        layer.events().iter().for_each(|event| record.note(event));
        let depth = layer.depth();
        rows.open(depth, &self.layers);
        if rows.open.is_empty() {
            return Ok(());
        }
        let mut values = Vec::new();
        self.measures.iter().try_for_each(|measure| measure(layer, &mut values))?;
        for (row, sum) in &mut rows.open {
            let Layers { first, last } = self.layers[*row];
            sum.resize(values.len(), 0.0);
            sum.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
            if depth == last {
                let count = (last - first + 1) as f64;
                sum.iter_mut().for_each(|sum| *sum /= count);
                record.set(*row, sum)?;
            }
        }
        rows.open.retain(|(row, _)| self.layers[*row].last > depth);
        Ok(())
    }
}

/// The rows of a record during a run: no layer goes over all of them.
struct Rows {
    /// Those that have not begun, the next one last.
    upcoming: Vec<usize>,
    /// Those that have, with the sums of their values.
    open: Vec<(usize, Vec<f64>)>,
}

impl Rows {
    fn new(layers: &[Layers]) -> Self {
        let mut upcoming: Vec<usize> = (0..layers.len()).collect();
        upcoming.sort_by_key(|&row| Reverse(layers[row].first));
        Self { upcoming, open: Vec::new() }
    }

    /// Opens the rows that begin with a layer.
    fn open(&mut self, depth: usize, layers: &[Layers]) {
        while let Some(row) = self.upcoming.pop_if(|row| layers[*row].first <= depth) {
            self.open.push((row, Vec::new()));
        }
    }
}

impl Experiment for ChainExperiment<'_> {
    fn observables(&self) -> &[String] {
        &self.observables
    }

    fn layers(&self) -> &[Layers] {
        &self.layers
    }

    fn run(&self, run: Replicate, record: &mut Record) -> Result<()> {
        let depth = self.layers.iter().map(|layers| layers.last).max().unwrap_or(0);
        let mut rows = Rows::new(&self.layers);
        (self.walk)(run, depth, &mut |layer| self.look(layer, &mut rows, record))
    }
}
