//! Texts of a figure: their sizes, places and approximate widths.

use kuva::render::render::{Primitive, TextAnchor};

/// The purpose of a text.
#[derive(Clone, Copy)]
pub enum Role {
    /// Heading of the figure.
    Title,
    /// Heading of a panel.
    Panel,
    /// Name of the x axis.
    Axis,
    /// Name of the y axis.
    Side,
    /// Meaning of a sample in the legend.
    Key,
}

/// A text at its place.
pub fn text(role: Role, x: f64, y: f64, content: &str) -> Primitive {
    let (size, anchor, rotate) = match role {
        Role::Title => (18, TextAnchor::Middle, None),
        Role::Panel | Role::Axis => (14, TextAnchor::Middle, None),
        Role::Side => (14, TextAnchor::Middle, Some(-90.0)),
        Role::Key => (13, TextAnchor::Start, None),
    };
    // A heading too long for the figure is set smaller.
    let size = (9..=size).rev().find(|size| advance(content, *size) < 740.0);
    Primitive::Text {
        x,
        y,
        content: content.to_owned(),
        size: size.unwrap_or(8),
        anchor,
        rotate,
        bold: matches!(role, Role::Title | Role::Panel),
        color: None,
    }
}

/// The width of a text in a wide sans-serif face, roughly; kuva keeps its metrics private.
pub fn advance(text: &str, size: u32) -> f64 {
    let ems = text.chars().map(|letter| match letter {
        ' ' | '.' | ',' | '(' | ')' | '/' | ':' | 'f' | 'i' | 'j' | 'l' | 'r' | 't' => 0.4,
        'm' | 'w' | 'M' | 'W' | '%' | '=' | '√' => 0.95,
        'A'..='Z' => 0.72,
        _ => 0.63,
    });
    f64::from(size) * ems.sum::<f64>()
}
