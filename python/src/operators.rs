//! Normalisations, of arrays and in networks.

use numpy::{IntoPyArray, PyArrayMethods};
use orthogap::Scalar;
use orthogap::normalization::{
    BatchNorm, Centering, Normalization as Recipe, RowScale, SampleNorm,
};
use pyo3::prelude::*;

use crate::arrays::{Batch, columns, each, parts, transposed};
use crate::error::{Result, of_batch, refuse};

/// The epsilon of PyTorch, which is added to a variance.
const EPSILON: f64 = 1e-5;

/// A normalisation, of an array by a call, or of a network.
///
/// Created by its static methods; x is (n, d), its rows are samples.
///
/// >>> Normalization.batch_norm()([[3.0, 1.0], [4.0, -1.0]])
/// array([[ 0.6       ,  0.70710678],
///        [ 0.8       , -0.70710678]])
#[pyclass(frozen, eq, from_py_object, module = "orthogap")]
#[derive(Clone, PartialEq)]
pub struct Normalization {
    pub recipe: Recipe,
}

/// Batch normalisation by its parameters.
fn batch(centered: bool, epsilon: f64, scale: &str) -> Result<BatchNorm> {
    let row_scale = match scale {
        "norm" => RowScale::UnitNorm,
        "rms" => RowScale::UnitRms,
        _ => return Err(refuse(format!("unknown scale {scale:?}: expected norm, rms"))),
    };
    let centering = if centered { Centering::Batch } else { Centering::None };
    let norm = BatchNorm::paper().with_centering(centering).with_row_scale(row_scale);
    Ok(norm.with_epsilon(epsilon)?)
}

#[pymethods]
impl Normalization {
    /// Returns no normalisation: a vanilla network.
    #[staticmethod]
    fn none() -> Self {
        Self { recipe: Recipe::None }
    }

    /// Returns batch normalisation, by default the paper's: features of norm one over the batch,
    /// neither centred nor with an epsilon.
    ///
    /// scale is "norm" for features of Euclidean norm one, "rms" for root mean square one.
    #[staticmethod]
    #[pyo3(signature = (*, centered = false, epsilon = 0.0, scale = "norm"))]
    fn batch_norm(centered: bool, epsilon: f64, scale: &str) -> Result<Self> {
        Ok(Self { recipe: batch(centered, epsilon, scale)?.into() })
    }

    /// Returns the batch normalisation of the frameworks: centred, root mean square one.
    #[staticmethod]
    #[pyo3(signature = (*, epsilon = EPSILON))]
    fn standard_batch_norm(epsilon: f64) -> Result<Self> {
        Ok(Self { recipe: BatchNorm::standard(epsilon)?.into() })
    }

    /// Returns layer normalisation: each sample centred, root mean square one.
    #[staticmethod]
    #[pyo3(signature = (*, epsilon = EPSILON))]
    fn layer_norm(epsilon: f64) -> Result<Self> {
        Ok(Self { recipe: SampleNorm::layer(epsilon)?.into() })
    }

    /// Returns root mean square normalisation of each sample.
    #[staticmethod]
    #[pyo3(signature = (*, epsilon = EPSILON))]
    fn rms_norm(epsilon: f64) -> Result<Self> {
        Ok(Self { recipe: SampleNorm::rms(epsilon)?.into() })
    }

    /// Returns group normalisation: features of a sample in equal groups, each centred, root mean
    /// square one.
    #[staticmethod]
    #[pyo3(signature = (groups, *, epsilon = EPSILON))]
    fn group_norm(groups: usize, epsilon: f64) -> Result<Self> {
        Ok(Self { recipe: SampleNorm::group(groups, epsilon)?.into() })
    }

    /// Returns the normalised array (n, d), of the same type.
    #[pyo3(signature = (x, /))]
    fn __call__<'py>(&self, py: Python<'py>, x: Batch<'py>) -> Result<Bound<'py, PyAny>> {
        normalized(py, &x, self.recipe)
    }

    /// Returns the gradient of a loss with respect to x, from its gradient with respect to the
    /// normalised array; both are (n, d) and of one type.
    fn pullback<'py>(
        &self,
        py: Python<'py>,
        x: Batch<'py>,
        gradient: Batch<'py>,
    ) -> Result<Bound<'py, PyAny>> {
        match (&x, &gradient) {
            (Batch::Single(x), Batch::Single(g)) => {
                pulled_back(py, parts(x)?, parts(g)?, self.recipe)
            }
            (Batch::Double(x), Batch::Double(g)) => {
                pulled_back(py, parts(x)?, parts(g)?, self.recipe)
            }
            _ => Err(refuse("x and gradient must have one type, float32 or float64")),
        }
    }

    fn __repr__(&self) -> String {
        format!("Normalization({})", text(self.recipe))
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (String,))> {
        let json = serde_json::to_string(&self.recipe).expect("a recipe of numbers and names");
        Ok((py.get_type::<Self>().getattr("_from_json")?, (json,)))
    }

    #[staticmethod]
    fn _from_json(text: &str) -> Result<Self> {
        let recipe = serde_json::from_str(text).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { recipe })
    }
}

/// The parameters of a normalisation.
fn text(recipe: Recipe) -> String {
    serde_json::to_string(&recipe).expect("a recipe of numbers and names").replace('"', "'")
}

fn normalized<'py>(py: Python<'py>, x: &Batch<'py>, recipe: Recipe) -> Result<Bound<'py, PyAny>> {
    each!(x, array => {
        let (slice, shape) = parts(array)?;
        let result = py.detach(|| recipe.normalize(&columns(slice, shape)));
        Ok(transposed(py, result.map_err(of_batch)?).into_any())
    })
}

fn pulled_back<'py, T: Scalar + numpy::Element>(
    py: Python<'py>,
    (x, x_shape): (&[T], [usize; 2]),
    (gradient, gradient_shape): (&[T], [usize; 2]),
    recipe: Recipe,
) -> Result<Bound<'py, PyAny>> {
    let result = py.detach(|| {
        let (h, gradient) = (columns(x, x_shape), columns(gradient, gradient_shape));
        recipe.pullback(&h, &gradient)
    });
    Ok(transposed(py, result.map_err(of_batch)?).into_any())
}

/// Returns the batch normalisation of an array (n, d), by default the paper's: features of norm
/// one.
///
/// x has samples as rows; float32 or float64, which is also the type of the result. epsilon is
/// added to the variance. scale is "norm" for features of Euclidean norm one over the batch (arXiv
/// 2106.03970), "rms" for root mean square one; the frameworks have centered=True, epsilon=1e-5,
/// scale="rms". Raises Error if epsilon is zero and a feature is zero, or constant where it is
/// centred.
#[pyfunction]
#[pyo3(signature = (x, /, *, centered = false, epsilon = 0.0, scale = "norm"))]
pub fn batch_norm<'py>(
    py: Python<'py>,
    x: Batch<'py>,
    centered: bool,
    epsilon: f64,
    scale: &str,
) -> Result<Bound<'py, PyAny>> {
    normalized(py, &x, batch(centered, epsilon, scale)?.into())
}

/// Returns the layer normalisation of an array (n, d): each row centred, root mean square one.
#[pyfunction]
#[pyo3(signature = (x, /, *, epsilon = EPSILON))]
pub fn layer_norm<'py>(py: Python<'py>, x: Batch<'py>, epsilon: f64) -> Result<Bound<'py, PyAny>> {
    normalized(py, &x, SampleNorm::layer(epsilon)?.into())
}

/// Returns the root mean square normalisation of an array (n, d): each row of root mean square one.
#[pyfunction]
#[pyo3(signature = (x, /, *, epsilon = EPSILON))]
pub fn rms_norm<'py>(py: Python<'py>, x: Batch<'py>, epsilon: f64) -> Result<Bound<'py, PyAny>> {
    normalized(py, &x, SampleNorm::rms(epsilon)?.into())
}

/// Returns the group normalisation of an array (n, d): each row in equal groups, each of them
/// centred and of root mean square one.
#[pyfunction]
#[pyo3(signature = (x, groups, /, *, epsilon = EPSILON))]
pub fn group_norm<'py>(
    py: Python<'py>,
    x: Batch<'py>,
    groups: usize,
    epsilon: f64,
) -> Result<Bound<'py, PyAny>> {
    normalized(py, &x, SampleNorm::group(groups, epsilon)?.into())
}

/// Returns the activation, given by its name, of every number of an array (n, d).
#[pyfunction]
#[pyo3(signature = (x, name, /))]
pub fn activate<'py>(py: Python<'py>, x: Batch<'py>, name: &str) -> Result<Bound<'py, PyAny>> {
    let activation: orthogap::Activation = name.parse()?;
    each!(&x, array => {
        let (slice, shape) = parts(array)?;
        let mut numbers = slice.to_vec();
        py.detach(|| activation.apply(&mut numbers));
        let result = numbers.into_pyarray(py).reshape(shape).map_err(crate::error::Failure::from)?;
        Ok(result.into_any())
    })
}

/// A normalisation by name, or as it is.
#[derive(FromPyObject)]
pub enum NormalizationLike {
    Value(Normalization),
    Name(String),
}

impl NormalizationLike {
    pub fn recipe(&self) -> Result<Recipe> {
        let name = match self {
            Self::Value(normalization) => return Ok(normalization.recipe),
            Self::Name(name) => name.as_str(),
        };
        Ok(match name {
            "none" => Recipe::None,
            "mean_only" => Recipe::MeanOnly,
            "batch_norm" => BatchNorm::paper().into(),
            "standard_batch_norm" => BatchNorm::standard(EPSILON)?.into(),
            "layer_norm" => SampleNorm::layer(EPSILON)?.into(),
            "rms_norm" => SampleNorm::rms(EPSILON)?.into(),
            _ => {
                return Err(refuse(format!(
                    "unknown normalization {name:?}: expected none, mean_only, batch_norm, \
                     standard_batch_norm, layer_norm, rms_norm, or a Normalization"
                )));
            }
        })
    }
}
