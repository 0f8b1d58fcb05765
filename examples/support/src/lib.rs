//! Shared code of the examples: command line, output, images, recipes, figures.

pub mod artifact;
pub mod command;
pub mod console;
pub mod figure;
pub mod images;
pub mod memory;
pub mod paper;
pub mod recipes;
pub mod shaped;
