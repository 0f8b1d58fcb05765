//! Machines that draw one layer together.

use std::ops::Range;

use crate::{Error, Result};

/// The interface to machines, or processes, that draw the rows of each layer together.
/// [`Chain::step_with`](crate::Chain::step_with) does the rest.
///
/// Each member holds its own chain, of the same network, input and seed, and takes the same
/// steps. It draws its share of the super-blocks that a layer's rows are cut into, and sums them as
/// integers. Integers add up to the same total in any order, so every member gets every layer with
/// the bits that one machine gives. They depend neither on how many members there are nor on how
/// many threads a member has.
///
/// A pass over the rows of a layer takes one [`broadcast`](Self::broadcast) of 2 integers and one
/// [`all_reduce_sum`](Self::all_reduce_sum) of `2 n (n + 1) + 9` integers, which is at most `32 n²`
/// bytes and a constant, at any width.
///
/// [`SingleProcess`] is a team of one. The workspace crate `orthogap-mpi` has one of MPI ranks.
pub trait Communicator {
    /// Returns how many members there are, at least one.
    fn size(&self) -> usize;

    /// Returns which of them this one is, counted from 0.
    fn rank(&self) -> usize;

    /// Replaces each number by its sum over all members, on every member. All members have equally
    /// many. Sums are those of `i64` and do not overflow.
    ///
    /// # Errors
    /// [`Error::Communicator`] if it failed. It should fail on every member, or the others wait.
    fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> Result<()>;

    /// Replaces the numbers by those of member `root`, on every member. All members have equally many.
    ///
    /// # Errors
    /// [`Error::Communicator`] if it failed. It should fail on every member, or the others wait.
    fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> Result<()>;

    /// Asks the other members to stop drawing rows for the next
    /// [`all_reduce_sum`](Self::all_reduce_sum). Must not wait for them.
    ///
    /// The default does nothing: the others then draw their share of the layer before they stop.
    ///
    /// # Errors
    /// [`Error::Communicator`] if it failed.
    fn request_stop(&mut self) -> Result<()> {
        Ok(())
    }

    /// Returns whether another member has [asked](Self::request_stop) to stop since the last
    /// [`all_reduce_sum`](Self::all_reduce_sum). Must not wait; it is called between super-blocks, about
    /// three thousand times a second.
    ///
    /// # Errors
    /// [`Error::Communicator`] if it failed.
    fn stop_requested(&mut self) -> Result<bool> {
        Ok(false)
    }
}

/// A team of one, for programs that run with or without other members.
///
/// ```
/// use orthogap::chain::{SingleProcess, Communicator};
///
/// let mut numbers = [1, 2];
/// SingleProcess.all_reduce_sum(&mut numbers)?;
/// assert_eq!((SingleProcess.rank(), SingleProcess.size(), numbers), (0, 1, [1, 2]));
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

    fn all_reduce_sum(&mut self, _: &mut [i64]) -> Result<()> {
        Ok(())
    }

    fn broadcast(&mut self, _: usize, _: &mut [i64]) -> Result<()> {
        Ok(())
    }
}

/// What a member reports of its share of a pass, beside the sums.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Report {
    /// Whether it was to draw another layer than member 0.
    pub differs: bool,
    pub failed: bool,
    pub not_finite: bool,
    pub out_of_range: bool,
    /// Super-blocks that it has drawn.
    pub done: usize,
    /// A hash of the sum of the first super-block, which every member draws.
    pub first_block: u64,
}

/// What all members report.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Joint {
    pub not_finite: bool,
    pub out_of_range: bool,
    pub done: usize,
}

/// Bits of the hash of a block: the sum of the squares of all of them is an integer.
const HASH_BITS: u32 = 20;

impl Report {
    /// Numbers in a report.
    pub(super) const LENGTH: usize = 9;

    /// Writes the report to the beginning of a message.
    pub(super) fn write(self, team: &dyn Communicator, message: &mut [i64]) {
        let place = team.rank() as i64;
        let named = |yes: bool| [i64::from(yes), if yes { place } else { 0 }];
        let hash = (self.first_block & ((1 << HASH_BITS) - 1)) as i64;
        let flags = [self.not_finite, self.out_of_range].map(i64::from);
        let parts: [&[i64]; 4] = [
            &named(self.differs),
            &named(self.failed),
            &flags,
            &[self.done as i64, hash, hash * hash],
        ];
        for (to, from) in message.iter_mut().zip(parts.concat()) {
            *to = from;
        }
    }
}

impl Joint {
    /// Reads the sum of all reports, the same on all members.
    pub(super) fn read(team: &dyn Communicator, message: &[i64]) -> Result<Self> {
        let [differ, different, failed, who, not_finite, out_of_range, done, hashes, squares, ..] =
            *message
        else {
            let reason = format!("a message has only {} numbers", message.len());
            return Err(Error::Communicator { reason });
        };
        let members = |count: i64, sum: i64, one: &str, many: &str| match count {
            1 => format!("member {sum} {one}"),
            _ => format!("{count} members {many}"),
        };
        if differ > 0 {
            let text = members(differ, different, "draws another layer", "draw other layers");
            let reason = format!(
                "{text} than member 0: members need the same network, input, seed and depth"
            );
            return Err(Error::Communicator { reason });
        }
        if failed > 0 {
            let reason = members(failed, who, "failed", "failed");
            return Err(Error::Communicator { reason });
        }
        // Equal if and only if all are (Cauchy and Schwarz).
        if i128::from(hashes).pow(2) != team.size() as i128 * i128::from(squares) {
            let reason =
                "members draw other numbers from the same seed: their hardware must round \
                          alike"
                    .to_owned();
            return Err(Error::Communicator { reason });
        }
        Ok(Self { not_finite: not_finite > 0, out_of_range: out_of_range > 0, done: done as usize })
    }
}

/// The super-blocks that a member draws, out of all.
pub(super) fn share(team: &dyn Communicator, blocks: usize) -> Range<usize> {
    let (rank, size) = (team.rank() as u128, team.size() as u128);
    let bound = |rank: u128| (blocks as u128 * rank / size) as usize;
    bound(rank)..bound(rank + 1)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One of several members, of which all others have the same numbers. Remembers its last message.
    pub struct Member {
        rank: usize,
        size: usize,
        pub message: Vec<i64>,
    }

    impl Member {
        pub fn new(rank: usize, size: usize) -> Self {
            Self { rank, size, message: Vec::new() }
        }
    }

    impl Communicator for Member {
        fn size(&self) -> usize {
            self.size
        }

        fn rank(&self) -> usize {
            self.rank
        }

        fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> Result<()> {
            self.message = numbers.to_vec();
            numbers.iter_mut().for_each(|number| *number *= self.size as i64);
            Ok(())
        }

        fn broadcast(&mut self, _: usize, _: &mut [i64]) -> Result<()> {
            Ok(())
        }
    }

    fn read(reports: &[Report]) -> Result<Joint> {
        let mut sum = [0; Report::LENGTH];
        for (rank, report) in reports.iter().enumerate() {
            let mut message = [0; Report::LENGTH];
            report.write(&Member::new(rank, reports.len()), &mut message);
            sum.iter_mut().zip(message).for_each(|(sum, number)| *sum += number);
        }
        Joint::read(&Member::new(0, reports.len()), &sum)
    }

    fn reason(reports: &[Report]) -> String {
        read(reports).unwrap_err().to_string()
    }

    #[test]
    fn the_sum_of_reports_has_what_any_member_reports() {
        let first_block = 0xFEDC_BA98_7654_3210;
        let good = Report { first_block, done: 3, ..Report::default() };
        let joint = read(&[good; 3]).unwrap();
        assert_eq!((joint.not_finite, joint.out_of_range, joint.done), (false, false, 9));
        let joint = read(&[good, Report { not_finite: true, ..good }, good]).unwrap();
        assert_eq!((joint.not_finite, joint.out_of_range), (true, false));
        let joint = read(&[good, good, Report { out_of_range: true, ..good }]).unwrap();
        assert_eq!((joint.not_finite, joint.out_of_range), (false, true));
    }

    #[test]
    fn members_that_fail_or_differ_are_named() {
        let good = Report::default();
        let (failed, differs) = (Report { failed: true, ..good }, Report { differs: true, ..good });
        assert!(reason(&[good, good, failed]).contains("member 2 failed"));
        assert!(reason(&[good, failed, failed]).contains("2 members failed"));
        assert!(reason(&[good, differs, failed]).contains("member 1 draws another layer"));
        assert!(reason(&[good, differs, differs]).contains("2 members draw other layers"));
        // The first and the last bit of the hash.
        for bit in [0, HASH_BITS - 1] {
            let other = Report { first_block: 1 << bit, ..good };
            assert!(reason(&[good, good, other]).contains("other numbers from the same seed"));
            assert!(read(&[other; 3]).is_ok());
        }
        let short = Joint::read(&SingleProcess, &[0; 3]).unwrap_err();
        assert!(short.to_string().contains("only 3 numbers"), "{short}");
    }

    #[test]
    fn shares_are_all_blocks_in_turn() {
        for (blocks, size) in [(0, 2), (1, 3), (10, 3), (usize::MAX, 7)] {
            let shares: Vec<_> =
                (0..size).map(|rank| share(&Member::new(rank, size), blocks)).collect();
            assert_eq!((shares[0].start, shares[size - 1].end), (0, blocks));
            assert!(shares.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(shares.iter().all(|share| share.len().abs_diff(blocks / size) <= 1));
        }
    }
}
