//! Layers drawn by several machines together: the bits of one.

use std::ops::ControlFlow;
use std::sync::{Barrier, Mutex};
use std::thread;

use orthogap::Activation::Relu;
use orthogap::chain::{Communicator, SingleProcess};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::{Engine, Error, Input, Network, Order, Residual, Result, Scalar, Seed};

use crate::gradients;
use crate::repeatability::bits;

/// Where threads meet that play the members of a team.
struct Room {
    messages: Vec<Mutex<Vec<f64>>>,
    barrier: Barrier,
}

/// One of them. Its team fails after so many exchanges.
struct Member<'a> {
    room: &'a Room,
    index: usize,
    exchanges: usize,
    most: usize,
}

impl Communicator for Member<'_> {
    fn size(&self) -> usize {
        self.room.messages.len()
    }

    fn rank(&self) -> usize {
        self.index
    }

    fn all_gather(&mut self, own: &[f64], all: &mut Vec<f64>) -> Result<()> {
        if self.exchanges == self.most {
            return Err(Error::Communicator {
                reason: format!("cut after {} exchanges", self.most),
            });
        }
        self.exchanges += 1;
        *self.room.messages[self.index].lock().unwrap() = own.to_vec();
        self.room.barrier.wait();
        all.clear();
        for message in &self.room.messages {
            all.extend_from_slice(&message.lock().unwrap());
        }
        self.room.barrier.wait();
        Ok(())
    }
}

/// What `play` gives on every member of a team that fails after `most` exchanges. The first member
/// has one thread, and each one more than the one before.
fn together<R: Send>(members: usize, most: usize, play: impl Fn(Member) -> R + Sync) -> Vec<R> {
    let messages = (0..members).map(|_| Mutex::default()).collect();
    let room = &Room { messages, barrier: Barrier::new(members) };
    let play = &play;
    thread::scope(|scope| {
        let member = |index| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(index + 1).build().unwrap();
            scope.spawn(move || pool.install(|| play(Member { room, index, exchanges: 0, most })))
        };
        let members: Vec<_> = (0..members).map(member).collect();
        members.into_iter().map(|member| member.join().unwrap()).collect()
    })
}

/// Layers of a chain, so that members meet the factor of another layer that they have drawn.
const LAYERS: usize = 2;

/// Teams of 2, 3 and 4 get the layers that one machine gets.
fn teams_agree<T: Scalar>(network: &Network<T>, batch_size: usize) {
    let input = Input::gaussian(2 * batch_size, batch_size, Seed(8)).unwrap();
    let mut alone = network.chain(&input, Seed(5)).unwrap();
    let expected: Vec<_> = (0..LAYERS).map(|_| bits(alone.step().unwrap())).collect();
    for members in [2, 3, 4] {
        let found = together(members, usize::MAX, |mut member| {
            let mut chain = network.chain(&input, Seed(5)).unwrap();
            let mut step = || bits(chain.step_with(&mut member).unwrap());
            let layers: Vec<_> = (0..LAYERS).map(|_| step()).collect();
            assert_eq!(chain.events(), alone.events());
            layers
        });
        assert!(
            found.iter().all(|found| *found == expected),
            "{members} members, width {}",
            network.width()
        );
    }
}

/// Layers of one super-block, so that all members but one have nothing to do; of two; and of some
/// forty, more than the 12 that two members draw at once.
fn shapes_agree<T: Scalar>() {
    for (width, batch_size) in [(20, 5), (30_000, 16), (600_000, 16)] {
        let linear = Network::<T>::new(width);
        teams_agree(&linear, batch_size);
        teams_agree(&linear.clone().with_normalization(Normalization::None), batch_size);
        teams_agree(
            &linear.clone().with_normalization(BatchNorm::standard(0.1).unwrap()),
            batch_size,
        );
        teams_agree(&linear.clone().with_activation(Relu), batch_size);
    }
    // The same rows summed twice.
    teams_agree(
        &Network::<T>::new(200_000).with_order(Order::ActivationLinearNorm).with_activation(Relu),
        16,
    );
}

/// Reverse passes, forward passes and all, of teams of 1 to 4.
#[test]
fn gradients() {
    let input = Input::gaussian(20, 16, Seed(8)).unwrap();
    let orders = [Order::LinearNormActivation, Order::ActivationLinearNorm];
    for (width, order) in [20, 90_000].into_iter().zip(orders) {
        let network = Network::<f64>::new(width).with_order(order).with_activation(Relu);
        let expected = gradients::pass(&network, &input, &mut SingleProcess);
        for members in [2, 4] {
            let found = together(members, usize::MAX, |mut member| {
                gradients::pass(&network, &input, &mut member)
            });
            assert!(found.iter().all(|found| *found == expected), "{members}, width {width}");
        }
    }
}

#[test]
fn double_precision() {
    shapes_agree::<f64>();
}

#[test]
fn single_precision() {
    shapes_agree::<f32>();
}

/// Samples so alike that rows are drawn again and factored, on every member.
#[test]
fn rows_drawn_again() {
    let network = Network::<f32>::new(40_000).with_activation(Relu);
    let input = Input::near_collinear(3, 1e-6).unwrap();
    let expected = network.chain(&input, Seed(5)).unwrap().advance(1).unwrap().clone();
    let found = together(2, usize::MAX, |mut member| {
        network.chain(&input, Seed(5)).unwrap().step_with(&mut member).unwrap().clone()
    });
    assert_eq!(found, [expected.clone(), expected]);
}

/// An engine that shares out no rows asks nothing of the team.
#[test]
fn held_layers() {
    let network = Network::<f64>::new(50).with_residual(Residual::new(0.5).unwrap());
    assert_eq!(network.engine(), Engine::Materialized);
    let input = Input::gaussian(50, 4, Seed(8)).unwrap();
    let expected = network.chain(&input, Seed(5)).unwrap().advance(1).unwrap().clone();
    let found = together(2, 0, |mut member| {
        network.chain(&input, Seed(5)).unwrap().step_with(&mut member).unwrap().clone()
    });
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn a_break_of_one_is_a_break_of_all() {
    let network = Network::<f64>::new(1_500_000); // some 90 super-blocks; 24 make a wave
    let input = Input::gaussian(20, 16, Seed(8)).unwrap();
    let found = together(3, usize::MAX, |mut member| {
        let mut chain = network.chain(&input, Seed(5)).unwrap();
        let (index, mut told) = (member.index, 0);
        let error = chain.step_with_while(&mut member, |_| {
            told += 1;
            if index == 1 && told == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = error.unwrap_err();
        assert_eq!((told, chain.layer().depth()), (2, 0));
        error
    });
    assert!(
        matches!(found[0], Error::Interrupted { layer: 1, rows } if (1..1_500_000).contains(&rows))
    );
    assert!(found.iter().all(|error| *error == found[0]));
}

/// A team that fails while it agrees, in its second wave, and in its second layer: the chain stays
/// where it was and goes on alone.
#[test]
fn a_team_that_fails() {
    let network = Network::<f64>::new(400_000);
    let input = Input::gaussian(20, 16, Seed(8)).unwrap();
    let mut alone = network.chain(&input, Seed(5)).unwrap();
    let expected =
        [alone.layer().clone(), alone.step().unwrap().clone(), alone.step().unwrap().clone()];
    let exchanges = together(2, usize::MAX, |mut member| {
        network.chain(&input, Seed(5)).unwrap().step_with(&mut member).unwrap();
        member.exchanges
    });
    assert!(exchanges[0] > 2, "{exchanges:?}: not more than one wave");
    for (most, depth) in [(0, 0), (2, 0), (exchanges[0], 1)] {
        together(2, most, |mut member| {
            let mut chain = network.chain(&input, Seed(5)).unwrap();
            let error = (0..2).find_map(|_| chain.step_with(&mut member).err()).unwrap();
            assert_eq!(error.to_string(), format!("the team failed: cut after {most} exchanges"));
            assert_eq!(*chain.layer(), expected[depth]);
            assert_eq!(*chain.step().unwrap(), expected[depth + 1]);
        });
    }
}

/// Another seed, width, input, slope, number type or depth is noticed before anything is drawn.
#[test]
fn members_that_differ() {
    fn differ<T: Scalar, U: Scalar>(
        (first, first_input, first_seed): (&Network<T>, f64, u64),
        (second, second_input, second_seed): (&Network<U>, f64, u64),
        ahead: usize,
    ) {
        fn step<T: Scalar>(
            (network, input, seed): (&Network<T>, f64, u64),
            layer: usize,
            mut member: Member,
        ) -> Error {
            let input = Input::near_collinear(3, input).unwrap();
            let mut chain = network.chain(&input, Seed(seed)).unwrap();
            chain.advance(layer).unwrap();
            chain.step_with(&mut member).unwrap_err()
        }
        let found = together(3, 1, |member| {
            if member.index == 2 {
                step((second, second_input, second_seed), ahead, member)
            } else {
                step((first, first_input, first_seed), 0, member)
            }
        });
        for error in found {
            let text = error.to_string();
            assert!(text.contains("member 2 draws another layer than member 0"), "{text}");
        }
    }
    let network = &Network::<f64>::new(100);
    differ((network, 0.1, 5), (network, 0.1, 6), 0);
    differ((network, 0.1, 5), (&Network::<f64>::new(101), 0.1, 5), 0);
    differ((network, 0.1, 5), (network, 0.1 + 1e-9, 5), 0);
    differ((network, 0.1, 5), (network, 0.1, 5), 1);
    differ(
        (network, 0.1, 5),
        (&network.clone().with_normalization(Normalization::None), 0.1, 5),
        0,
    );
    differ((network, 0.1, 5), (&Network::<f32>::new(100), 0.1, 5), 0);
    differ((network, 0.1, 5), (&network.clone().with_activation(Relu), 0.1, 5), 0);
}

/// A team that does not keep its contract.
#[test]
fn a_team_that_loses_numbers() {
    struct Lossy;
    impl Communicator for Lossy {
        fn size(&self) -> usize {
            2
        }
        fn rank(&self) -> usize {
            0
        }
        fn all_gather(&mut self, own: &[f64], all: &mut Vec<f64>) -> Result<()> {
            SingleProcess.all_gather(own, all)
        }
    }
    let mut chain =
        Network::<f64>::new(100).chain(&Input::orthogonal(3).unwrap(), Seed(1)).unwrap();
    let error = chain.step_with(&mut Lossy).unwrap_err();
    assert_eq!(error.to_string(), "the team failed: it gathered 2 numbers in place of 4");
}
