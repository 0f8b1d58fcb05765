//! Figures have equal bytes and all their texts, and do not panic.

use super::{Dash, Figure, Panel, Series, Stack};

/// A log figure with one curve, its band, a level and a key.
fn figure(points: Vec<(f64, f64)>) -> Figure {
    let band = points.iter().map(|p| (p.1 * 0.8, p.1 * 1.2)).collect();
    let label = "width 8".to_owned();
    let series = vec![Series { label, points, band, ..Series::default() }];
    let levels = vec![(0.25, 0)];
    Figure {
        x_label: "depth <ℓ>".to_owned(),
        y_label: "gap".to_owned(),
        log_y: true,
        panels: vec![Panel { series, levels, ..Panel::default() }],
        keys: vec![("predicted".to_owned(), Dash::Dotted)],
        band: "95 % of runs",
        ..Figure::default()
    }
}

/// How often `part` occurs in the figure.
fn count(figure: &Figure, part: &str) -> usize {
    figure.svg().map_or(0, |svg| svg.matches(part).count())
}

#[test]
fn equal_figures_give_equal_bytes_with_all_texts() {
    let mut figure = figure(vec![(0.0, 0.9), (1.0, 0.5), (2.0, 0.3)]);
    figure.panels.push(figure.panels[0].clone());
    assert_eq!(figure.svg(), figure.svg());
    for text in [">gap<", ">width 8<", ">predicted<", ">95 % of runs<", ">0.2<"] {
        assert_eq!(count(&figure, text), 1, "{text}");
    }
    assert_eq!(count(&figure, ">depth &lt;ℓ&gt;<"), 2);
    assert_eq!(count(&figure, "NaN") + count(&figure, "inf"), 0);
}

#[test]
fn points_that_cannot_be_drawn_break_the_line() {
    let line = r#"stroke-width="2.2""#;
    let sound = vec![(0.0, 0.9), (1.0, 0.5), (2.0, 0.4), (3.0, 0.3), (4.0, 0.3)];
    assert_eq!(count(&figure(sound.clone()), line), 1);
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let mut points = sound.clone();
        points[2].1 = bad;
        assert_eq!(count(&figure(points), line), 2, "{bad}");
    }
}

#[test]
fn widths_are_powers_of_two_on_their_axis() {
    let mut figure = figure(vec![(16.0, 0.9), (32.0, 0.5), (256.0, 0.3)]);
    figure.log_x = true;
    figure.panels[0].series[0].dash = Dash::Points;
    for tick in ["16", "32", "64", "128", "256"] {
        assert_eq!(count(&figure, &format!(">{tick}<")), 1, "{tick}");
    }
    let mut many = figure.clone();
    many.panels[0].series[0].points.push((2f64.powi(40), 0.2));
    assert!(count(&many, ">16<") + count(&many, ">32<") < 2, "labels would touch");
    // A dot for each point and one in the legend, but no line.
    assert_eq!(count(&figure, "<circle "), 3 + 1);
    assert_eq!(count(&figure, r#"stroke-width="2.2""#), 0);
    figure.panels[0].series[0].points[1].0 = 0.0;
    assert_eq!(count(&figure, "<circle "), 2 + 1);
}

#[test]
fn odd_points_do_not_panic() {
    let huge = vec![(-1e308, 1e308), (1e308, 1e-320), (0.0, 1e-149), (1e149, 1e149)];
    for points in [vec![(3.0, 0.5)], vec![(3.0, 0.5); 4], huge] {
        for log_y in [false, true] {
            let figure = Figure { log_y, ..figure(points.clone()) };
            assert_eq!(count(&figure, "<svg "), 1);
            assert_eq!(count(&figure, "NaN") + count(&figure, "inf"), 0);
        }
    }
}

#[test]
fn a_figure_without_points_is_none() {
    assert_eq!(figure(Vec::new()).svg(), None);
}

#[test]
fn a_stack_shares_columns_and_lists_the_cases_of_each() {
    let mut upper = figure(vec![(0.0, 0.9), (1.0, 0.5), (2.0, 0.3)]);
    upper.panels.push(upper.panels[0].clone());
    upper.panels[0].title = "family".to_owned();
    let mut lower = Figure { log_y: false, y_label: "rank".to_owned(), ..upper.clone() };
    lower.panels[0].title = String::new();
    let stack = Stack { rows: vec![upper, lower.clone()] };
    let svg = stack.svg().unwrap();
    assert_eq!(stack.svg().as_deref(), Some(svg.as_str()));
    let count = |part: &str| svg.matches(part).count();
    // Two rows of two panels; each column has a legend, the styles are named once.
    assert_eq!(count("<clipPath "), 4);
    for (text, times) in [
        (">family<", 1),
        (">gap<", 1),
        (">rank<", 1),
        (">width 8<", 2),
        (">predicted<", 1),
        (">95 % of runs<", 1),
        (">depth &lt;ℓ&gt;<", 2),
    ] {
        assert_eq!(count(text), times, "{text}");
    }
    lower.panels.iter_mut().for_each(|panel| panel.series.clear());
    assert!(Stack { rows: vec![lower] }.svg().is_none());
    assert!(Stack::default().svg().is_none());
}
