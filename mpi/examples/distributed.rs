//! A very wide layer, and many narrow networks, on all ranks of an MPI program: the result does not
//! depend on their number.
//!
//! Ranks draw the rows of each layer of a wide network together, then distribute replicates of a
//! narrow one and the cells of a grid. Rank 0 prints the results and writes them as CSV: the same
//! bytes for any number of ranks and threads, and without `mpirun`. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use orthogap::experiment::sweep::Sweep;
use orthogap::experiment::{ChainExperiment, Ensemble};
use orthogap::report::file;
use orthogap::{Input, Network, Seed};
use orthogap_examples::command::{self, Result, at_least, positive, seed, threads};
use orthogap_examples::{artifact, say};
use orthogap_mpi::Ranks;

/// Width and depth of the replicates.
const NARROW: (usize, usize) = (256, 20);

/// A very wide network, and replicates of a narrow one, on all ranks of an MPI program
#[derive(Parser)]
struct Options {
    /// Neurons of a wide layer [quick: 2000000]
    #[arg(
        long,
        value_name = "D",
        value_parser = positive::<usize>,
        default_value = "100000000",
        default_value_if("quick", "true", "2000000")
    )]
    width: usize,
    /// Samples in the batch
    #[arg(long = "batch", value_name = "N", value_parser = at_least::<2, usize>, default_value = "16")]
    batch_size: usize,
    /// Wide layers
    #[arg(long, value_name = "L", value_parser = positive::<usize>, default_value = "3")]
    layers: usize,
    /// Narrow networks, 20 layers deep [quick: 100]
    #[arg(
        long,
        value_name = "K",
        default_value = "10000",
        default_value_if("quick", "true", "100")
    )]
    replicates: u32,
    /// Seed; equal seeds give equal results
    #[arg(long, value_name = "S", value_parser = seed, default_value = "1")]
    seed: Seed,
    /// Threads of each rank; 0 uses all cores
    #[arg(long, value_name = "T", value_parser = threads, default_value = "0")]
    threads: usize,
    /// Writes all of it to this CSV file
    #[arg(long, value_name = "PATH", default_value = "target/orthogap/distributed.csv")]
    csv: PathBuf,
    /// Cells of the grid
    #[arg(long, value_name = "DIR", default_value = "target/orthogap/distributed")]
    folder: PathBuf,
    /// A fiftieth of the width, a hundredth of the replicates
    #[arg(long)]
    #[allow(dead_code, reason = "sets defaults of the others")]
    quick: bool,
}

/// The table of layers, replicates and cells, on all ranks.
fn compute(options: &Options, ranks: &mut Ranks) -> Result<String> {
    let input = Input::near_collinear(options.batch_size, 1e-3)?;
    let mut csv = String::from("network,index,orthogonality_gap\n");

    let mut chain = Network::<f32>::new(options.width).chain(&input, options.seed)?;
    for _ in 0..options.layers {
        let layer = chain.step_with(ranks)?;
        let (depth, gap) = (layer.depth(), layer.orthogonality_gap());
        if ranks.is_first() {
            say!("width {}, layer {depth}: gap {gap:.6}", options.width);
        }
        writeln!(csv, "wide,{depth},{gap}")?;
    }

    let (width, depth) = NARROW;
    let network = Network::<f64>::new(width);
    let experiment = ChainExperiment::new(&network, &input)
        .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
        .at([0, depth / 2, depth]);
    let summary = ranks.ensemble(&Ensemble::new(&experiment, options.seed), options.replicates)?;
    if ranks.is_first() {
        say!("width {width}, {} runs:\n{}", options.replicates, summary.table());
    }
    csv.push_str(&summary.table().csv());

    let configuration = (options.batch_size, options.replicates, options.seed);
    let sweep = Sweep::open(&options.folder, &configuration);
    let sweep = ranks.agree(sweep)?;
    let cells = [32usize, 64, 128, 256, 512];
    let gaps: Vec<f64> = ranks.sweep(&sweep, &cells, |&width| {
        let network = Network::<f64>::new(width);
        let experiment = ChainExperiment::new(&network, &input)
            .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
            .at([depth]);
        let summary = Ensemble::new(&experiment, options.seed).run(options.replicates.min(100))?;
        let gap = summary.at(depth, "orthogonality_gap").map(|gap| gap.moments().mean());
        Result::Ok(gap.unwrap_or_default())
    })?;
    for (width, gap) in cells.iter().zip(gaps) {
        writeln!(csv, "cell,{width},{gap}")?;
    }
    Ok(csv)
}

fn main() -> ExitCode {
    command::run(|options: Options| {
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
        let mut ranks = Ranks::world()?;
        let is_first = ranks.is_first();
        let writable = if is_first { file::check([&options.csv]) } else { Ok(()) };
        ranks.agree(writable)?;
        let csv = compute(&options, &mut ranks)?;
        let written = match is_first {
            true => artifact::publish([(&*options.csv, Some(csv.into()))]),
            false => Ok(()),
        };
        Ok(ranks.agree(written.map_err(|error| error.to_string()))?)
    })
}
