//! How far random networks with batch normalisation are from Gaussian, layer by layer.
//!
//! A batch of digits passes through networks of several widths. For every layer, certified bounds
//! on the squared Wasserstein-2 distance to a Gaussian: of the matrix law (all rows of `W H`, which
//! share one `H`) and of the row law (one row), with the paper's bound and the limit of wide
//! networks. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::report::file;
use orthogap::statistics::{Interval, Moments};
use orthogap::theory::bounds::{A1, Version, Width, corollary_3, lemma_2};
use orthogap::theory::wasserstein_law;
use orthogap::wasserstein::{Bracket, Gaussian, MatrixLaw, RowLaw};
use orthogap::{Gram, Input, Network, Replicate, Seed};
use rayon::prelude::*;

use orthogap_examples::command::{self, at_least, positive, seed, threads};
use orthogap_examples::figure::{Dash, Figure, Panel, Series};
use orthogap_examples::images::{Images, Source};
use orthogap_examples::{artifact, memory, say};

/// Wasserstein-2 distance of pre-activations to a Gaussian, against depth and width
#[derive(Parser)]
struct Options {
    /// Widths of the networks [quick: 32,128]
    #[arg(
        long = "width",
        value_name = "D,D,...",
        value_delimiter = ',',
        value_parser = positive::<usize>,
        default_value = "32,128,512",
        default_value_if("quick", "true", "32,128")
    )]
    widths: Vec<usize>,
    /// Digits in the batch, at most the smallest width
    #[arg(
        long = "batch",
        value_name = "N",
        value_parser = at_least::<2, usize>,
        default_value = "4"
    )]
    batch_size: usize,
    /// Layers [quick: 10]
    #[arg(
        long,
        value_name = "L",
        value_parser = positive::<usize>,
        default_value = "25",
        default_value_if("quick", "true", "10")
    )]
    depth: usize,
    /// Random networks of each width, at least 50 [quick: 200]
    #[arg(
        long,
        value_name = "R",
        value_parser = at_least::<50, u32>,
        default_value = "2000",
        default_value_if("quick", "true", "200")
    )]
    runs: u32,
    /// Seed; equal seeds give equal files on any number of threads
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Threads; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// Writes every bound to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/gaussian_approximation.csv")]
    csv: PathBuf,
    /// Writes the figure to this SVG file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/gaussian_approximation.svg")]
    svg: PathBuf,
    /// A smaller experiment, in seconds
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// The two laws whose distances are bounded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Law {
    Matrix,
    Row,
}

impl Law {
    const ALL: [Self; 2] = [Self::Matrix, Self::Row];

    fn name(self) -> &'static str {
        match self {
            Self::Matrix => "matrix",
            Self::Row => "row",
        }
    }
}

/// A layer of networks of one width.
struct Record {
    width: usize,
    layer: usize,
    mean_gap: f64,
    matrix: Bracket,
    row: Bracket,
}

impl Record {
    fn bracket(&self, law: Law) -> &Bracket {
        match law {
            Law::Matrix => &self.matrix,
            Law::Row => &self.row,
        }
    }

    /// The bound of Lemma 2, $`2 n E V`$, which holds for both laws.
    fn lemma_2(&self, batch_size: usize) -> orthogap::Result<f64> {
        Ok(lemma_2(batch_size, self.mean_gap)?.value)
    }
}

/// The limit of the printed bound of Corollary 3 in depth, at the largest alpha: no bound is lower.
fn corollary_3_floor(batch_size: usize, width: usize) -> orthogap::Result<f64> {
    let a1 = A1::new(batch_size, (batch_size as f64).sqrt().recip(), u32::MAX)?;
    Ok(corollary_3(Version::Printed, a1, Width::finite(batch_size, width)?).value)
}

/// The Gram matrices of one network, from the input on.
fn network(
    options: &Options,
    width: usize,
    input: &Input,
    run: Replicate,
) -> orthogap::Result<Vec<Gram>> {
    let mut chain = Network::<f64>::new(width).chain(input, run)?;
    let mut grams = vec![chain.layer().gram().clone()];
    for _ in 0..options.depth {
        grams.push(chain.step()?.gram().clone());
    }
    Ok(grams)
}

/// The bounds at one layer, from all runs.
fn record(
    options: &Options,
    width: usize,
    layer: usize,
    runs: &[Vec<Gram>],
) -> orthogap::Result<Record> {
    let n = options.batch_size;
    let mut law = MatrixLaw::new(n, width)?;
    let mut rows = RowLaw::new(n)?;
    let mut gaps = Moments::new();
    for (index, grams) in runs.iter().enumerate() {
        let (gram, run) = (&grams[layer], options.seed.replicate(index as u32));
        law.push(gram, run)?;
        rows.push(gram, run)?;
        gaps.push(gram.orthogonality_gap());
    }
    let target = Gaussian::isotropic(n, (n as f64).sqrt().recip())?;
    let row = rows.bracket(&target, options.seed)?;
    Ok(Record { width, layer, mean_gap: gaps.mean(), matrix: law.bracket()?, row })
}

/// Every layer of every width, in parallel; the result does not depend on the number of threads.
fn simulate(options: &Options, input: &Input) -> orthogap::Result<Vec<Record>> {
    let mut records = Vec::new();
    for &width in &options.widths {
        let runs = (0..options.runs)
            .into_par_iter()
            .map(|run| network(options, width, input, options.seed.replicate(run)))
            .collect::<orthogap::Result<Vec<_>>>()?;
        let layers = (0..=options.depth).into_par_iter();
        let of_width: orthogap::Result<Vec<_>> =
            layers.map(|layer| record(options, width, layer, &runs)).collect();
        records.extend(of_width?);
    }
    Ok(records)
}

fn csv(records: &[Record], options: &Options) -> orthogap::Result<String> {
    let mut text = "law,width,layer,lower,lower_error,lower_by,upper,upper_error,ci_low,ci_high,\
                    lemma_2,corollary_3_floor,limit\n"
        .to_owned();
    for law in Law::ALL {
        for record in records {
            let bracket = record.bracket(law);
            let ((by, lower), (_, upper)) = (bracket.lower(), bracket.upper());
            let Interval { low, high } = bracket.confidence_interval(0.95)?;
            let error = |w2: orthogap::wasserstein::W2| {
                w2.standard_error().map_or(String::new(), |error| format!("{error:e}"))
            };
            let limit = match law {
                Law::Matrix => format!(
                    "{:e}",
                    wasserstein_law::squared_distance(options.batch_size, record.width)
                ),
                Law::Row => String::new(),
            };
            let _ = writeln!(
                text,
                "{},{},{},{:e},{},{by:?},{:e},{},{low:e},{high:e},{:e},{:e},{limit}",
                law.name(),
                record.width,
                record.layer,
                lower.debiased(),
                error(lower),
                upper.debiased(),
                error(upper),
                record.lemma_2(options.batch_size)?,
                corollary_3_floor(options.batch_size, record.width)?,
            );
        }
    }
    Ok(text)
}

/// The last layer of every width.
fn table(records: &[Record], options: &Options) -> orthogap::Result<String> {
    let n = options.batch_size;
    let mut text = format!(
        "W2^2 to a Gaussian after {} layers, batch {n}, {} runs\n\
         width   matrix law: lower   (error)     limit     upper   Lemma 2   Cor. 3 >   \
         row law: lower   (error)\n",
        options.depth, options.runs
    );
    for record in records.iter().filter(|record| record.layer == options.depth) {
        let (matrix, row) = (record.matrix.lower().1, record.row.lower().1);
        let _ = writeln!(
            text,
            "{:5}   {:17.3e}   {:.1e}   {:.1e}   {:.1e}   {:7.3}   {:8.2}   {:14.1e}   {:.1e}",
            record.width,
            matrix.debiased(),
            matrix.standard_error().unwrap_or(f64::NAN),
            wasserstein_law::squared_distance(n, record.width),
            record.matrix.upper().1.debiased(),
            record.lemma_2(n)?,
            corollary_3_floor(n, record.width)?,
            row.debiased(),
            row.standard_error().unwrap_or(f64::NAN),
        );
    }
    Ok(text + "W2^2 is at most 2: what exceeds that says nothing.\n")
}

/// A panel for each law: brackets against depth below the paper's bound.
fn figure(records: &[Record], options: &Options, images: &str) -> orthogap::Result<Figure> {
    let mut panels = Vec::new();
    for (law, title) in
        [(Law::Matrix, "all rows together (matrix law)"), (Law::Row, "one row (row law)")]
    {
        let mut series = Vec::new();
        for (colour, &width) in options.widths.iter().enumerate() {
            let of_width = || records.iter().filter(|record| record.width == width);
            let mut bounds =
                Series { label: format!("width {width}"), colour, ..Series::default() };
            for record in of_width() {
                let bracket = record.bracket(law);
                let Interval { low, high } = bracket.confidence_interval(0.95)?;
                // A bound that may be zero is noise on a logarithmic axis.
                let lower = if low > 0.0 { bracket.lower().1.debiased() } else { f64::NAN };
                bounds.points.push((record.layer as f64, lower));
                bounds.band.push((low, high));
            }
            let lemma =
                |record: &Record| Ok((record.layer as f64, record.lemma_2(options.batch_size)?));
            let points = of_width().map(lemma).collect::<orthogap::Result<_>>()?;
            series.push(bounds);
            series.push(Series { colour, points, dash: Dash::Dashed, ..Series::default() });
        }
        let level = |(colour, &width): (usize, &usize)| {
            (wasserstein_law::squared_distance(options.batch_size, width), colour)
        };
        let levels = match law {
            Law::Matrix => options.widths.iter().enumerate().map(level).collect(),
            Law::Row => Vec::new(),
        };
        panels.push(Panel { title: title.to_owned(), series, levels });
    }
    Ok(Figure {
        title: format!("{} {images} in {} random networks", options.batch_size, options.runs),
        x_label: "layer".to_owned(),
        y_label: "squared Wasserstein-2 distance to a Gaussian".to_owned(),
        log_y: true,
        panels,
        keys: vec![
            ("lower bound".to_owned(), Dash::Solid),
            ("upper bound of Lemma 2".to_owned(), Dash::Dashed),
            ("limit of wide networks".to_owned(), Dash::Dotted),
        ],
        band: "95 % confidence",
        ..Figure::default()
    })
}

fn experiment(options: Options) -> command::Result<()> {
    let started = Instant::now();
    file::check([&options.csv, &options.svg])?;
    let n = options.batch_size;
    let grams = [options.runs as usize, options.depth + 1, n, n];
    memory::check("the Gram matrices of all layers", &grams, size_of::<f64>())?;
    let images = Images::load(&Source::Digits)?;
    let batch = images.batch(options.batch_size, options.seed)?;
    let input = Input::from_columns(&batch).map_err(|error| format!("this batch: {error}"))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build()?;
    let records = pool.install(|| simulate(&options, &input))?;
    say!("{}", table(&records, &options)?);
    let (csv, svg) = (csv(&records, &options)?, figure(&records, &options, images.name)?.svg());
    artifact::publish([(&*options.csv, Some(csv.into())), (&*options.svg, svg.map(Into::into))])?;
    say!("in {:.1?}", started.elapsed());
    Ok(())
}

fn main() -> ExitCode {
    command::run(experiment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &str) -> command::Result<Options> {
        command::typed(arguments)
    }

    #[test]
    fn wrong_options_get_one_clear_line() {
        for (arguments, message) in [
            ("--bogus", "unexpected argument '--bogus' found"),
            (
                "--width 32,x",
                "invalid value 'x' for '--width <D,D,...>': expected a whole number from 1 to 1099511627776",
            ),
            (
                "--runs 49",
                "invalid value '49' for '--runs <R>': expected a whole number from 50 to 4294967295",
            ),
            (
                "--batch 1",
                "invalid value '1' for '--batch <N>': expected a whole number from 2 to 1099511627776",
            ),
            ("32", "unexpected argument '32' found"),
        ] {
            assert_eq!(options(arguments).err().unwrap().to_string(), message);
        }
    }

    /// The whole job, small, on one thread and on three: equal files, and bounds in their order.
    #[test]
    fn files_do_not_depend_on_threads() {
        let folder = std::env::temp_dir().join(format!("orthogap-gaussian-{}", std::process::id()));
        let files = [1, 3].map(|threads| {
            let [csv, svg] = ["csv", "svg"].map(|kind| folder.join(format!("{threads}.{kind}")));
            let arguments = format!("--width 8,16 --depth 2 --runs 50 --threads {threads}");
            let options = options(&arguments).unwrap();
            experiment(Options { csv: csv.clone(), svg: svg.clone(), ..options }).unwrap();
            [csv, svg].map(|path| std::fs::read_to_string(path).unwrap())
        });
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(files[0], files[1]);
        let [csv, svg] = &files[0];
        assert_eq!(csv.lines().count(), 1 + 2 * 2 * 3);
        for line in csv.lines().skip(1) {
            let field = |k: usize| line.split(',').nth(k).unwrap().parse::<f64>().unwrap();
            let (low, high, lemma_2) = (field(8), field(9), field(10));
            assert!(0.0 <= low && low <= high && field(6) <= lemma_2, "{line}");
        }
        assert!(svg.starts_with("<svg ") && svg.contains("width 16"));
    }
}
