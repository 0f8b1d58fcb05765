//! A very wide layer, and many narrow networks, on all ranks of an MPI program: one result, whatever
//! their number.
//!
//! Ranks draw the rows of each layer of a wide network together, then deal out replicates of a
//! narrow one and the cells of a grid. Rank 0 prints what comes of it and writes it as CSV: the same bytes for any number of
//! ranks and threads, and without `mpirun`. `--help` lists the options.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use orthogap::ensemble::{Ensemble, Observed};
use orthogap::sweep::Sweep;
use orthogap::{Input, Network, Seed};
use orthogap_mpi::Ranks;

#[path = "../../examples/artifact/mod.rs"]
mod artifact;
#[path = "../../examples/command/mod.rs"]
mod command;

use command::{Arguments, Result};

const HELP: &str = "\
A very wide network, and replicates of a narrow one, on all ranks of an MPI program.

Usage: mpirun -n R target/release/examples/distributed [OPTIONS]

  --width D         neurons of a wide layer          [100000000; quick: 2000000]
  --batch N         samples in the batch                                     [16]
  --layers L        wide layers                                               [3]
  --replicates K    narrow networks, 20 layers deep           [10000; quick: 100]
  --seed S          equal seeds give equal results                            [1]
  --threads T       threads of each rank; 0 takes all cores                   [0]
  --csv PATH        all of it               [target/orthogap/distributed.csv]
  --folder PATH     cells of the grid           [target/orthogap/distributed]
  --quick           a fiftieth of the width, a hundredth of the replicates
  --help            this text
";

/// Width and depth of the replicates.
const NARROW: (usize, usize) = (256, 20);

struct Options {
    width: usize,
    batch_size: usize,
    layers: usize,
    replicates: u32,
    seed: Seed,
    threads: usize,
    csv: PathBuf,
    folder: PathBuf,
}

/// What the command line asks for; nothing if it asks for help.
fn parse(mut arguments: Arguments) -> Result<Option<Options>> {
    let (mut width, mut replicates, mut quick) = (None, None, false);
    let (mut batch_size, mut layers, mut seed, mut threads) = (16, 3, 1, 0);
    let mut csv = PathBuf::from("target/orthogap/distributed.csv");
    let mut folder = PathBuf::from("target/orthogap/distributed");
    while let Some(option) = arguments.option()? {
        match option.as_str() {
            "help" => return Ok(None),
            "width" => width = Some(arguments.positive()?),
            "batch" => batch_size = arguments.at_least(2)?,
            "layers" => layers = arguments.positive()?,
            "replicates" => replicates = Some(arguments.value()?),
            "seed" => seed = arguments.value()?,
            "threads" => threads = arguments.value()?,
            "csv" => csv = arguments.value()?,
            "folder" => folder = arguments.value()?,
            "quick" => quick = true,
            _ => return Err(arguments.unknown()),
        }
    }
    Ok(Some(Options {
        width: width.unwrap_or(if quick { 2_000_000 } else { 100_000_000 }),
        batch_size,
        layers,
        replicates: replicates.unwrap_or(if quick { 100 } else { 10_000 }),
        seed: Seed(seed),
        threads,
        csv,
        folder,
    }))
}

/// The table of layers and replicates, on all ranks.
fn compute(options: &Options, ranks: &mut Ranks) -> Result<String> {
    let input = Input::near_collinear(options.batch_size, 1e-3)?;
    let mut csv = String::from("network,index,orthogonality_gap\n");

    let mut chain = Network::<f32>::new(options.width).chain(&input, options.seed)?;
    for _ in 0..options.layers {
        let layer = chain.step_with(ranks)?;
        let (depth, gap) = (layer.depth(), layer.orthogonality_gap());
        if ranks.is_first() {
            println!("width {}, layer {depth}: gap {gap:.6}", options.width);
        }
        writeln!(csv, "wide,{depth},{gap}")?;
    }

    let (width, depth) = NARROW;
    let network = Network::<f64>::new(width);
    let experiment = Observed::new(&network, &input)
        .observe("orthogonality_gap", |layer| Ok(layer.orthogonality_gap()))
        .at([0, depth / 2, depth]);
    let summary = ranks.ensemble(&Ensemble::new(&experiment, options.seed), options.replicates)?;
    if ranks.is_first() {
        println!("width {width}, {} runs:\n{}", options.replicates, summary.table());
    }
    csv.push_str(&summary.table().csv());

    let configuration = (options.batch_size, options.replicates, options.seed);
    let sweep = Sweep::open(&options.folder, &configuration);
    let sweep = ranks.agree(sweep)?;
    let cells = [32usize, 64, 128, 256, 512];
    let gaps: Vec<f64> = ranks.sweep(&sweep, &cells, |&width| {
        let network = Network::<f64>::new(width);
        let experiment = Observed::new(&network, &input)
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
    command::run("distributed", HELP, parse, |options| {
        rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
        let mut ranks = Ranks::world()?;
        let csv = compute(&options, &mut ranks)?;
        let is_first = ranks.is_first();
        let written = if is_first { artifact::publish(&options.csv, &csv) } else { Ok(()) };
        Ok(ranks.agree(written)?)
    })
}
