//! The extension module `orthogap._orthogap`: the crate `orthogap` for Python and NumPy.
//!
//! Samples are rows here, arrays (n, d); in C order that is the crate's `d x n` in memory.
//! Functions that draw layers or take a batch release the interpreter. Chains and runs look for
//! signals between layers and blocks, initialisations between layers.

#![forbid(unsafe_code)]

mod arrays;
mod batches;
mod chain;
mod ensemble;
mod error;
mod gradients;
mod gram;
mod init;
mod interrupt;
mod names;
mod network;
mod operators;
mod theory;
mod wasserstein;

use pyo3::prelude::*;

#[pymodule]
fn _orthogap(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("Error", py.get_type::<error::Error>())?;
    module.add("METRICS", gram::METRICS)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    macro_rules! classes {
        ($($class:path),* $(,)?) => { $(module.add_class::<$class>()?;)* };
    }
    classes!(
        chain::Chain,
        chain::ExplicitChain,
        chain::ExplicitLayer,
        gradients::BatchGradient,
        gradients::Gradients,
        gradients::TangentKernel,
        gram::Event,
        gram::Gram,
        gram::Layer,
        network::Network,
        operators::Normalization,
        wasserstein::Bracket,
        wasserstein::Gaussian,
        wasserstein::LineW2,
        wasserstein::MatrixLaw,
        wasserstein::RowLaw,
        wasserstein::Sample,
        wasserstein::W2,
    );
    macro_rules! functions {
        ($($function:path),* $(,)?) => {
            $(module.add_function(wrap_pyfunction!($function, module)?)?;)*
        };
    }
    gram::register(module)?;
    functions!(
        gram::gap_floor,
        gram::spectrum,
        init::orthogonal_init,
        batches::gaussian_batch,
        batches::near_collinear_batch,
        batches::orthogonal_batch,
        batches::spiked_batch,
        operators::activate,
        operators::batch_norm,
        operators::group_norm,
        operators::layer_norm,
        operators::rms_norm,
        wasserstein::line_w2,
        wasserstein::w2_to_gaussian,
    );
    let theory = theory::module(py)?;
    module.add("theory", &theory)?;
    // So that `import orthogap._orthogap.theory` finds it.
    py.import("sys")?.getattr("modules")?.set_item("orthogap._orthogap.theory", theory)
}
