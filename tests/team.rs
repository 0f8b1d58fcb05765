//! Layers drawn by several machines together: the bits of one.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Barrier, Mutex};
use std::thread;

use orthogap::Activation::Relu;
use orthogap::backward::Top;
use orthogap::chain::{Communicator, SingleProcess};
use orthogap::normalization::{BatchNorm, Normalization};
use orthogap::{Engine, Error, Input, Network, Order, Residual, Result, Scalar, Seed};

use crate::gradients;
use crate::repeatability::bits;

/// Where threads meet that play the members of a team.
struct Room {
    messages: Vec<Mutex<Vec<i64>>>,
    barrier: Barrier,
    /// Requests to stop, and how many of them were answered by an exchange.
    stops: AtomicUsize,
}

/// One of them. Its team fails after so many exchanges.
struct Member<'a> {
    room: &'a Room,
    index: usize,
    exchanges: usize,
    most: usize,
    /// Bytes handed to exchanges, and to broadcasts.
    bytes: [usize; 2],
    /// Requests of its own, and those that others have made before the last exchange.
    stops: [usize; 2],
}

impl Member<'_> {
    /// Leaves a message for the others, and takes theirs.
    fn meet(&mut self, numbers: &[i64]) -> Vec<Vec<i64>> {
        *self.room.messages[self.index].lock().unwrap() = numbers.to_vec();
        self.room.barrier.wait();
        let all = self.room.messages.iter().map(|message| message.lock().unwrap().clone());
        let all: Vec<_> = all.collect();
        self.room.barrier.wait();
        assert!(all.iter().all(|message| message.len() == numbers.len()));
        all
    }
}

impl Communicator for Member<'_> {
    fn size(&self) -> usize {
        self.room.messages.len()
    }

    fn rank(&self) -> usize {
        self.index
    }

    fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> Result<()> {
        if self.exchanges == self.most {
            return Err(Error::Communicator {
                reason: format!("cut after {} exchanges", self.most),
            });
        }
        self.exchanges += 1;
        self.bytes[0] += size_of_val(numbers);
        let all = self.meet(numbers);
        for (index, number) in numbers.iter_mut().enumerate() {
            *number = all.iter().map(|message| message[index]).sum();
        }
        self.stops = [0, self.room.stops.load(SeqCst)];
        self.room.barrier.wait();
        Ok(())
    }

    fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> Result<()> {
        self.bytes[1] += size_of_val(numbers);
        numbers.copy_from_slice(&self.meet(numbers)[root]);
        Ok(())
    }

    fn request_stop(&mut self) -> Result<()> {
        self.stops[0] += 1;
        self.room.stops.fetch_add(1, SeqCst);
        Ok(())
    }

    fn stop_requested(&mut self) -> Result<bool> {
        Ok(self.room.stops.load(SeqCst) > self.stops[0] + self.stops[1])
    }
}

/// What `play` gives on every member of a team that fails after `most` exchanges. The first member
/// has one thread, and each one more than the one before.
fn together<R: Send>(members: usize, most: usize, play: impl Fn(Member) -> R + Sync) -> Vec<R> {
    let messages = (0..members).map(|_| Mutex::default()).collect();
    let room = &Room { messages, barrier: Barrier::new(members), stops: AtomicUsize::new(0) };
    let play = &play;
    thread::scope(|scope| {
        let member = |index| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(index + 1).build().unwrap();
            let member = Member { room, index, exchanges: 0, most, bytes: [0; 2], stops: [0; 2] };
            scope.spawn(move || pool.install(|| play(member)))
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

/// Layers of one super-block, which all members draw; of two, so that some have nothing to do; and of
/// some forty.
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

/// Reverse passes, forward passes and all, of teams of 2 and 4.
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

/// At once where the team can say so, else after the shares of the others.
#[test]
fn a_break_of_one_is_a_break_of_all() {
    let network = Network::<f64>::new(1_500_000); // some 90 super-blocks
    let input = Input::gaussian(20, 16, Seed(8)).unwrap();
    let found = together(3, usize::MAX, |mut member| {
        let mut chain = network.chain(&input, Seed(5)).unwrap();
        let (index, mut told) = (member.index, 0);
        let error = chain.step_with_while(&mut member, |_| {
            told += 1;
            if index == 1 && told == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let error = error.unwrap_err();
        assert_eq!((chain.layer().depth(), member.exchanges), (0, 1));
        assert!(index != 1 || told == 2);
        // The next layer is another matter.
        assert_eq!(chain.step_with(&mut member).unwrap().depth(), 1);
        error
    });
    assert!(
        matches!(found[0], Error::Interrupted { layer: 1, rows } if (1..1_500_000).contains(&rows))
    );
    assert!(found.iter().all(|error| *error == found[0]));
}

/// Whatever its width, a layer takes one exchange of 16 n (n + 1) bytes and a constant.
#[test]
fn bytes_do_not_depend_on_the_width() {
    for n in [1, 3, 16, 40] {
        let input = Input::gaussian(50, n, Seed(8)).unwrap();
        for width in [300_000, 900_000] {
            let network = Network::<f32>::new(width).with_activation(Relu);
            together(2, usize::MAX, |mut member| {
                let mut chain = network.chain(&input, Seed(5)).unwrap();
                for layer in 1..=2 {
                    chain.step_with(&mut member).unwrap();
                    let [exchanged, broadcast] = member.bytes;
                    assert_eq!((member.exchanges, broadcast), (layer, layer * 16));
                    let alone = exchanged / layer == 72; // one super-block
                    assert!(alone || exchanged == layer * (16 * n * (n + 1) + 72), "{exchanged}");
                    assert!(alone == (n == 1 && width == 300_000));
                    assert!(exchanged <= layer * (32 * n * n + 72));
                }
            });
        }
    }
}

/// A team that fails in its first and in its second layer: the chain stays where it was and goes on
/// alone.
#[test]
fn a_team_that_fails() {
    let network = Network::<f64>::new(400_000);
    let input = Input::gaussian(20, 16, Seed(8)).unwrap();
    let mut alone = network.chain(&input, Seed(5)).unwrap();
    let expected =
        [alone.layer().clone(), alone.step().unwrap().clone(), alone.step().unwrap().clone()];
    for most in [0, 1] {
        together(2, most, |mut member| {
            let mut chain = network.chain(&input, Seed(5)).unwrap();
            let error = (0..2).find_map(|_| chain.step_with(&mut member).err()).unwrap();
            assert_eq!(error.to_string(), format!("the team failed: cut after {most} exchanges"));
            assert_eq!(*chain.layer(), expected[most]);
            assert_eq!(*chain.step().unwrap(), expected[most + 1]);
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
    // Layers that each member draws alone.
    let plain = &network.clone().with_normalization(Normalization::None);
    differ((plain, 0.1, 5), (plain, 0.1, 6), 0);
    differ((plain, 0.1, 5), (plain, 0.1 + 1e-9, 5), 0);
}

/// Another loss is noticed before its gradients are drawn.
#[test]
fn members_with_other_losses() {
    let (network, input) = (Network::<f64>::new(100), Input::orthogonal(3).unwrap());
    let found = together(2, usize::MAX, |mut member| {
        let top = [Top::RandomDirection, Top::ReadOut][member.index];
        let mut pass = network.gradients_with(&input, Seed(5), 1, top, &mut member).unwrap();
        pass.step_with(&mut member).unwrap_err().to_string()
    });
    for text in found {
        assert!(text.contains("member 1 draws another layer than member 0"), "{text}");
    }
}

/// Of several members that differ, how many; they have the error, too.
#[test]
fn several_members_that_differ() {
    let network = Network::<f64>::new(100);
    let found = together(4, 1, |mut member| {
        let seed = Seed(5 + member.index as u64 / 2);
        let input = Input::orthogonal(3).unwrap();
        network.chain(&input, seed).unwrap().step_with(&mut member).unwrap_err().to_string()
    });
    for text in found {
        assert!(text.contains("2 members draw other layers than member 0"), "{text}");
    }
}

/// Members that get other normals from the same seed, as if their hardware rounded otherwise.
#[test]
fn members_that_draw_other_numbers() {
    struct Other<'a>(Member<'a>);
    impl Communicator for Other<'_> {
        fn size(&self) -> usize {
            self.0.size()
        }
        fn rank(&self) -> usize {
            self.0.rank()
        }
        fn all_reduce_sum(&mut self, numbers: &mut [i64]) -> Result<()> {
            if self.rank() == 1 {
                // The hash of the first block, and its square.
                numbers[7] ^= 1;
                numbers[8] = numbers[7] * numbers[7];
            }
            self.0.all_reduce_sum(numbers)
        }
        fn broadcast(&mut self, root: usize, numbers: &mut [i64]) -> Result<()> {
            self.0.broadcast(root, numbers)
        }
    }
    let network = Network::<f64>::new(100);
    let found = together(3, usize::MAX, |member| {
        let mut chain = network.chain(&Input::orthogonal(3).unwrap(), Seed(5)).unwrap();
        chain.step_with(&mut Other(member)).unwrap_err().to_string()
    });
    assert!(found.iter().all(|text| text.contains("their hardware must round alike")), "{found:?}");
}
