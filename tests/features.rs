//! The tests that optional features take part in: a binary of its own, quick to build with all of
//! them.

mod bad_input_table;
mod golden_values;
mod interop;
mod serialization;
mod sweep;
mod wasserstein;

use golden_values::number;
