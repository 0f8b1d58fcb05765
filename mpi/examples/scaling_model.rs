//! How wide layers scale over machines: a cost model, compared with ranks that are threads and with
//! real ranks, and its table for up to 1024 nodes.
//!
//! ```text
//! mpirun -n 2 target/release/examples/scaling_model
//! ```

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use orthogap::chain::Communicator;
use orthogap::{Input, Network, Seed};
use orthogap_examples::command::{self, Result, positive};
use orthogap_examples::say;
use orthogap_mpi::Ranks;
use orthogap_mpi::simulated::{Link, WeakScaling, exchanged_bytes, simulate};

/// Batches of the table.
const BATCHES: [usize; 2] = [16, 64];
/// Multiply-adds of the layers that are timed, over 16: about a tenth of a second of work.
const TIMED: usize = 150_000_000;
/// A super-block is 2^23 multiply-adds of n (n + 16) a row.
const SUPER_BLOCK: f64 = 8_388_608.0;

/// Cost model of layers over machines: simulated ranks, real ranks, and a table
#[derive(Parser)]
struct Options {
    /// Neurons of a node
    #[arg(long, value_name = "D", value_parser = positive::<u64>, default_value = "1000000000")]
    neurons: u64,
    /// Threads of a node
    #[arg(long, value_name = "T", value_parser = positive::<u32>, default_value = "32")]
    threads: u32,
}

/// The time of a layer of so many rows in seconds, the shortest of five, on all ranks together.
fn time_layer(team: &mut impl Communicator, width: usize, n: usize) -> Result<f64> {
    let mut chain = Network::<f32>::new(width).chain(&Input::near_collinear(n, 1e-3)?, Seed(1))?;
    chain.step_with(team)?;
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        team.broadcast(0, &mut [0])?; // so that all begin together
        let started = Instant::now();
        chain.step_with(team)?;
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// The time of an exchange of so many bytes in seconds, the mean of many.
fn time_exchange(team: &mut impl Communicator, bytes: usize) -> Result<f64> {
    let mut numbers = vec![0; bytes / 8];
    team.all_reduce_sum(&mut numbers)?;
    let (times, started) = (1000, Instant::now());
    for _ in 0..times {
        team.all_reduce_sum(&mut numbers)?;
    }
    Ok(started.elapsed().as_secs_f64() / f64::from(times))
}

/// One to 64 ranks that are threads: the bits of one, and the cost of the exchange.
fn simulated(is_first: bool) -> Result<()> {
    if !is_first {
        return Ok(());
    }
    let link = Link { latency: 5e-6, bandwidth: 1e10 };
    say!("simulated ranks, latency 5 us, 10 GB/s, width 1000000, two layers:");
    say!(
        "{:>4} {:>6} {:>10} {:>16} {:>12}",
        "n",
        "ranks",
        "exchanges",
        "bytes a layer",
        "us a layer"
    );
    for n in BATCHES {
        let input = Input::near_collinear(n, 1e-3)?;
        let network = Network::<f32>::new(1_000_000);
        let alone = network.chain(&input, Seed(1))?.advance(2)?.clone();
        for ranks in [1, 2, 4, 8, 16, 32, 64] {
            let found = simulate(ranks, link, |rank| {
                let mut chain = network.chain(&input, Seed(1))?;
                chain.step_with(rank)?;
                let layer = chain.step_with(rank)?.clone();
                Ok::<_, orthogap::Error>((layer, rank.exchanges(), rank.bytes(), rank.seconds()))
            });
            let mut costs = (0, 0, 0.0);
            for outcome in found {
                let (layer, exchanges, bytes, seconds) = outcome?;
                if layer != alone || bytes / 2 > 32 * n * n + 88 {
                    return Err(format!("{ranks} ranks: other bits, or {bytes} bytes").into());
                }
                costs = (exchanges / 2, bytes / 2, seconds / 2.0 * 1e6);
            }
            let (exchanges, bytes, micros) = costs;
            say!("{n:>4} {ranks:>6} {exchanges:>10} {bytes:>16} {micros:>12.1}");
        }
    }
    Ok(())
}

/// The times of the ranks that this program runs on, and those of the model.
fn measured(ranks: &mut Ranks) -> Result<()> {
    let (count, is_first) = (ranks.count(), ranks.is_first());
    // The link, by the smallest and a large exchange.
    let (small, large) = (time_exchange(ranks, 8)?, time_exchange(ranks, 1 << 22)?);
    let rounds = f64::from(count.next_power_of_two().ilog2()).max(1.0);
    let latency = small / rounds;
    let share = 2.0 * (count - 1).max(1) as f64 / count as f64;
    let link = Link { latency, bandwidth: share * f64::from(1 << 22) / (large - small).max(1e-9) };
    if is_first {
        let (micros, rate) = (latency * 1e6, link.bandwidth / 1e9);
        say!("\nreal ranks: {count}; latency {micros:.1} us, {rate:.2} GB/s");
    }
    for n in BATCHES {
        let width = TIMED / (n * (n + 16)) * 16;
        let exchange = time_exchange(ranks, exchanged_bytes(n))?;
        // The work of each rank by itself, while the others do the same.
        let work = time_layer(&mut orthogap::chain::SingleProcess, width / count, n)?;
        let layer = time_layer(ranks, width, n)?;
        let rows = SUPER_BLOCK / (n * (n + 16)) as f64;
        let super_block = work * rows / (width / count) as f64;
        let model = WeakScaling { n, work, super_block };
        if is_first {
            say!(
                "n = {n}, width {width}: exchange {:.1} us (model {:.1}), layer {:.2} ms (model {:.2})",
                exchange * 1e6,
                link.all_reduce(count, exchanged_bytes(n)) * 1e6,
                layer * 1e3,
                model.layer(count, link) * 1e3,
            );
        }
    }
    Ok(())
}

/// The model for many nodes.
fn table(options: &Options, ranks: &mut Ranks) -> Result<()> {
    let is_first = ranks.is_first();
    for n in BATCHES {
        let width = TIMED / (n * (n + 16)) * 16;
        let seconds = if is_first {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
            let team = &mut orthogap::chain::SingleProcess;
            pool.install(|| time_layer(team, width, n).map_err(|error| error.to_string()))?
        } else {
            0.0
        };
        if !is_first {
            continue;
        }
        let row = seconds / width as f64;
        let (neurons, threads) = (options.neurons as f64, f64::from(options.threads));
        let super_block = row * SUPER_BLOCK / (n * (n + 16)) as f64;
        let model = WeakScaling { n, work: neurons * row / threads, super_block };
        say!(
            "\nn = {n}: {} neurons a node of {} threads at {:.1} ns a neuron and thread: {:.2} s a layer\n\
             weak-scaling efficiency (%), by nodes:",
            options.neurons,
            options.threads,
            row * 1e9,
            model.work,
        );
        let nodes = [8, 16, 32, 64, 128, 256, 512, 1024];
        let heads: String = nodes.iter().map(|nodes| format!("{nodes:>9}")).collect();
        say!("{:>10} {:>9}{heads}", "latency", "GB/s");
        for latency in [5e-6, 50e-6] {
            for bandwidth in [1e9, 1e10] {
                let link = Link { latency, bandwidth };
                let cells: String = nodes
                    .iter()
                    .map(|&nodes| format!("{:>9.4}", 100.0 * model.efficiency(nodes, link)))
                    .collect();
                say!("{:>7} us {:>9}{cells}", latency * 1e6, bandwidth / 1e9);
            }
        }
    }
    ranks.agree(Ok::<_, String>(()))?;
    Ok(())
}

fn main() -> ExitCode {
    command::run(|options: Options| {
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global()?;
        let mut ranks = Ranks::world()?;
        let simulated = simulated(ranks.is_first()).map_err(|error| error.to_string());
        ranks.agree(simulated)?;
        measured(&mut ranks)?;
        table(&options, &mut ranks)
    })
}
