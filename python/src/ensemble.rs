//! Many runs of a network, on all threads.

use std::cmp::Reverse;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use numpy::IntoPyArray;
use numpy::ndarray::Array2;
use orthogap::experiment::{Ensemble, Experiment, Layers, Record, Summary};
use orthogap::{Error, Input, Layer, Network, Replicate, Scalar, Seed};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::numbers;
use crate::error::{Result, of_batch, refuse};
use crate::gram::{METRICS, Metric, metric};
use crate::interrupt::watched;

/// The runs, and what they observe.
pub struct Plan {
    pub observe: Vec<String>,
    pub at: Vec<usize>,
    pub seed: Seed,
    pub runs: u32,
    pub progress: bool,
}

/// An observable of a layer.
#[derive(Clone, Copy)]
enum Observable {
    Metric(Metric),
    Cosine(usize, usize),
    LogScale,
    Rank,
}

impl Observable {
    fn named(name: &str) -> Result<Self> {
        let cosine = || {
            let pair = name.strip_prefix("cosine(")?.strip_suffix(')')?;
            let (i, j) = pair.split_once(',')?;
            Some(Self::Cosine(i.trim().parse().ok()?, j.trim().parse().ok()?))
        };
        match name {
            "log_scale" => Ok(Self::LogScale),
            "rank" => Ok(Self::Rank),
            _ => metric(name).map(Self::Metric).or_else(cosine).ok_or_else(|| {
                let known = METRICS.join(", ");
                refuse(format!(
                    "unknown observable {name:?}: expected {known}, log_scale, rank, cosine(0, 1)"
                ))
            }),
        }
    }
}

/// The runs of a network, which can be interrupted.
struct Runs<'a, T: Scalar> {
    network: &'a Network<T>,
    input: &'a Input,
    names: Vec<String>,
    observables: Vec<Observable>,
    layers: Vec<Layers>,
    stop: &'a AtomicBool,
    done: &'a AtomicU32,
}

impl<'a, T: Scalar> Runs<'a, T> {
    fn new(
        network: &'a Network<T>,
        input: &'a Input,
        plan: &Plan,
        observables: &[Observable],
        (stop, done): (&'a AtomicBool, &'a AtomicU32),
    ) -> Self {
        let layers = plan.at.iter().map(|&layer| layer.into()).collect();
        let (names, observables) = (plan.observe.clone(), observables.to_vec());
        Self { network, input, names, observables, layers, stop, done }
    }

    /// Records a layer in its rows; `upcoming` are all rows that follow, the next one last.
    fn look(
        &self,
        layer: &Layer,
        upcoming: &mut Vec<usize>,
        record: &mut Record,
    ) -> orthogap::Result<()> {
        layer.events().iter().for_each(|event| record.note(event));
        let mut next = || upcoming.pop_if(|row| self.layers[*row].last == layer.depth());
        let Some(first) = next() else { return Ok(()) };
        let spectrum = OnceLock::new();
        let value = |observable: &Observable| match *observable {
            Observable::Metric(of) => Ok(of(layer.gram(), &spectrum)),
            Observable::Cosine(i, j) => layer.cosine(i, j),
            Observable::LogScale => Ok(layer.log_scale()),
            Observable::Rank => Ok(layer.rank() as f64),
        };
        let values = self.observables.iter().map(value).collect::<orthogap::Result<Vec<_>>>()?;
        record.set(first, &values)?;
        std::iter::from_fn(next).try_for_each(|row| record.set(row, &values))
    }

    fn walk(&self, run: Replicate, record: &mut Record) -> orthogap::Result<()> {
        use std::ops::ControlFlow::{Break, Continue};
        let stopped = || self.stop.load(Ordering::Relaxed);
        let mut upcoming: Vec<usize> = (0..self.layers.len()).collect();
        upcoming.sort_by_key(|&row| Reverse(self.layers[row].last));
        let depth = upcoming.first().map_or(0, |&row| self.layers[row].last);
        let mut chain = self.network.chain(self.input, run)?;
        self.look(chain.layer(), &mut upcoming, record)?;
        for layer in 1..=depth {
            if stopped() {
                return Err(Error::Interrupted { layer, rows: 0 });
            }
            chain.step_while(|_| if stopped() { Break(()) } else { Continue(()) })?;
            self.look(chain.layer(), &mut upcoming, record)?;
        }
        Ok(())
    }
}

impl<T: Scalar> Experiment for Runs<'_, T> {
    fn observables(&self) -> &[String] {
        &self.names
    }

    fn layers(&self) -> &[Layers] {
        &self.layers
    }

    fn run(&self, run: Replicate, record: &mut Record) -> orthogap::Result<()> {
        let outcome = self.walk(run, record);
        self.done.fetch_add(1, Ordering::Relaxed); // whether it got to its last layer or not
        outcome
    }
}

/// Runs a network many times; returns the Ensemble of the Python layer.
pub fn run<'py, T: Scalar>(
    py: Python<'py>,
    network: &Network<T>,
    input: &Input,
    plan: Plan,
) -> Result<Bound<'py, PyAny>> {
    let observables =
        plan.observe.iter().map(|name| Observable::named(name)).collect::<Result<Vec<_>>>()?;
    if plan.runs == 0 {
        let expected = "at least one run";
        return Err(Error::InvalidParameter { name: "runs", value: 0.0, expected }.into());
    }
    let python = py.import("orthogap._ensemble")?;
    let bar = python.getattr("bar")?.call1((plan.runs, plan.progress))?;
    let (done, never) = (AtomicU32::new(0), AtomicBool::new(false));
    let update = bar.clone().unbind();
    let mut shown = 0;
    let mut show = |py: Python<'_>| {
        let now = done.load(Ordering::Relaxed);
        let more = now - shown;
        shown = now;
        update.call_method1(py, "update", (more,)).map(drop)
    };
    let records = py.detach(|| {
        watched(
            |stop| {
                let runs = Runs::new(network, input, &plan, &observables, (stop, &done));
                Ensemble::new(&runs, plan.seed).records(0..plan.runs)
            },
            || {
                Python::attach(|py| {
                    py.check_signals()?;
                    show(py)
                })
            },
        )
    });
    show(py)?;
    bar.call_method0("close")?;
    let runs = Runs::new(network, input, &plan, &observables, (&never, &done));
    let ensemble = Ensemble::new(&runs, plan.seed);
    let (rows, columns) = (plan.at.len(), plan.observe.len());
    let mut values = vec![Array2::from_elem((plan.runs as usize, rows), f64::NAN); columns];
    let mut summary = ensemble.empty();
    for (run, record) in records?.into_iter().enumerate() {
        let record = record.map_err(of_batch)?;
        summary.push(&record)?;
        for row in 0..rows {
            for (values, &value) in values.iter_mut().zip(record.row(row).into_iter().flatten()) {
                values[(run, row)] = value;
            }
        }
    }
    let arguments = PyDict::new(py);
    let samples = PyDict::new(py);
    for (name, values) in plan.observe.iter().zip(values) {
        samples.set_item(name, values.into_pyarray(py))?;
    }
    statistics(py, &plan, &summary, &arguments)?;
    Ok(python.getattr("Ensemble")?.call((samples,), Some(&arguments))?)
}

/// Means, errors, intervals and events, by name.
fn statistics(
    py: Python<'_>,
    plan: &Plan,
    summary: &Summary,
    arguments: &Bound<'_, PyDict>,
) -> Result<()> {
    let (means, errors, intervals) = (PyDict::new(py), PyDict::new(py), PyDict::new(py));
    for name in &plan.observe {
        let cells = || plan.at.iter().filter_map(|&layer| summary.over(layer, name));
        let mean: Vec<f64> = cells().map(|cell| cell.moments().mean()).collect();
        let error: Vec<f64> = cells().map(|cell| cell.moments().standard_error()).collect();
        let ends = cells().flat_map(|cell| {
            let interval = cell.moments().confidence_interval(0.95);
            interval.map_or([f64::NAN; 2], |interval| [interval.low, interval.high])
        });
        let ends: Vec<f64> = ends.collect();
        let ends = Array2::from_shape_vec((plan.at.len(), 2), ends)
            .map_err(|error| refuse(error.to_string()))?;
        means.set_item(name, numbers(py, mean))?;
        errors.set_item(name, numbers(py, error))?;
        intervals.set_item(name, ends.into_pyarray(py))?;
    }
    let until = |count: &orthogap::experiment::EventCount| -> Vec<i64> {
        plan.at.iter().map(|&layer| i64::from(count.until(layer))).collect()
    };
    let layers: Vec<i64> = plan.at.iter().map(|&layer| layer as i64).collect();
    arguments.set_item("layers", layers.into_pyarray(py))?;
    arguments.set_item("means", means)?;
    arguments.set_item("standard_errors", errors)?;
    arguments.set_item("intervals", intervals)?;
    arguments.set_item("stopped", summary.stopped())?;
    let stops: Vec<_> = summary.stops().iter().map(|stop| (stop.run, &stop.reason)).collect();
    arguments.set_item("stops", stops)?;
    arguments.set_item("dead_samples", until(summary.dead_samples()).into_pyarray(py))?;
    arguments.set_item("rank_loss", until(summary.rank_loss()).into_pyarray(py))?;
    arguments.set_item("seed", plan.seed.0)?;
    Ok(())
}
