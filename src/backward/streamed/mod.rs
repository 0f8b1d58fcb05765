//! The reverse pass by small matrices: neither weights nor representations are held.
//!
//! At a layer $`Y = W X`$, with weights $`W \sim N(0, s^2/m)`$ (`d x m`) and $`X = Q F`$, where `Q`
//! has orthonormal columns and `F` is the factor that the chain draws rows of `Y` with, the matrix
//! $`V = W Q`$ has independent normal entries: those from which the chain draws $`Y = V F`$. The
//! forward pass depends on no other part of the weights, so given all representations
//!
//! ```math
//! W = V Q^\top + \Xi (I - Q Q^\top)
//! ```
//!
//! with fresh weights $`\Xi`$. Let row `i` of $`\Delta`$ be the gradient of the loss by row `i` of `Y`. The
//! rows of $`\Xi^\top \Delta`$ are independent, of covariance $`\frac{s^2}m \Delta^\top \Delta`$, so the
//! gradient by `X` is
//!
//! ```math
//! G = W^\top \Delta = Q U + (I - Q Q^\top) Z B, \qquad U = V^\top \Delta, \qquad
//! B^\top B = \tfrac{s^2}m \Delta^\top \Delta,
//! ```
//!
//! with a fresh standard normal `Z` (`m x n`). With $`S = Q^\top Z`$, row `i` of it is
//! $`g_i = q_i^\top (U - S B) + z_i^\top B`$: going down a layer takes two passes over its rows, which
//! are drawn again from their own streams. The first sums $`Q^\top Z`$; the second forms `g` row by row,
//! pulls it back through activation and normalisation to $`\delta`$, and sums $`\Delta^\top \Delta`$ and
//! $`V^\top \Delta`$ for the next step, and $`G^\top G`$ and $`H^\top G`$ for what is measured.
//!
//! Coordinates `q` never take an inverse of $`X^\top X`$. In a linear network
//! $`x = w F^\top z`$ with the normals `z` of the row, so $`p = w z`$ are coordinates in a basis that is
//! well conditioned whatever `X` is, and the chain's own step, $`F' = T F`$ with
//! $`P^\top P = T^\top T`$, makes $`Q = P T^{-1}`$. With an activation, `p` solves $`F^\top p = x`$; the
//! same $`T`$, which is the identity except for rounding, makes `Q` orthonormal to the last digit (the
//! second step of CholeskyQR2), so a condition number of `X` up to the inverse of the precision costs
//! digits of `Q` as a basis of `X` and none of the law of `G`.
//!
//! Centring `X` over the batch, leaving out samples that are zero, and losses of rank change `F`, not
//! the argument: `W` enters through what is drawn of `Y` alone. All is in logarithmic units.

mod algebra;
mod rows;
mod sums;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use fearless_simd::Level;
use nalgebra::DMatrix;

use self::algebra::{Below, right_inverse, semidefinite_root};
use self::rows::{Coordinates, OPERATIONS, Origin, Rows, Source};
use self::sums::{Pass, Workers, symmetric};
use super::batch_gradient::{BatchGradient, ByWeights};
use super::{Scaled, Top};
use crate::chain::{Communicator, RowFactor, in_units, layer_coordinate, operate};
use crate::factorization::cholesky;
use crate::kernel::plan::Plan;
use crate::{Error, Gram, Input, Network, Purpose, Replicate, Result, Scalar};

/// A streamed reverse pass, and the layer that it has come to.
#[derive(Debug)]
pub(super) struct Streamed<T: Scalar> {
    network: Network<T>,
    run: Replicate,
    top: Top,
    /// What the weights of the layers multiply, from the input to the layer below this one, in units.
    images: Vec<Image>,
    /// Whether these are made of layers by operations.
    apart: bool,
    dimension: usize,
    input: Vec<DMatrix<T>>,
    input_units: [f64; 3],
    below: Option<Below>,
    workers: Workers<T>,
}

/// A matrix `X` by its Gram matrix.
#[derive(Clone, Debug)]
struct Image {
    gram: Gram,
    log_scale: f64,
}

impl<T: Scalar> Streamed<T> {
    /// Goes forward `depth` layers, as [`Network::chain`] does, by rows.
    pub(super) fn new(
        network: &Network<T>,
        input: &Input,
        run: Replicate,
        (depth, top): (usize, Top),
        team: &mut impl Communicator,
    ) -> Result<Self> {
        network.activation().derivative(0.0)?;
        let mut chain = network.chain(input, run)?;
        chain.draw_rows();
        let mut images = Vec::new();
        for layer in 0..=depth {
            if layer > 0 {
                chain.step_with(team)?;
            }
            let image = chain.image().unwrap_or(chain.layer());
            images.push(Image { gram: image.gram().clone(), log_scale: image.log_scale() });
        }
        let apart = chain.image().is_some();
        let ends = network.stages().after.len();
        let (mut state, mut log_unit) = in_units(input);
        let (mut states, mut units) = (Vec::new(), [0.0; 3]);
        for index in ends..=OPERATIONS.len() {
            if index > ends {
                operate(network, OPERATIONS[index - 1], &mut state, None, &mut log_unit)?;
            }
            units[index] = log_unit;
            states.push(state.clone());
        }
        Ok(Self {
            network: network.clone(),
            run,
            top,
            images,
            apart,
            dimension: input.dimension(),
            input: states,
            input_units: units,
            below: None,
            workers: Workers::default(),
        })
    }

    /// The gradient at the current layer; goes one layer down. Stays on an error.
    pub(super) fn step(&mut self, team: &mut impl Communicator) -> Result<BatchGradient> {
        let Self { network, run, top, images, apart, dimension, input, input_units, .. } = self;
        let Some(depth) = images.len().checked_sub(1) else {
            let needs = "a layer that is left";
            return Err(Error::Unsupported { what: "a step of a reverse pass", needs });
        };
        let coordinate = layer_coordinate(depth)?;
        let fresh = run.stream(Purpose::Gradients, coordinate, 0).key();
        let (level, n) = (Level::new(), images[0].gram.batch_size());
        let ends = network.stages().after.len();
        let beneath = depth.checked_sub(1).map(|below| &images[below]);
        let inputs = if depth == 1 { *dimension } else { network.width() };
        let drawn = beneath.map(|image| Drawn::new(network, image, *apart, inputs)).transpose()?;
        let rows = match &drawn {
            Some(drawn) => drawn.rows(network, *run, coordinate),
            None => Rows {
                network,
                plan: Plan::new::<T>(*dimension, n),
                source: Source::Held { states: input },
                ends,
                units: *input_units,
            },
        };

        // What comes from above.
        let coordinates = match &self.below {
            None => Coordinates::OfNormals(0),
            Some(below) => coordinates(&rows, drawn.as_ref(), below)?,
        };
        let (origin, from, mut log_unit) = match &self.below {
            None => {
                let key = run.stream(Purpose::LossGradient, 0, 0).key();
                let log_unit = if *top == Top::Representation { rows.units[ends] } else { 0.0 };
                (Origin::Top { top: *top, key }, ends, log_unit)
            }
            Some(below) => {
                let k = coordinates.count();
                let orders = [k + n];
                let numbers = &below.along.map(T::of);
                let pass = Pass { layer: depth, top: *top, fresh, numbers };
                let sums =
                    self.workers.sum(&rows, &orders, pass, team, |block, worker, sums| {
                        rows.add_coordinates(level, &coordinates, fresh, block, worker, sums)
                    })?;
                let products = symmetric(&sums, k + n);
                let places = drawn.as_ref().filter(|_| below.own_rows).map_or_else(
                    || (0..k).collect(),
                    |drawn| drawn.places(&coordinates, &products),
                );
                let coefficients = below.coefficients(&products, &places).map(T::of);
                let coordinates = &coordinates;
                (Origin::Above { coefficients, coordinates, fresh }, 2, below.log_unit)
            }
        };

        // The gradients by rows.
        let orders = rows.gradient_orders();
        let none = DMatrix::zeros(0, 0);
        let numbers = match &origin {
            Origin::Top { .. } => &none,
            Origin::Above { coefficients, .. } => coefficients,
        };
        let pass = Pass { layer: depth, top: *top, fresh, numbers };
        let sums = self.workers.sum(&rows, &orders, pass, team, |block, worker, sums| {
            rows.add_gradients(level, &origin, block, worker, sums)
        })?;
        let of_h = orders[0].pow(2);
        let products = symmetric(&sums[..of_h], 2 * n);
        let by_h = products.view((n, n), (n, n)).into_owned();
        if self.below.is_none() && *top == Top::RandomDirection {
            log_unit -= 0.5 * by_h.trace().ln();
        }
        let of_both = [rows.units[ends], log_unit + rows.log_factor(from, ends)];
        let rounding = rounding::<T>(n);
        let root = semidefinite_root(&by_h, rounding);
        let Some(drawn) = drawn else {
            let gradient = BatchGradient::new(depth, (&products, root), of_both, None)?;
            self.images.pop();
            return Ok(gradient);
        };

        // What goes down.
        log_unit += rows.log_factor(from, 0);
        let r = drawn.factor.nrows();
        let mut delta = symmetric(&sums[of_h..], n + r);
        let square: f64 = (0..n).map(|j| delta[(j, j)]).sum();
        if square > 0.0 {
            let norm = square.sqrt();
            delta.columns_mut(0, n).scale_mut(norm.recip());
            delta.rows_mut(0, n).scale_mut(norm.recip());
            log_unit += norm.ln();
        }
        let delta_products = delta.view((0, 0), (n, n)).into_owned();
        let across = semidefinite_root(&delta_products, rounding);
        let image = &images[depth - 1];
        // X is larger than its factor by its norm.
        let log_size = image.log_scale + 0.5 * ((inputs * n) as f64).ln();
        let of_weights = log_unit + log_size;
        let weights = ByWeights {
            log_norm: of_weights + (&across * image.gram.factor().transpose()).norm().ln(),
            products: Scaled::new(
                delta_products.component_mul(&image.gram.matrix()),
                2.0 * of_weights,
            ),
        };
        let gradient = BatchGradient::new(depth, (&products, root), of_both, Some(weights))?;
        let rank = across.nrows();
        self.below = Some(Below {
            along: delta.view((n, 0), (r, n)).into_owned(),
            across: across.insert_rows(rank, n - rank, 0.0),
            frame: drawn.frame,
            own_rows: drawn.own_rows,
            log_unit: log_unit + network.log_gain(inputs) - 0.5 * (inputs as f64).ln(),
        });
        self.images.pop();
        Ok(gradient)
    }
}

/// How the rows of a layer were drawn.
struct Drawn {
    /// `F`, `r x n`, with zeros for samples that are left out.
    factor: DMatrix<f64>,
    /// The factor of `X` by which its coordinates are defined: `F` before centring.
    frame: DMatrix<f64>,
    own_rows: bool,
    order: usize,
    /// Logarithm of the unit in which $`y = F^\top z`$.
    log_unit: f64,
}

impl Drawn {
    /// Of the layer that multiplies `image`.
    fn new<T: Scalar>(
        network: &Network<T>,
        image: &Image,
        apart: bool,
        inputs: usize,
    ) -> Result<Self> {
        let n = image.gram.batch_size();
        let after = network.stages().after;
        let drawn = RowFactor::new(network, after, apart, &image.gram)?;
        let RowFactor { factor, live, order, rotated } =
            drawn.ok_or(Error::AllSamplesZero { layer: 0, batch_size: n })?;
        let factor = match live {
            None => factor.into_owned(),
            Some(live) => {
                let mut spread = DMatrix::zeros(factor.nrows(), n);
                for (column, place) in factor.column_iter().zip(live) {
                    spread.set_column(place, &column);
                }
                spread
            }
        };
        let frame = if rotated { factor.clone() } else { image.gram.factor().clone() };
        let log_unit = 0.5 * (n as f64).ln() + image.log_scale + network.log_gain(inputs);
        Ok(Self { factor, frame, own_rows: !rotated, order, log_unit })
    }

    fn rows<'a, T: Scalar>(
        &self,
        network: &'a Network<T>,
        run: Replicate,
        layer: u32,
    ) -> Rows<'a, T> {
        let [first, second] = OPERATIONS;
        let after_first = network.unit_after(first, self.log_unit);
        Rows {
            network,
            plan: Plan::new::<T>(network.width(), self.order),
            source: Source::Drawn {
                factor: self.factor.map(T::of),
                order: self.order,
                key: run.stream(Purpose::Rows, layer, 0).key(),
            },
            ends: network.stages().after.len(),
            units: [self.log_unit, after_first, network.unit_after(second, after_first)],
        }
    }

    /// Where the rows of the next factor, `F'`, are among those of $`T F`$: some are lost to underflow.
    fn places<T: Scalar>(
        &self,
        coordinates: &Coordinates<T>,
        products: &DMatrix<f64>,
    ) -> Vec<usize> {
        let k = coordinates.count();
        if let Coordinates::OfNormals(_) = coordinates
            && let Some(lower) = cholesky(products.view((0, 0), (k, k)).into_owned())
        {
            let next = lower.transpose() * &self.factor;
            return (0..k).filter(|&row| next.row(row).iter().any(|&x| x != 0.0)).collect();
        }
        (0..k).collect()
    }
}

/// The coordinates in which the rows of a layer stand to the frame of the layer above.
fn coordinates<T: Scalar>(
    rows: &Rows<'_, T>,
    drawn: Option<&Drawn>,
    below: &Below,
) -> Result<Coordinates<T>> {
    if let Some(drawn) = drawn
        && rows.network.activation().is_linear()
        && below.own_rows
    {
        return Ok(Coordinates::OfNormals(drawn.factor.nrows()));
    }
    let rank = below.frame.nrows();
    let inverse = right_inverse(&below.frame)
        .ok_or(Error::RankDeficient { rank, batch_size: below.frame.ncols() })?;
    Ok(match &rows.source {
        Source::Drawn { .. } => Coordinates::OfRows(inverse.map(T::of)),
        Source::Held { states } => {
            let image: Cow<'_, DMatrix<T>> = Cow::Borrowed(&states[states.len() - 1]);
            let held = image.map(|x| -> f64 { x.into() }) * inverse;
            Coordinates::Held(held.map(T::of))
        }
    })
}

/// The squared share of a direction that counts as rounding, in products of `n` columns.
fn rounding<T: Scalar>(n: usize) -> f64 {
    (n as f64 * f64::EPSILON).max((4.0 * T::EPSILON).powi(2))
}
