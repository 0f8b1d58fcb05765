//! Ranks that are threads, on a network that is a formula: a model of many machines.
//!
//! [`simulate`] runs a program on up to a few hundred simulated ranks in one process. They exchange
//! their numbers, so the results have the bits of real ranks. A clock adds up the cost of the
//! exchanges on a [`Link`]. [`WeakScaling`] is the same cost model for more nodes than can be
//! simulated.
//!
//! ```
//! use orthogap::{Input, Network, Seed};
//! use orthogap_mpi::simulated::{Link, simulate};
//!
//! let network = Network::<f32>::new(200_000);
//! let input = Input::near_collinear(4, 1e-3)?;
//! let alone = network.chain(&input, Seed(1))?.advance(2)?.clone();
//! let link = Link { latency: 5e-6, bandwidth: 1e10 };
//! let layers = simulate(8, link, |rank| {
//!     let mut chain = network.chain(&input, Seed(1))?;
//!     chain.step_with(rank)?;
//!     chain.step_with(rank).cloned()
//! });
//! assert!(layers.into_iter().all(|layer| layer == Ok(alone.clone())));
//! # Ok::<(), orthogap::Error>(())
//! ```

use std::sync::{Barrier, Mutex};
use std::thread;

use orthogap::Result;
use orthogap::chain::Communicator;

/// The connection between nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// The time of a message of no bytes, in seconds.
    pub latency: f64,
    /// The bandwidth, in bytes a second.
    pub bandwidth: f64,
}

impl Link {
    /// Returns the time of a message in seconds: the latency plus bytes over bandwidth.
    #[must_use]
    pub fn message(self, bytes: usize) -> f64 {
        self.latency + bytes as f64 / self.bandwidth
    }

    /// Returns the time, in seconds, of a sum of `bytes` over `ranks` with the result on all of
    /// them.
    ///
    /// With $`P`$ ranks, latency $`\alpha`$ and $`\beta`$ seconds a byte, recursive doubling takes
    /// $`\lceil \log_2 P \rceil (\alpha + \beta m)`$, and Rabenseifner's algorithm
    /// $`2 \lceil \log_2 P \rceil \alpha + 2 \frac{P - 1}{P} \beta m`$. MPI libraries take the cheaper one
    /// (Thakur, Rabenseifner, Gropp 2005).
    #[must_use]
    pub fn all_reduce(self, ranks: usize, bytes: usize) -> f64 {
        let rounds = rounds(ranks);
        let share = 1.0 - 1.0 / ranks.max(1) as f64;
        let doubling = rounds * self.message(bytes);
        let halving = 2.0 * rounds * self.latency + 2.0 * share * bytes as f64 / self.bandwidth;
        doubling.min(halving)
    }

    /// Returns the time, in seconds, until all of `ranks` have the `bytes` of one:
    /// $`\lceil \log_2 P \rceil`$ messages, one after the other.
    #[must_use]
    pub fn broadcast(self, ranks: usize, bytes: usize) -> f64 {
        rounds(ranks) * self.message(bytes)
    }
}

/// The logarithm of the number of ranks, rounded up.
fn rounds(ranks: usize) -> f64 {
    f64::from(ranks.max(1).next_power_of_two().ilog2())
}

/// Returns the bytes of the exchange of a layer of `n` samples: 4 integers of 8 bytes for each pair
/// of samples, and a report.
#[must_use]
pub fn exchanged_bytes(n: usize) -> usize {
    16 * n * (n + 1) + 80
}

/// A node that draws its share of a layer, and the times that it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeakScaling {
    /// The number of samples.
    pub n: usize,
    /// The time in which a node draws its rows, in seconds.
    pub work: f64,
    /// The time in which a thread draws a super-block, in seconds: every rank draws the first one,
    /// and waits for the last one.
    pub super_block: f64,
}

impl WeakScaling {
    /// Returns the time, in seconds, of a layer that so many nodes draw, each with the same number
    /// of rows.
    #[must_use]
    pub fn layer(self, nodes: usize, link: Link) -> f64 {
        if nodes == 1 {
            return self.work;
        }
        let exchange = link.all_reduce(nodes, exchanged_bytes(self.n)) + link.broadcast(nodes, 16);
        self.work + 2.0 * self.super_block + exchange
    }

    /// Returns the weak-scaling efficiency: the time of one node for its rows over that of all
    /// nodes.
    #[must_use]
    pub fn efficiency(self, nodes: usize, link: Link) -> f64 {
        self.work / self.layer(nodes, link)
    }
}

/// The shared state of simulated ranks.
struct Room {
    link: Link,
    barrier: Barrier,
    /// The numbers and the clock of each rank.
    brought: Vec<Mutex<(Vec<i64>, f64)>>,
    /// The number of requests to stop since the program began.
    stops: Mutex<usize>,
}

/// One of some simulated ranks: a [`Communicator`].
pub struct SimulatedRank<'a> {
    room: &'a Room,
    index: usize,
    seconds: f64,
    exchanges: usize,
    bytes: usize,
    stops_seen: usize,
}

impl SimulatedRank<'_> {
    /// Returns the clock of this rank in seconds: the cost of exchanges, and the time that was
    /// [spent](Self::spend).
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Advances the clock by the time that this rank would work, without waiting.
    pub fn spend(&mut self, seconds: f64) {
        self.seconds += seconds;
    }

    /// Returns the number of sums over all ranks.
    #[must_use]
    pub fn exchanges(&self) -> usize {
        self.exchanges
    }

    /// Returns the number of bytes that this rank gave to sums and broadcasts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives the numbers of this rank to all, and those of all to `take`. All ranks leave together,
    /// `cost` after the last one came.
    fn meet(&mut self, numbers: &mut [i64], cost: f64, take: impl Fn(&mut [i64], usize, &[i64])) {
        let room = self.room;
        let poisoned = "a rank that panics ends all";
        *room.brought[self.index].lock().expect(poisoned) = (numbers.to_vec(), self.seconds);
        self.bytes += size_of_val(numbers);
        room.barrier.wait();
        for (rank, brought) in room.brought.iter().enumerate() {
            let (theirs, clock) = &*brought.lock().expect(poisoned);
            take(numbers, rank, theirs);
            self.seconds = self.seconds.max(*clock);
        }
        self.seconds += cost;
        self.stops_seen = *room.stops.lock().expect(poisoned);
        room.barrier.wait();
    }
}

impl Communicator for SimulatedRank<'_> {
    fn size(&self) -> usize {
        self.room.brought.len()
    }

    fn rank(&self) -> usize {
        self.index
    }

    fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> Result<()> {
        self.exchanges += 1;
        let cost = self.room.link.all_reduce(self.size(), size_of_val(numbers));
        let own = self.index;
        self.meet(numbers, cost, |sums, rank, theirs| {
            if rank != own {
                sums.iter_mut().zip(theirs).for_each(|(sum, number)| *sum += number);
            }
        });
        Ok(())
    }

    fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> Result<()> {
        let cost = self.room.link.broadcast(self.size(), size_of_val(numbers));
        self.meet(numbers, cost, |numbers, rank, theirs| {
            if rank == root {
                numbers.copy_from_slice(theirs);
            }
        });
        Ok(())
    }

    fn request_stop(&mut self) -> Result<()> {
        *self.room.stops.lock().expect("a rank that panics ends all") += 1;
        Ok(())
    }

    fn stop_requested(&mut self) -> Result<bool> {
        Ok(*self.room.stops.lock().expect("a rank that panics ends all") > self.stops_seen)
    }
}

/// Runs a program on `ranks` simulated ranks that `link` connects, and returns the result of each.
///
/// Each rank is a thread with a rayon pool of one thread. All ranks must exchange equally often:
/// one that panics or returns early leaves the others waiting forever.
///
/// # Panics
/// If a rank panics after its last exchange, and for no ranks.
pub fn simulate<R: Send>(
    ranks: usize,
    link: Link,
    program: impl Fn(&mut SimulatedRank<'_>) -> R + Sync,
) -> Vec<R> {
    assert!(ranks > 0, "no ranks");
    let room = Room {
        link,
        barrier: Barrier::new(ranks),
        brought: (0..ranks).map(|_| Mutex::default()).collect(),
        stops: Mutex::new(0),
    };
    let (room, program) = (&room, &program);
    let rank = move |index| {
        let mut rank =
            SimulatedRank { room, index, seconds: 0.0, exchanges: 0, bytes: 0, stops_seen: 0 };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        let _pool = pool.expect("a pool of the current thread, which is in no other");
        program(&mut rank)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..ranks).map(|index| scope.spawn(move || rank(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a rank panicked")).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_those_of_the_formulas() {
        let link = Link { latency: 1.0, bandwidth: 10.0 };
        assert_eq!((link.message(20), link.broadcast(5, 20)), (3.0, 9.0));
        assert_eq!((link.all_reduce(1, 50), link.all_reduce(4, 1)), (0.0, 2.2));
        assert_eq!(link.all_reduce(4, 1000), 4.0 + 1.5 * 100.0);
        let node = WeakScaling { n: 16, work: 1.0, super_block: 0.25 };
        assert_eq!((node.layer(1, link), node.efficiency(1, link)), (1.0, 1.0));
        let exchange = link.all_reduce(2, 4432) + link.message(16);
        assert_eq!(node.layer(2, link), 1.5 + exchange);
    }

    /// Ranks meet when the last one has come, and pay for what they exchange.
    #[test]
    fn clocks() {
        let link = Link { latency: 1.0, bandwidth: 8.0 };
        let found = simulate(4, link, |rank| {
            rank.spend(rank.rank() as f64);
            let mut numbers = [1 + rank.rank() as i64];
            rank.all_reduce_sum(&mut numbers).unwrap();
            rank.broadcast(2, &mut numbers).unwrap();
            (numbers, rank.seconds(), rank.exchanges(), rank.bytes())
        });
        assert_eq!(found, vec![([10], 3.0 + 4.0 + 4.0, 1, 16); 4]);
    }
}
