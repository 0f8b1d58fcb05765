//! The report of all runs: the scale of the experiment, a table, a CSV and a figure.

use std::fmt::Write;

use orthogap::Scalar;
use orthogap::statistics::Moments;
use orthogap::train::GradientError;
use orthogap_examples::command::Precision;
use orthogap_examples::figure::{Dash, Figure, Panel, Series, Stack};

use crate::course::{Course, Ended, Job, Record};
use crate::data::Data;
use crate::init::Init;
use crate::options::{Options, Protocol};

/// All runs of an initialisation at a depth.
pub struct Outcome<'a> {
    pub init: Init,
    pub depth: usize,
    pub courses: Vec<&'a Course>,
}

impl Outcome<'_> {
    /// The mean of a quantity after an epoch, over the runs that reached it and have it.
    fn at(&self, epoch: usize, quantity: fn(&Record) -> Option<f64>) -> Option<Moments> {
        let records = self.courses.iter().filter_map(|course| course.records.get(epoch));
        let moments: Moments = records.filter_map(quantity).collect();
        (moments.count() > 0).then_some(moments)
    }

    fn mean(&self, epoch: usize, quantity: fn(&Record) -> Option<f64>) -> Option<f64> {
        self.at(epoch, quantity).map(|moments| moments.mean())
    }

    /// The last epoch that some run finished.
    fn last(&self) -> usize {
        let epochs = self.courses.iter().map(|course| course.records.len().saturating_sub(1));
        epochs.max().unwrap_or(0)
    }

    fn gradient_error(&self) -> Option<f64> {
        let errors = self.courses.iter().filter_map(|course| course.gradient_error);
        errors.reduce(f64::max)
    }
}

/// Runs by depth and initialisation, in the order of the options.
pub fn outcomes<'a>(options: &Options, runs: &'a [(Job, Course)]) -> Vec<Outcome<'a>> {
    let mut outcomes = Vec::new();
    for &depth in &options.depths {
        for &init in &options.inits {
            let of_case = runs.iter().filter(|(job, _)| (job.init, job.depth) == (init, depth));
            let courses = of_case.map(|(_, course)| course).collect();
            outcomes.push(Outcome { init, depth, courses });
        }
    }
    outcomes
}

/// The scale of the paper's experiment, if there is one, and of this one.
pub fn scale<T: Scalar>(options: &Options, data: &Data<T>) -> String {
    let mut text = String::new();
    if let Some(protocol) = options.protocol {
        let _ = writeln!(text, "The paper, {}, CIFAR-10.", protocol.of_the_paper());
    }
    let sgd = options.optimizer;
    let more = [("momentum", sgd.momentum()), ("weight decay", sgd.weight_decay())];
    let more = more.iter().filter(|(_, value)| *value > 0.0);
    let more: String = more.map(|(name, value)| format!(", {name} {value}")).collect();
    let _ = writeln!(
        text,
        "Here: {} {} to train on and {} to test on, {}, depth {}, batch {}, step {}{more}, \
         {} epochs, {} run{}, {}; initialisations look at {}.",
        data.train.labels.len(),
        data.name,
        data.test.labels.len(),
        width(options),
        list(&options.depths),
        options.batch_size,
        sgd.learning_rate(),
        options.epochs,
        options.runs,
        if options.runs == 1 { "" } else { "s" },
        if options.precision == Precision::Single { "f32" } else { "f64" },
        data.init.ncols(),
    );
    text
}

/// The width of the networks as a text.
fn width(options: &Options) -> String {
    let width = options.width;
    if options.convolutional {
        format!("3 x 3 convolutions of {width} channels")
    } else {
        format!("width {width}")
    }
}

fn list(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")
}

/// A line for each initialisation at each depth, and warnings.
pub fn table(options: &Options, outcomes: &[Outcome]) -> String {
    let mut text = "                                accuracy %     gap of the logits    gradients before   \
                    error of\n\
                    depth  init        loss             here     test   before    after       first  \
                    by head   gradient\n"
        .to_owned();
    for outcome in outcomes {
        let last = outcome.last();
        let mean = |epoch, quantity: fn(&Record) -> Option<f64>| outcome.mean(epoch, quantity);
        let percent = |share: Option<f64>| plain(share.map(|share| 100.0 * share), 1);
        let loss = outcome.at(last, |record| record.loss);
        let spread = loss.as_ref().filter(|loss| loss.count() > 1);
        let line = format!(
            "{:5}  {:10} {:>5} {:8} {:>7} {:>8}   {:>6} -> {:>6}  {:>8} {:>9} {:>10}  {}",
            outcome.depth,
            outcome.init,
            plain(loss.as_ref().map(Moments::mean), 3),
            spread.map_or(String::new(), |loss| format!("± {:.3}", loss.standard_error())),
            percent(mean(last, |record| record.accuracy)),
            percent(mean(last, |record| record.test_accuracy)),
            plain(mean(0, |record| record.output_gap), 3),
            plain(mean(last, |record| record.output_gap), 3),
            small(mean(0, |record| record.first_gradient)),
            small(mean(0, |record| record.head_gradient)),
            small(outcome.gradient_error()),
            ended(outcome, options.epochs)
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    let _ = writeln!(
        text,
        "\nLoss and accuracy: of the training images during epoch {}, of the test images after it; \
         ± standard error.\nGaps: 0 if the logits of {} test images were orthogonal; ten logits \
         leave at least {:.3}.",
        options.epochs,
        options.batch_size,
        (0.1 - 1.0 / options.batch_size as f64).max(0.0).sqrt()
    );
    for outcome in outcomes {
        if let Some(error) =
            outcome.gradient_error().filter(|error| *error > GradientError::TRUSTED)
        {
            let advice = match options.precision {
                Precision::Single => "; --scalar f64 has more digits",
                Precision::Double => "",
            };
            let _ = writeln!(
                text,
                "Warning: rounding moves the gradients of {} at depth {} by up to {error:.1e} of their \
                 norm before training{advice}.",
                outcome.init, outcome.depth
            );
        }
    }
    text
}

/// The number of runs in which training ended early, the first epoch, and its reason.
fn ended(outcome: &Outcome, epochs: usize) -> String {
    let all = outcome.courses.len();
    let early = outcome.courses.iter().filter_map(|course| {
        let ended = course.ended.as_ref()?;
        Some((course.records.len(), &ended.reason))
    });
    let Some((epoch, reason)) = early.clone().min() else { return String::new() };
    let number = early.count();
    format!("{number} of {all} ended in epoch {epoch} of {epochs}: {reason}")
}

fn plain(number: Option<f64>, digits: usize) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.digits$}"))
}

fn small(number: Option<f64>) -> String {
    number.map_or("-".to_owned(), |number| format!("{number:.1e}"))
}

/// Every epoch of every run; where a run ended early, a last line of the unfinished epoch says why.
pub fn csv(outcomes: &[Outcome]) -> String {
    let mut text =
        format!("init,depth,run,epoch,{},gradient_error,event\n", Record::NAMES.join(","));
    for Outcome { init, depth, courses } in outcomes {
        for (run, course) in courses.iter().enumerate() {
            let field = |number: Option<f64>| number.map_or(String::new(), |x| format!("{x:e}"));
            for (epoch, record) in course.records.iter().enumerate() {
                let numbers = record.numbers().map(field).join(",");
                let error = field(course.gradient_error.filter(|_| epoch == 0));
                let _ = writeln!(text, "{init},{depth},{run},{epoch},{numbers},{error},");
            }
            if let Some(Ended { reason, record }) = &course.ended {
                let (epoch, numbers) =
                    (course.records.len(), record.numbers().map(field).join(","));
                let reason = reason.replace('"', "\"\"");
                let _ = writeln!(text, "{init},{depth},{run},{epoch},{numbers},,\"{reason}\"");
            }
        }
    }
    text
}

/// The figure of the protocol, or loss against epoch.
pub fn svg(options: &Options, outcomes: &[Outcome], images: &str) -> Option<String> {
    let title = format!("{images}, {}, batch {}", width(options), options.batch_size);
    let stack = match options.protocol {
        Some(Protocol::Fig3a | Protocol::Fig4) => against_depth(options, outcomes, title),
        Some(Protocol::Fig3b) => against_epoch(outcomes, title, &[LOSS, GAP]),
        Some(Protocol::Fig7) | None => against_epoch(outcomes, title, &[LOSS, TEST]),
    };
    stack.svg()
}

/// A quantity and its name.
type Quantity = (&'static str, fn(&Record) -> Option<f64>);

const LOSS: Quantity = ("training loss", |record| record.loss);
const TEST: Quantity = ("test accuracy", |record| record.test_accuracy);
const GAP: Quantity = ("gap of the logits", |record| record.output_gap);

/// Quantities against epoch, a panel for each depth.
fn against_epoch(outcomes: &[Outcome], title: String, quantities: &[Quantity]) -> Stack {
    let mut depths: Vec<_> = outcomes.iter().map(|outcome| outcome.depth).collect();
    depths.dedup();
    let row = |&(name, quantity): &Quantity| {
        let curve = |outcome: &Outcome| {
            let point = |epoch| Some((epoch as f64, outcome.mean(epoch, quantity)?));
            let points = (0..=outcome.last()).filter_map(point).collect();
            series(outcome.init, points)
        };
        let panel = |&depth: &usize| {
            let of_depth = outcomes.iter().filter(|outcome| outcome.depth == depth);
            let title = format!("depth {depth}");
            Panel { title, series: of_depth.map(curve).collect(), ..Panel::default() }
        };
        Figure {
            x_label: "epoch".to_owned(),
            y_label: name.to_owned(),
            panels: depths.iter().map(panel).collect(),
            ..Figure::default()
        }
    };
    let mut rows: Vec<_> = quantities.iter().map(row).collect();
    for row in rows.iter_mut().skip(1) {
        row.panels.iter_mut().for_each(|panel| panel.title.clear());
    }
    // One legend is enough: colours mean the same in all panels.
    for panel in rows.iter_mut().flat_map(|row| row.panels.iter_mut().skip(1)) {
        panel.series.iter_mut().for_each(|series| series.label.clear());
    }
    rows[0].title = title;
    Stack { rows }
}

/// The loss of the last epoch, and the gap before training, against depth.
fn against_depth(options: &Options, outcomes: &[Outcome], title: String) -> Stack {
    let row = |name: String, value: &dyn Fn(&Outcome) -> Option<f64>| {
        let curve = |&init: &Init| {
            let of_init = outcomes.iter().filter(|outcome| outcome.init == init);
            let points =
                of_init.filter_map(|outcome| Some((outcome.depth as f64, value(outcome)?)));
            series(init, points.collect())
        };
        let series = options.inits.iter().map(curve).collect();
        Figure {
            x_label: "depth".to_owned(),
            y_label: name,
            panels: vec![Panel { series, ..Panel::default() }],
            ..Figure::default()
        }
    };
    let epochs = options.epochs;
    // A run that diverged has no loss in the last epoch.
    let loss =
        row(format!("training loss, epoch {epochs}"), &|outcome| outcome.mean(epochs, LOSS.1));
    let gap = row("initial gap of logits".to_owned(), &|outcome| outcome.mean(0, GAP.1));
    let mut rows = vec![loss, gap];
    rows[0].title = title;
    Stack { rows }
}

/// The curve of an initialisation, with the same colour in all figures.
fn series(init: Init, points: Vec<(f64, f64)>) -> Series {
    let (colour, dash) = match init {
        Init::Xavier => (0, Dash::Solid),
        Init::IterativeOrthogonalization => (1, Dash::Solid),
        Init::Authors => (2, Dash::Solid),
        Init::Lsuv => (3, Dash::Solid),
        Init::Haar => (4, Dash::Solid),
        Init::He => (5, Dash::Solid),
        Init::BatchNorm => (6, Dash::Solid),
        Init::Printed => (6, Dash::Dashed),
    };
    let label = init.to_string().replace('_', " ");
    Series { label, colour, points, dash, ..Series::default() }
}
