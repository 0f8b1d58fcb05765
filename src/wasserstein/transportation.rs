//! The transportation problem: the cheapest plan between equal masses on either side.

use nalgebra::DMatrix;

use crate::kernel::triangular::vectorized;

/// Masses that go from one point to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) mass: usize,
}

/// Whole masses of a source and of a sink, the smallest with equal sums.
fn masses(sources: usize, sinks: usize) -> (usize, usize) {
    let common = gcd(sources, sinks);
    (sinks / common, sources / common)
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The cheapest plan between numbers, for a convex function of the difference: it keeps the order.
///
/// Cost: two sorts.
pub(super) fn of_numbers(sources: &[f64], sinks: &[f64]) -> Vec<Flow> {
    let order = |numbers: &[f64]| {
        let mut places: Vec<usize> = (0..numbers.len()).collect();
        places.sort_by(|&i, &j| numbers[i].total_cmp(&numbers[j]));
        places
    };
    let (supply, demand) = masses(sources.len(), sinks.len());
    let (sources, sinks) = (order(sources), order(sinks));
    let mut flows = Vec::with_capacity(sources.len() + sinks.len());
    let mut done = 0;
    while done < supply * sources.len() {
        let (i, j) = (done / supply, done / demand);
        let next = (supply * (i + 1)).min(demand * (j + 1));
        flows.push(Flow { from: sources[i], to: sinks[j], mass: next - done });
        done = next;
    }
    flows
}

/// The cheapest plan for a matrix of finite costs, a **column** for each source.
///
/// Successive shortest paths (Crouse 2016, with masses that may be split): sources are emptied one
/// after the other along cheapest paths of the residual graph, which Dijkstra's method finds on
/// costs reduced by potentials.
///
/// Cost: about as many paths as there are points; each up to `N M` operations, most far fewer.
pub(super) fn cheapest(cost: &DMatrix<f64>) -> Vec<Flow> {
    let (sinks, sources) = cost.shape();
    let (supply, demand) = masses(sources, sinks);
    let mut plan = Plan {
        cost,
        source_potentials: vec![0.0; sources],
        // With these no reduced cost is negative.
        sink_potentials: cost.row_iter().map(|row| row.min()).collect(),
        demands: vec![demand; sinks],
        inflows: vec![Vec::new(); sinks],
        search: Search::new(sources, sinks),
    };
    for source in 0..sources {
        let mut left = supply;
        while left > 0 {
            let sink = plan.shortest_path(source);
            left -= plan.send(source, sink, left);
        }
    }
    let inflows = plan.inflows.into_iter().enumerate();
    inflows
        .flat_map(|(to, inflow)| {
            inflow.into_iter().map(move |(from, mass)| Flow { from, to, mass })
        })
        .collect()
}

/// A cheapest plan for the masses sent so far.
struct Plan<'a> {
    cost: &'a DMatrix<f64>,
    /// No cost is less than the sum of two potentials; equal where mass flows.
    source_potentials: Vec<f64>,
    sink_potentials: Vec<f64>,
    /// What a sink can still take.
    demands: Vec<usize>,
    /// The sources of what a sink has taken, with masses.
    inflows: Vec<Vec<(usize, usize)>>,
    search: Search,
}

/// Dijkstra's method from one source.
struct Search {
    /// The shortest known distance of each sink, and the source before it.
    distances: Vec<f64>,
    before_sinks: Vec<u32>,
    /// Infinite for sinks whose distance is final, else zero.
    closed: Vec<f64>,
    /// The sinks whose distance is final.
    reached_sinks: Vec<usize>,
    /// The sources reached, the first one first.
    reached_sources: Vec<usize>,
    /// The sink before each source reached.
    before_sources: Vec<Option<usize>>,
}

impl Search {
    fn new(sources: usize, sinks: usize) -> Self {
        Self {
            distances: vec![f64::INFINITY; sinks],
            before_sinks: vec![0; sinks],
            closed: vec![0.0; sinks],
            reached_sinks: Vec::with_capacity(sinks),
            reached_sources: Vec::with_capacity(sources),
            before_sources: vec![None; sources],
        }
    }

    fn reset(&mut self) {
        self.distances.fill(f64::INFINITY);
        self.closed.fill(0.0);
        self.reached_sinks.clear();
        self.reached_sources.clear();
        self.before_sources.fill(None);
    }

    /// Looks from a source at all sinks: `base` is its distance less its potential.
    fn relax(&mut self, source: usize, base: f64, costs: &[f64], potentials: &[f64]) {
        let sinks = costs.len();
        let (distances, before) = (&mut self.distances[..sinks], &mut self.before_sinks[..sinks]);
        let (closed, potentials) = (&self.closed[..sinks], &potentials[..sinks]);
        vectorized(
            sinks,
            #[inline(always)]
            || {
                for j in 0..sinks {
                    let distance = base + (costs[j] - potentials[j]) + closed[j];
                    let shorter = distance < distances[j];
                    distances[j] = if shorter { distance } else { distances[j] };
                    before[j] = if shorter { source as u32 } else { before[j] };
                }
            },
        );
    }

    /// The nearest sink that is not closed, of equal ones one with demand, and its distance.
    fn nearest(&self, demands: &[usize]) -> (usize, f64) {
        let open = |j: usize| self.distances[j] + self.closed[j];
        let nearest = vectorized(
            demands.len(),
            #[inline(always)]
            || smallest_sum(&self.distances, &self.closed),
        );
        let mut candidates = (0..demands.len()).filter(|&j| open(j) == nearest);
        let first = candidates.next().expect("a smallest number is among them");
        let sink = if demands[first] > 0 { None } else { candidates.find(|&j| demands[j] > 0) };
        (sink.unwrap_or(first), nearest)
    }
}

/// The smallest sum of two numbers in one place, by partial minima.
#[inline(always)]
fn smallest_sum(a: &[f64], b: &[f64]) -> f64 {
    let smaller = |x: f64, y: f64| if x < y { x } else { y };
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut partial = [f64::INFINITY; 8];
    for k in 0..a.len().min(b.len()) {
        for lane in 0..8 {
            partial[lane] = smaller(a[k][lane] + b[k][lane], partial[lane]);
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| a + b);
    rest.chain(partial).fold(f64::INFINITY, smaller)
}

impl Plan<'_> {
    /// Finds the nearest sink with demand, and changes potentials so that the path to it is free.
    fn shortest_path(&mut self, start: usize) -> usize {
        let Self { cost, source_potentials, sink_potentials, demands, inflows, search } = self;
        let sinks = demands.len();
        search.reset();
        search.reached_sources.push(start);
        let mut looked = 0;
        let mut nearest = 0.0;
        let sink = loop {
            while let Some(&source) = search.reached_sources.get(looked) {
                let costs = &cost.as_slice()[source * sinks..][..sinks];
                search.relax(source, nearest - source_potentials[source], costs, sink_potentials);
                looked += 1;
            }
            let (sink, distance) = search.nearest(demands);
            nearest = distance;
            if demands[sink] > 0 {
                break sink;
            }
            search.closed[sink] = f64::INFINITY;
            search.reached_sinks.push(sink);
            for &(source, _) in &inflows[sink] {
                // The way back from a sink costs nothing.
                if source != start && search.before_sources[source].is_none() {
                    search.before_sources[source] = Some(sink);
                    search.reached_sources.push(source);
                }
            }
        };
        for &source in &search.reached_sources {
            let distance = search.before_sources[source].map_or(0.0, |j| search.distances[j]);
            source_potentials[source] += nearest - distance;
        }
        for &sink in &search.reached_sinks {
            sink_potentials[sink] -= nearest - search.distances[sink];
        }
        sink
    }

    /// Sends as much as goes, at most `left`, along the path found; returns the mass.
    fn send(&mut self, start: usize, end: usize, left: usize) -> usize {
        let Self { demands, inflows, search, .. } = self;
        let before = |sink: usize| {
            let source = search.before_sinks[sink] as usize;
            (source, search.before_sources[source])
        };
        let mut mass = left.min(demands[end]);
        let mut sink = end;
        while let (source, Some(previous)) = before(sink) {
            let inflow = inflows[previous].iter().find(|(from, _)| *from == source);
            mass = mass.min(inflow.expect("a source was reached through its flow").1);
            sink = previous;
        }
        demands[end] -= mass;
        let mut sink = end;
        loop {
            let (source, previous) = before(sink);
            match inflows[sink].iter_mut().find(|(from, _)| *from == source) {
                Some((_, inflow)) => *inflow += mass,
                None => inflows[sink].push((source, mass)),
            }
            let Some(previous) = previous else { break };
            let inflow = &mut inflows[previous];
            let place = inflow.iter().position(|(from, _)| *from == source);
            let place = place.expect("a source was reached through its flow");
            inflow[place].1 -= mass;
            if inflow[place].1 == 0 {
                inflow.swap_remove(place);
            }
            sink = previous;
        }
        debug_assert_eq!(search.before_sinks[sink] as usize, start);
        mass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The cost of a plan, whose marginals are checked.
    fn value(cost: &DMatrix<f64>, flows: &[Flow]) -> f64 {
        let (sinks, sources) = cost.shape();
        let (supply, demand) = masses(sources, sinks);
        let (mut sent, mut taken) = (vec![0; sources], vec![0; sinks]);
        for flow in flows {
            assert!(flow.mass > 0, "{flow:?}");
            sent[flow.from] += flow.mass;
            taken[flow.to] += flow.mass;
        }
        assert!(sent.iter().all(|&x| x == supply) && taken.iter().all(|&x| x == demand));
        let total: f64 = flows.iter().map(|f| f.mass as f64 * cost[(f.to, f.from)]).sum();
        total / (sources * supply) as f64
    }

    /// Every point repeated up to the common multiple of the sizes, and an assignment of these.
    fn naive(cost: &DMatrix<f64>) -> f64 {
        let (sinks, sources) = cost.shape();
        let order = sources * masses(sources, sinks).0;
        let repeated = DMatrix::from_fn(order, order, |i, j| cost[(i % sinks, j % sources)]);
        lsap::get_assigned_cost(order, order, &repeated.as_slice().to_vec(), false).unwrap()
            / order as f64
    }

    /// No reduced cost is negative and those of flows are zero, which proves a plan cheapest; a path
    /// that sends back what came another way is needed here.
    #[test]
    fn what_was_sent_may_go_back() {
        // The first source takes the sink that the second one needs most.
        let cost = nalgebra::dmatrix![0.0, 1.0, 5.0; 2.0, 9.0, 1.0; 3.0, 8.0, 7.0];
        let flows = cheapest(&cost);
        let mut pairs: Vec<_> = flows.iter().map(|flow| (flow.from, flow.to)).collect();
        pairs.sort_unstable();
        assert_eq!(pairs, [(0, 2), (1, 0), (2, 1)]);
        // Two thirds of the mass of either source, of which one third changes its way.
        let cost = nalgebra::dmatrix![0.0, 0.0; 1.0, 9.0; 4.0, 9.0];
        let mut flows: Vec<_> =
            cheapest(&cost).iter().map(|flow| (flow.from, flow.to, flow.mass)).collect();
        flows.sort_unstable();
        assert_eq!(value(&cost, &cheapest(&cost)), (2.0 + 4.0 + 9.0) / 6.0, "{flows:?}");
    }

    #[test]
    fn equal_costs_and_single_points() {
        for (sinks, sources) in [(1, 1), (1, 7), (7, 1), (4, 6), (9, 9)] {
            for cost in [0.0, 2.5, 1e300] {
                let cost = DMatrix::from_element(sinks, sources, cost);
                let found = value(&cost, &cheapest(&cost));
                assert!((found - cost[0]).abs() <= 1e-15 * cost[0]);
                assert!(value(&cost, &of_numbers(&vec![1.0; sources], &vec![1.0; sinks])) == found);
            }
        }
    }

    proptest! {
        /// Small whole numbers have many ties.
        #[test]
        fn is_the_assignment_of_repeated_points(
            sources in 1usize..14,
            sinks in 1usize..14,
            numbers in prop::collection::vec(-5.0f64..20.0, 14 * 14),
            whole in any::<bool>(),
        ) {
            let cost = DMatrix::from_fn(sinks, sources, |i, j| {
                let x = numbers[i * 14 + j];
                if whole { (x / 5.0).round() } else { x }
            });
            let (ours, expected) = (value(&cost, &cheapest(&cost)), naive(&cost));
            prop_assert!((ours - expected).abs() <= 1e-13 * cost.amax(), "{ours} {expected}");
        }

        /// A power of two times the costs, and a constant more for a source or a sink, are the same
        /// problem: at either end of the range, too.
        #[test]
        fn plans_have_no_scale(
            sources in 1usize..14,
            sinks in 1usize..14,
            numbers in prop::collection::vec(0u32..1 << 20, 14 * 14),
        ) {
            let cost = DMatrix::from_fn(sinks, sources, |i, j| f64::from(numbers[i * 14 + j]));
            let plan = cheapest(&cost);
            for power in [-1060, -500, 500, 975] {
                let unit = (0..5).fold(1.0, |unit, _| unit * 2f64.powi(power / 5));
                prop_assert_eq!(&cheapest(&(&cost * unit)), &plan);
            }
            let more = |i: usize, j: usize| cost[(i, j)] + (i * i) as f64 - 3.0 * j as f64;
            let moved = DMatrix::from_fn(sinks, sources, more);
            let extra = (0..sinks).map(|i| (i * i) as f64).sum::<f64>() / sinks as f64
                - (0..sources).map(|j| 3.0 * j as f64).sum::<f64>() / sources as f64;
            let difference = value(&moved, &cheapest(&moved)) - value(&cost, &plan) - extra;
            prop_assert!(difference.abs() <= 1e-12 * cost.amax().max(1e3), "{difference}");
        }

        #[test]
        fn of_numbers_is_cheapest(
            sources in prop::collection::vec(-5.0f64..5.0, 1..30),
            sinks in prop::collection::vec(-5.0f64..5.0, 1..30),
            whole in any::<bool>(),
        ) {
            let rounded = |numbers: Vec<f64>| -> Vec<f64> {
                numbers.into_iter().map(|x| if whole { x.round() } else { x }).collect()
            };
            let (sources, sinks) = (rounded(sources), rounded(sinks));
            let square = |i: usize, j: usize| (sinks[i] - sources[j]).powi(2);
            let cost = DMatrix::from_fn(sinks.len(), sources.len(), square);
            let ours = value(&cost, &of_numbers(&sources, &sinks));
            let expected = value(&cost, &cheapest(&cost));
            prop_assert!((ours - expected).abs() <= 1e-12, "{ours} {expected}");
        }
    }
}
