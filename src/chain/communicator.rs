//! Machines that draw one layer together.

use std::ops::Range;

use crate::{Error, Result};

/// Machines, or processes, that draw the rows of each layer together: the interface to what connects
/// them. [`Chain::step_with`](crate::Chain::step_with) does the rest.
///
/// Each member holds a chain of its own, of the same network, input and seed, and takes the same
/// steps. It draws its share of the super-blocks that a layer's rows are cut into; their sums, some
/// `n²` numbers each, are gathered, and every member adds all of them in the order of the blocks.
/// So every member has every layer, and its bits are those of one machine: they depend neither on
/// how many members there are nor on how many threads a member has.
///
/// [`SingleProcess`] is a team of one. The workspace crate `orthogap-mpi` has one of MPI ranks.
pub trait Communicator {
    /// How many members there are, at least one.
    fn size(&self) -> usize;

    /// Which of them this one is, counted from 0.
    fn rank(&self) -> usize;

    /// Collects what every member has into `all`, in the order of members, on every member. What
    /// was in `all` is lost. Members may have different amounts, or nothing.
    ///
    /// Numbers must arrive as they are, to the bit.
    ///
    /// # Errors
    /// [`Error::Communicator`] if not all of it came. It should come on every member, or the others wait.
    fn all_gather(&mut self, own: &[f64], all: &mut Vec<f64>) -> Result<()>;
}

/// A team of one, for programs that run with others or without.
///
/// ```
/// use orthogap::chain::{SingleProcess, Communicator};
///
/// let mut all = vec![4.0];
/// SingleProcess.all_gather(&[1.0, 2.0], &mut all)?;
/// assert_eq!((SingleProcess.rank(), SingleProcess.size(), all), (0, 1, vec![1.0, 2.0]));
/// # Ok::<(), orthogap::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SingleProcess;

impl Communicator for SingleProcess {
    fn size(&self) -> usize {
        1
    }

    fn rank(&self) -> usize {
        0
    }

    fn all_gather(&mut self, own: &[f64], all: &mut Vec<f64>) -> Result<()> {
        all.clear();
        all.extend_from_slice(own);
        Ok(())
    }
}

/// How members share the waves of super-blocks of one layer: each as it has workers.
pub(crate) struct Shares<'a> {
    team: &'a mut dyn Communicator,
    /// Workers of all members together.
    workers: usize,
    /// Nothing for a member alone, to whom it would be a cost at every layer.
    exchange: Option<Box<Exchange>>,
}

/// What a member of a team knows of the others.
#[derive(Default)]
struct Exchange {
    /// Where the workers of each member begin among those of all, and where the last ones end.
    bounds: Vec<usize>,
    own: Vec<f64>,
    all: Vec<f64>,
}

impl<'a> Shares<'a> {
    /// Agrees with the others on the shares, and makes sure that all draw the layer of the same
    /// `fingerprint`.
    pub(crate) fn agree(
        team: &'a mut dyn Communicator,
        workers: usize,
        fingerprint: impl FnOnce() -> u64,
    ) -> Result<Self> {
        let members = team.size();
        if members == 1 {
            return Ok(Self { team, workers, exchange: None });
        }
        let mut exchange = Box::<Exchange>::default();
        let Exchange { bounds, all, .. } = &mut *exchange;
        // A number keeps 53 bits of the fingerprint.
        let own = [workers as f64, (fingerprint() >> 11) as f64];
        gather(team, &own, all, 2 * members)?;
        let announced = all.as_chunks::<2>().0;
        let differs = |&member: &usize| announced[member][1] != announced[0][1];
        if let Some(member) = (0..members).find(differs) {
            let reason = format!(
                "member {member} draws another layer than member 0: members need the same network, \
                 input, seed and depth, and hardware that rounds alike"
            );
            return Err(Error::Communicator { reason });
        }
        let mut workers = 0;
        bounds.push(0);
        for [own, _] in announced {
            workers += *own as usize;
            bounds.push(workers);
        }
        Ok(Self { team, workers, exchange: Some(exchange) })
    }

    /// Super-blocks of a full wave.
    pub(crate) fn wave(&self) -> usize {
        self.workers
    }

    /// Which of a wave's super-blocks this member draws, at most as many as it has workers.
    pub(crate) fn own(&self, wave: usize) -> Range<usize> {
        match &self.exchange {
            None => 0..wave,
            Some(exchange) => exchange.share(self.team.rank(), wave),
        }
    }

    /// Hands the sums over the super-blocks of a wave, each of `length` numbers, to `add`, in the
    /// order of the blocks. Returns whether any member wants to break off.
    pub(crate) fn add_up<'b>(
        &mut self,
        wave: usize,
        length: usize,
        own: impl Iterator<Item = &'b [f64]>,
        stop: bool,
        mut add: impl FnMut(&[f64]),
    ) -> Result<bool> {
        let Some(exchange) = &mut self.exchange else {
            own.for_each(add);
            return Ok(stop);
        };
        let members = self.team.size();
        exchange.own.clear();
        own.for_each(|sum| exchange.own.extend_from_slice(sum));
        exchange.own.push(f64::from(u8::from(stop)));
        gather(self.team, &exchange.own, &mut exchange.all, wave * length + members)?;
        let (mut rest, mut stop) = (&exchange.all[..], false);
        for member in 0..members {
            let (sums, others) = rest.split_at(exchange.share(member, wave).len() * length);
            sums.chunks_exact(length).for_each(&mut add);
            stop |= others[0] != 0.0;
            rest = &others[1..];
        }
        Ok(stop)
    }
}

impl Exchange {
    /// Which of a wave's super-blocks a member draws.
    fn share(&self, member: usize, wave: usize) -> Range<usize> {
        let workers = self.bounds[self.bounds.len() - 1];
        let bound = |member: usize| wave * self.bounds[member] / workers;
        bound(member)..bound(member + 1)
    }
}

/// Gathers what must be `expected` numbers into `all`.
fn gather(
    team: &mut dyn Communicator,
    own: &[f64],
    all: &mut Vec<f64>,
    expected: usize,
) -> Result<()> {
    team.all_gather(own, all)?;
    let found = all.len();
    if found == expected {
        return Ok(());
    }
    Err(Error::Communicator {
        reason: format!("it gathered {found} numbers in place of {expected}"),
    })
}
