//! The legend: which colour is which case and which line style is which kind of curve.

use kuva::render::render::{Primitive, Scene};

use super::text::{Role, advance, text};
use super::{Dash, Figure, INK, ROW, SIZE, shade};

/// One sample and its meaning.
#[derive(Clone, PartialEq)]
struct Entry<'a> {
    /// The meaning.
    label: &'a str,
    /// Colour of the sample.
    ink: String,
    /// Thickness of the sample.
    thick: f64,
    /// Style of the sample.
    dash: Dash,
}

/// Draws the legend at the foot of the figure, cases above styles, and returns its upper end.
pub fn draw(figure: &Figure, scene: &mut Scene) -> f64 {
    let series = || figure.panels.iter().flat_map(|panel| &panel.series);
    let (mut cases, mut styles) = (Vec::new(), Vec::new());
    for case in series().filter(|case| !case.label.is_empty()) {
        let (label, ink) = (case.label.as_str(), shade(case.colour, 1.0));
        let entry = Entry { label, ink, thick: 2.4, dash: case.dash };
        if !cases.contains(&entry) {
            cases.push(entry);
        }
    }
    for (label, dash) in &figure.keys {
        let ink = INK.to_owned();
        styles.push(Entry { label, ink, thick: 2.4, dash: *dash });
    }
    if series().any(|series| !series.band.is_empty()) {
        let ink = "#d3d3d3".to_owned();
        styles.push(Entry { label: "95 % band", ink, thick: 13.0, dash: Dash::Solid });
    }

    let mut rows = Vec::<(f64, Vec<_>)>::new();
    for group in [cases, styles] {
        let mut used = f64::INFINITY;
        for entry in group {
            let wide = 64.0 + advance(entry.label, 13);
            used += wide;
            if used > SIZE.0 - 20.0 {
                used = wide;
                rows.push((0.0, Vec::new()));
            }
            if let Some(row) = rows.last_mut() {
                row.0 = used;
                row.1.push((wide, entry));
            }
        }
    }

    let mut y = SIZE.1 + 2.0;
    for (used, row) in rows.into_iter().rev() {
        y -= 25.0;
        let mut x = (ROW.0.midpoint(ROW.1) - used / 2.0 + 11.0).min(SIZE.0 - used).max(10.0);
        for (wide, entry) in row {
            scene.add(Primitive::PolyLine {
                points: vec![(x, y), (x + 34.0, y)],
                stroke: entry.ink.into(),
                stroke_width: entry.thick,
                stroke_dasharray: entry.dash.style().dasharray(),
            });
            scene.add(text(Role::Key, x + 42.0, y + 4.5, entry.label));
            x += wide;
        }
    }
    y - 14.0
}
