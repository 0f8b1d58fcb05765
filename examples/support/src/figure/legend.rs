//! The legend: the cases by colour, and the kinds of curve by line style.

use kuva::render::render::{Primitive, Scene};

use super::text::{Role, advance, text};
use super::{Dash, INK, ROW, Series, shade};

/// The height of a row of entries at the foot.
const FOOT_ROW: f64 = 25.0;
/// The height of an entry of a list.
const LIST_ROW: f64 = 19.0;

/// One sample and its meaning.
#[derive(Clone, PartialEq)]
pub struct Entry<'a> {
    /// The meaning.
    label: &'a str,
    /// Colour of the sample.
    ink: String,
    /// Thickness of the sample.
    thick: f64,
    /// Style of the sample.
    dash: Dash,
}

impl Entry<'_> {
    /// Draws the sample with this length, and its meaning after it.
    fn draw(&self, scene: &mut Scene, (x, y): (f64, f64), length: f64) {
        let ink = self.ink.as_str();
        scene.add(match self.dash {
            Dash::Points => Primitive::Circle {
                cx: x + length / 2.0,
                cy: y,
                r: 4.0,
                fill: ink.into(),
                fill_opacity: None,
                stroke: None,
                stroke_width: None,
            },
            line => Primitive::PolyLine {
                points: vec![(x, y), (x + length, y)],
                stroke: ink.into(),
                stroke_width: self.thick,
                stroke_dasharray: line.style().dasharray(),
            },
        });
        scene.add(text(Role::Key, x + length + 8.0, y + 4.5, self.label));
    }
}

/// The cases, each once.
pub fn cases<'a>(series: impl Iterator<Item = &'a Series>) -> Vec<Entry<'a>> {
    let mut cases = Vec::new();
    for case in series.filter(|case| !case.label.is_empty()) {
        let (label, ink) = (case.label.as_str(), shade(case.colour, 1.0));
        let entry = Entry { label, ink, thick: 2.4, dash: case.dash };
        if !cases.contains(&entry) {
            cases.push(entry);
        }
    }
    cases
}

/// The kinds of curve, and the band if there is one.
pub fn styles<'a>(
    mut series: impl Iterator<Item = &'a Series>,
    keys: &'a [(String, Dash)],
    band: &'a str,
) -> Vec<Entry<'a>> {
    let style = |(label, dash): &'a (String, Dash)| {
        let ink = INK.to_owned();
        Entry { label, ink, thick: 2.4, dash: *dash }
    };
    let mut styles: Vec<_> = keys.iter().map(style).collect();
    if series.any(|series| !series.band.is_empty()) {
        let ink = "#d3d3d3".to_owned();
        styles.push(Entry { label: band, ink, thick: 13.0, dash: Dash::Solid });
    }
    styles
}

/// Rows of entries at the foot of a figure, each with its length.
pub struct Foot<'a> {
    rows: Vec<(f64, Vec<(f64, Entry<'a>)>)>,
}

/// Groups of entries below each other, as many entries a row as fit.
pub fn foot<'a>(groups: impl IntoIterator<Item = Vec<Entry<'a>>>) -> Foot<'a> {
    let mut rows = Vec::<(f64, Vec<_>)>::new();
    for group in groups {
        let mut used = f64::INFINITY;
        for entry in group {
            let wide = 64.0 + advance(entry.label, 13);
            used += wide;
            if used > super::SIZE.0 - 20.0 {
                used = wide;
                rows.push((0.0, Vec::new()));
            }
            if let Some(row) = rows.last_mut() {
                row.0 = used;
                row.1.push((wide, entry));
            }
        }
    }
    Foot { rows }
}

impl Foot<'_> {
    /// The height of its rows.
    pub fn height(&self) -> f64 {
        FOOT_ROW * self.rows.len() as f64
    }

    /// Draws it and returns its upper end.
    pub fn draw(self, scene: &mut Scene) -> f64 {
        let mut y = scene.height + 2.0;
        for (used, row) in self.rows.into_iter().rev() {
            y -= FOOT_ROW;
            let mut x = (ROW.0.midpoint(ROW.1) - used / 2.0 + 11.0).min(scene.width - used);
            x = x.max(10.0);
            for (wide, entry) in row {
                entry.draw(scene, (x, y), 34.0);
                x += wide;
            }
        }
        y - 14.0
    }
}

/// The height of a list of so many entries.
pub fn list_height(entries: usize) -> f64 {
    LIST_ROW * entries as f64
}

/// Draws entries below each other.
pub fn draw_list(entries: &[Entry], scene: &mut Scene, (x, top): (f64, f64)) {
    for (index, entry) in entries.iter().enumerate() {
        entry.draw(scene, (x, top + LIST_ROW * (index as f64 + 0.5)), 24.0);
    }
}
