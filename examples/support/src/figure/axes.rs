//! Axes: the ranges and ticks that all panels of a figure share.

use kuva::render::layout::{Layout, TickFormat};
use std::sync::Arc;

use super::Figure;

/// The ranges shared by all panels.
pub struct Axes {
    /// Ends of the x axis, of its binary logarithm if that is drawn.
    pub x: (f64, f64),
    /// Ends of the y axis, in units of `10^decade` if there is one.
    y: (f64, f64),
    /// On a log axis, the power of ten below all points; kuva draws values below 1e-10 as 1e-10, so
    /// it gets multiples of this.
    decade: Option<f64>,
    log_x: bool,
}

impl Axes {
    /// Ranges of all points that can be drawn.
    pub fn around(figure: &Figure) -> Option<Self> {
        let (x, y) = ((0.0, 1.0), (f64::MIN_POSITIVE, 1.0));
        let decade = figure.log_y.then_some(0.0);
        let mut axes = Self { x, y, decade, log_x: figure.log_x };
        let series = || figure.panels.iter().flat_map(|panel| &panel.series);
        let points = series().flat_map(|series| &series.points);
        let seen = points.filter_map(|point| axes.point(*point));
        let (xs, mut ys): (Vec<_>, Vec<_>) = seen.unzip();
        let (x, y) = (extent(&xs)?, extent(&ys)?);
        // On a log axis a band may reach down to half the lowest point, the rest is cut.
        let least = if figure.log_y { y.0 / 2.0 } else { f64::MIN };
        for series in series() {
            for (point, band) in series.points.iter().zip(&series.band) {
                if let Some((_, (low, high))) = axes.band(point.0, *band) {
                    ys.extend([low.max(least), high]);
                }
            }
        }
        let levels = figure.panels.iter().flat_map(|panel| &panel.levels);
        ys.extend(levels.filter_map(|level| axes.y(level.0)));
        let y = extent(&ys)?;
        // Points at the ends must be visible as a whole; curves begin at the frame.
        axes.x = padded(x, if figure.log_x { 0.03 } else { 0.0 });
        axes.y = padded(y, 0.05);
        if figure.log_y {
            let decade = y.0.log10().floor();
            let (low, high) = (y.0 / 10_f64.powf(decade), y.1 / 10_f64.powf(decade));
            let unit = 10_f64.powf(high.log10().floor());
            let steps = [1.0, 2.0, 5.0, 10.0];
            let below = steps.into_iter().rfind(|step| *step <= low);
            let above = steps.into_iter().find(|step| step * unit >= high);
            let (low, high) = (below.unwrap_or(1.0), above.unwrap_or(10.0) * unit);
            let apart = if low < high { 1.0 } else { 2.0 };
            axes.y = (low / apart, high * apart);
            axes.decade = Some(decade);
        }
        Some(axes)
    }

    /// The coordinates of a point for kuva, if it can be drawn: quotients and differences must not
    /// overflow.
    pub fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let x = if self.log_x { x.log2() } else { x };
        (x.abs() < 1e150).then_some((x, self.y(y)?))
    }

    /// The same for y alone.
    pub fn y(&self, y: f64) -> Option<f64> {
        let drawn = y.abs() < 1e150 && (y > 1e-150 || self.decade.is_none());
        drawn.then(|| y / 10_f64.powf(self.decade.unwrap_or(0.0)))
    }

    /// The band at `x` for kuva; a part that is not positive is cut on a log axis.
    pub fn band(&self, x: f64, (low, high): (f64, f64)) -> Option<(f64, (f64, f64))> {
        let cut = self.decade.filter(|_| low <= 0.0).map(|_| self.y.0);
        let low = cut.or_else(|| self.y(low))?;
        let (x, high) = self.point((x, high))?;
        Some((x, (low, high)))
    }

    /// A frame of width `room` with these axes, ticks and a light grid, on a canvas of this size.
    pub fn layout(&self, (width, height): (f64, f64), room: f64) -> Layout {
        let mut layout = Layout::new(self.x, self.y).with_box_axes().with_ticks(5);
        (layout.width, layout.height) = (Some(width), Some(height));
        (layout.x_axis_min, layout.x_axis_max) = (Some(self.x.0), Some(self.x.1));
        (layout.y_axis_min, layout.y_axis_max) = (Some(self.y.0), Some(self.y.1));
        (layout.log_y, layout.tick_size) = (self.decade.is_some(), 13);
        layout.theme.grid_color = String::from("#e4e4e4");
        let mut layout = layout.with_tick_format(TickFormat::Custom(Arc::new(number)));
        if self.log_x {
            // Powers of two, as many as their labels fit.
            const LABEL: f64 = 45.0;
            let step = ((self.x.1 - self.x.0) * LABEL / room).ceil();
            layout = layout.with_x_tick_step(step);
            layout = layout.with_x_tick_format(TickFormat::Custom(Arc::new(|x| number(x.exp2()))));
        }
        let Some(decade) = self.decade else {
            return layout;
        };
        let span = (self.y.1 / self.y.0).log10();
        layout.with_y_tick_format(TickFormat::Custom(Arc::new(move |y| {
            let power = (y.log10() + 1e-9).floor();
            let (step, power) = ((y / 10_f64.powf(power)).round(), power + decade);
            let whole = step < 1.5 && power % (span / 8.0).ceil() == 0.0;
            match span <= 2.0 {
                true if power.abs() <= 3.0 => number(step * 10_f64.powf(power)),
                true if !whole => format!("{step}×$10^{{{power}}}$"),
                _ if whole => format!("$10^{{{power}}}$"),
                _ => String::new(),
            }
        })))
    }
}

/// A tick label, plain unless that would be long.
fn number(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-4..1e6).contains(&value.abs()) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

/// The least and the greatest number, if there are any.
fn extent(values: &[f64]) -> Option<(f64, f64)> {
    let low = values.iter().copied().reduce(f64::min)?;
    Some((low, values.iter().copied().fold(low, f64::max)))
}

/// The range with this share of its length added at both ends, or a range around one point.
fn padded((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    let pad = if size == 0.0 {
        1.0
    } else if high - low <= 1e-9 * size {
        0.1 * size
    } else {
        share * (high - low)
    };
    (low - pad, high + pad)
}
