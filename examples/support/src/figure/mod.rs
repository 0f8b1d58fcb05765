//! A figure: a row of panels of curves that share both axes and one legend, as SVG; or several rows
//! over one another, a [`Stack`].
//!
//! Colour and line style have separate meanings, which keeps the legend short. A colour stands for
//! a case, such as a width, and is named once for all panels. A line style stands for a kind of
//! curve, such as measured or predicted, and is named in black by [`Figure::keys`].
//!
//! Points that cannot be drawn are left out, without a panic. A point that is not finite (1e150
//! counts as infinite), or on a log axis not positive (1e-150 counts as zero), breaks its line. A
//! band that reaches zero on a log axis is cut at the frame. Equal figures give equal bytes. Fonts
//! are named, not embedded. Labels are Unicode; `$...$` is kuva's ASCII maths, which drops `\ell`:
//! write a plain `ℓ` outside it.
use kuva::backend::svg::SvgBackend;
use kuva::plot::{BandPlot, LinePlot, LineStyle, ScatterPlot};
use kuva::render::plots::Plot;
use kuva::render::render::{Primitive, Scene, render_multiple};

use axes::Axes;
#[allow(unused_imports, reason = "not every example stacks figures")]
pub use stack::Stack;
use text::{Role, text};

mod axes;
mod legend;
mod stack;
#[cfg(test)]
mod tests;
mod text;

/// The Okabe–Ito palette for colour-blind readers without its pale yellow: M. Okabe and K. Ito,
/// "Color Universal Design" (2008), <https://jfly.uni-koeln.de/color/>; B. Wong, Nat. Methods 8:441.
const PALETTE: [[u8; 3]; 7] = [
    [0x00, 0x72, 0xB2], // blue
    [0xD5, 0x5E, 0x00], // vermilion
    [0x00, 0x9E, 0x73], // bluish green
    [0xCC, 0x79, 0xA7], // reddish purple
    [0xE6, 0x9F, 0x00], // orange
    [0x56, 0xB4, 0xE9], // sky blue
    [0x00, 0x00, 0x00], // black
];
/// Width and height in pixels.
const SIZE: (f64, f64) = (900.0, 560.0);
/// Left end, right end and gaps of the row of panels.
const ROW: (f64, f64, f64) = (84.0, 874.0, 32.0);
/// Colour of texts and of the legend's styles.
const INK: &str = "#222222";

/// How a line is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Dash {
    /// Unbroken.
    #[default]
    Solid,
    /// Long strokes.
    Dashed,
    /// Short strokes, as all levels.
    Dotted,
    /// No line, but a dot at each point.
    Points,
}

impl Dash {
    /// The line style of kuva.
    fn style(self) -> LineStyle {
        match self {
            Self::Solid | Self::Points => LineStyle::Solid,
            Self::Dashed => LineStyle::Dashed,
            Self::Dotted => LineStyle::Custom("2 3".to_owned()),
        }
    }
}

/// One curve.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its case in the legend; empty for none.
    pub label: String,
    /// Number of its colour in the palette, which repeats.
    pub colour: usize,
    /// The curve, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Its band, `(lower, upper)` at each point; may be empty.
    pub band: Vec<(f64, f64)>,
    /// Its kind.
    pub dash: Dash,
}

/// One plotting area.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Heading; may be empty.
    pub title: String,
    /// The curves, later ones above.
    pub series: Vec<Series>,
    /// Dotted horizontal lines above all curves, in a darker shade: `(y, colour)`.
    pub levels: Vec<(f64, usize)>,
}

/// Panels side by side, over one legend.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    /// Heading; may be empty.
    pub title: String,
    /// The label of x, below every panel.
    pub x_label: String,
    /// The label of y, left of the row.
    pub y_label: String,
    /// Whether the x axis is logarithmic, with ticks at powers of two.
    pub log_x: bool,
    /// Whether the y axis is logarithmic.
    pub log_y: bool,
    /// The panels from left to right.
    pub panels: Vec<Panel>,
    /// The meanings of the line styles.
    pub keys: Vec<(String, Dash)>,
    /// The meaning of the bands.
    pub band: &'static str,
}

impl Figure {
    /// The figure as SVG; `None` if there is no point to draw.
    pub fn svg(&self) -> Option<String> {
        let axes = Axes::around(self)?;
        let mut scene = scene(SIZE);
        let series = || self.panels.iter().flat_map(|panel| &panel.series);
        let bottom = legend::foot([
            legend::cases(series()),
            legend::styles(series(), &self.keys, self.band),
        ])
        .draw(&mut scene);
        let (top, bottom) = (self.head(), bottom - 56.0);
        self.draw_title(&mut scene);
        self.draw_panels(&axes, &mut scene, (top, bottom), true);
        self.draw_x_labels(&mut scene, bottom);
        Some(svg(&scene))
    }

    /// The height of the heading and of those of the panels.
    fn head(&self) -> f64 {
        let headed = self.panels.iter().any(|panel| !panel.title.is_empty());
        let above = if self.title.is_empty() { 16.0 } else { 50.0 };
        if headed { above + 24.0 } else { above }
    }

    fn draw_title(&self, scene: &mut Scene) {
        scene.add(text(Role::Title, ROW.0.midpoint(ROW.1), 33.0, &self.title));
    }

    /// Left ends of the columns of panels, and their width.
    fn columns(&self) -> (impl Iterator<Item = f64>, f64) {
        let (left, right, gap) = ROW;
        let count = u16::try_from(self.panels.len()).unwrap_or(u16::MAX).max(1);
        let room = ((right - left + gap) / f64::from(count) - gap).max(1.0);
        ((0..count).map(move |index| left + f64::from(index) * (room + gap)), room)
    }

    /// Draws the panels and the y axis between two heights.
    fn draw_panels(
        &self,
        axes: &Axes,
        scene: &mut Scene,
        (top, bottom): (f64, f64),
        x_ticks: bool,
    ) {
        let (width, height) = (scene.width, scene.height);
        let (columns, room) = self.columns();
        for (panel, x) in self.panels.iter().zip(columns) {
            let frame = axes.layout((width, height), room).with_force_margins(x, width - x - room);
            let mut frame = frame.with_force_margins_y(top, height - bottom);
            (frame.suppress_x_ticks, frame.suppress_y_ticks) = (!x_ticks, x > ROW.0);
            for mut element in render_multiple(panel.plots(axes), frame).elements {
                // kuva numbers its clips through the whole process; equal figures need equal names.
                if let Primitive::ClipStart { id, .. } = &mut element {
                    *id = format!("panel-{}", scene.defs.len());
                    let high = bottom - top;
                    let area = format!(r#"x="{x}" y="{top}" width="{room}" height="{high}""#);
                    let clip = format!(r#"<clipPath id="{id}"><rect {area}/></clipPath>"#);
                    scene.defs.push(clip);
                }
                scene.add(element);
            }
            scene.add(text(Role::Panel, x + room / 2.0, top - 9.0, &panel.title));
        }
        scene.add(text(Role::Side, 24.0, top.midpoint(bottom), &self.y_label));
    }

    /// Draws the name of the x axis below each panel.
    fn draw_x_labels(&self, scene: &mut Scene, bottom: f64) {
        let (columns, room) = self.columns();
        for x in columns.take(self.panels.len()) {
            scene.add(text(Role::Axis, x + room / 2.0, bottom + 42.0, &self.x_label));
        }
    }
}

/// An empty canvas.
fn scene((width, height): (f64, f64)) -> Scene {
    let mut scene = Scene::new(width, height);
    scene.font_family = Some("DejaVu Sans, Verdana, Arial, sans-serif".to_owned());
    scene.text_color = Some(INK.to_owned());
    scene
}

/// A finished canvas.
fn svg(scene: &Scene) -> String {
    let svg = SvgBackend::new().with_pretty(true).render_scene(scene);
    let scalable = format!(r#"<svg viewBox="0 0 {} {}" "#, scene.width, scene.height);
    svg.replacen("<svg ", &scalable, 1)
}

impl Panel {
    /// The plots for kuva: bands below curves below levels.
    fn plots(&self, axes: &Axes) -> Vec<Plot> {
        // Even an empty panel gets its frame.
        let (mut bands, mut curves) = (vec![Plot::Line(LinePlot::new())], Vec::new());
        for series in &self.series {
            let colour = shade(series.colour, 1.0);
            let rows = series.points.iter().zip(&series.band);
            for run in runs(rows.map(|(point, band)| axes.band(point.0, *band))) {
                let (x, y): (Vec<_>, Vec<_>) = run.into_iter().unzip();
                let (low, high): (Vec<_>, Vec<_>) = y.into_iter().unzip();
                let band = BandPlot::new(x, low, high).with_color(colour.as_str());
                bands.push(Plot::Band(band.with_opacity(0.2)));
            }
            for run in runs(series.points.iter().map(|point| axes.point(*point))) {
                curves.push(if run.len() > 1 && series.dash != Dash::Points {
                    line(run, &colour, 2.2, series.dash)
                } else {
                    let point = ScatterPlot::new().with_data(run).with_size(4.0);
                    Plot::Scatter(point.with_color(colour.as_str()))
                });
            }
        }
        for (y, colour) in &self.levels {
            let ends = [axes.x.0, axes.x.1].map(|x| Some((x, axes.y(*y)?)));
            let ends = ends.into_iter().flatten().collect();
            curves.push(line(ends, &shade(*colour, 0.6), 1.7, Dash::Dotted));
        }
        bands.extend(curves);
        bands
    }
}

/// A line plot of kuva.
fn line(points: Vec<(f64, f64)>, colour: &str, width: f64, dash: Dash) -> Plot {
    let line = LinePlot::new().with_data(points).with_color(colour);
    Plot::Line(line.with_stroke_width(width).with_line_style(dash.style()))
}

/// A colour of the palette as CSS, darkened if `light` is below one.
fn shade(colour: usize, light: f64) -> String {
    let [red, green, blue] = PALETTE[colour % PALETTE.len()].map(|part| f64::from(part) * light);
    format!("rgb({red:.0},{green:.0},{blue:.0})")
}

/// Cuts a sequence at its gaps.
fn runs<T>(items: impl Iterator<Item = Option<T>>) -> Vec<Vec<T>> {
    let mut runs = vec![Vec::new()];
    for item in items {
        match (item, runs.last_mut()) {
            (Some(item), Some(run)) => run.push(item),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}
