//! Figures above each other: rows of panels that share their columns and the x axis.

use super::axes::Axes;
use super::{Figure, SIZE, legend, scene, svg};

/// The height of a row of panels, and of the gap below it.
const ROW: (f64, f64) = (225.0, 22.0);

/// Rows of panels above each other. A column is a family of cases, with its own colours and its own
/// legend below.
///
/// The first figure gives the heading and those of the columns, the last the x label; each has its
/// own y axis. Line styles are explained once, by the keys of all.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The rows from top to bottom, as many panels each.
    pub rows: Vec<Figure>,
}

impl Stack {
    /// The stack as SVG; `None` if a row has no point to draw.
    pub fn svg(&self) -> Option<String> {
        let (first, last) = (self.rows.first()?, self.rows.last()?);
        let mut axes: Vec<_> = self.rows.iter().map(Axes::around).collect::<Option<_>>()?;
        let x = axes.iter().fold(axes[0].x, |x, axes| (x.0.min(axes.x.0), x.1.max(axes.x.1)));
        axes.iter_mut().for_each(|axes| axes.x = x);

        let in_column = |column: usize| {
            let panels = self.rows.iter().filter_map(move |row| row.panels.get(column));
            panels.flat_map(|panel| &panel.series)
        };
        let lists: Vec<_> =
            (0..first.panels.len()).map(|column| legend::cases(in_column(column))).collect();
        let list_height = legend::list_height(lists.iter().map(Vec::len).max()?);
        let series = (0..first.panels.len()).flat_map(in_column);
        let mut keys = self.rows.iter().flat_map(|row| row.keys.clone()).collect::<Vec<_>>();
        keys.dedup();
        let foot = legend::foot([legend::styles(series, &keys, first.band)]);

        let rows = (ROW.0 + ROW.1) * self.rows.len() as f64 - ROW.1;
        let height = first.head() + rows + 62.0 + list_height + foot.height() + 16.0;
        let mut scene = scene((SIZE.0, height));
        foot.draw(&mut scene);
        first.draw_title(&mut scene);
        let mut top = first.head();
        for (index, (row, axes)) in self.rows.iter().zip(&axes).enumerate() {
            let (bottom, lowest) = (top + ROW.0, index + 1 == self.rows.len());
            row.draw_panels(axes, &mut scene, (top, bottom), lowest);
            top = bottom + if lowest { 0.0 } else { ROW.1 };
        }
        last.draw_x_labels(&mut scene, top);
        for (list, x) in lists.iter().zip(first.columns().0) {
            legend::draw_list(list, &mut scene, (x, top + 58.0));
        }
        Some(svg(&scene))
    }
}
