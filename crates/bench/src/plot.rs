//! Curves as SVG: small panels side by side, both axes logarithmic, so that what is in proportion is a straight line.

use std::fmt::Write;

use crate::chart::STYLE;
use crate::curves::Curve;

const PANEL_WIDTH: f64 = 380.0;
const PANEL_HEIGHT: f64 = 230.0;
const COLUMNS: usize = 2;
/// Around the lines of a panel, for its title and the numbers of its axes.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 44.0;

/// The numbers of one axis, and what they become on paper.
struct Axis {
    from: f64,
    to: f64,
    start: f64,
    length: f64,
}

impl Axis {
    /// Whole decades around the values.
    fn around(values: impl Iterator<Item = f64> + Clone, start: f64, length: f64) -> Self {
        let smallest = values.clone().filter(|value| *value > 0.0).fold(f64::MAX, f64::min);
        let largest = values.fold(f64::MIN_POSITIVE, f64::max);
        let (from, to) = (smallest.log10().floor(), largest.log10().ceil());
        Self { from, to: to.max(from + 1.0), start, length }
    }

    /// What is not positive has no logarithm, and stands at the beginning.
    fn place(&self, value: f64) -> f64 {
        let decades = if value > 0.0 { (value.log10() - self.from).max(0.0) } else { 0.0 };
        self.start + self.length * decades / (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.from as i32..=self.to as i32).map(|exponent| 10f64.powi(exponent))
    }
}

pub(crate) fn panels(curves: &[Curve]) -> String {
    let rows = curves.len().div_ceil(COLUMNS) as f64;
    let (width, height) = (PANEL_WIDTH * COLUMNS as f64, PANEL_HEIGHT * rows);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"How the cost of a callback grows\">\n<style>{STYLE}</style>\n"
    );
    for (place, curve) in curves.iter().enumerate() {
        let (column, row) = (place % COLUMNS, place / COLUMNS);
        let (x, y) = (column as f64 * PANEL_WIDTH, row as f64 * PANEL_HEIGHT);
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">\n{}</g>", panel(curve));
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(curve: &Curve) -> String {
    let costs = curve.points.iter().map(|point| curve.cost.of(point));
    let across = Axis::around(curve.points.iter().map(|point| point.x), LEFT, PANEL_WIDTH - LEFT - RIGHT);
    // Paper counts from the top.
    let up = Axis::around(costs, PANEL_HEIGHT - BOTTOM, TOP + BOTTOM - PANEL_HEIGHT);
    let mut panel =
        format!("<text class=\"title\" x=\"8\" y=\"20\">{}: {}</text>\n", curve.title, curve.cost.name());
    for value in across.decades() {
        let (x, y) = (across.place(value), PANEL_HEIGHT - BOTTOM + 16.0);
        let _ = writeln!(
            panel,
            "<text class=\"note\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
            short(value)
        );
    }
    for value in up.decades() {
        let y = up.place(value);
        let _ = writeln!(
            panel,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"note\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            PANEL_WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0,
            short(value)
        );
    }
    let points: Vec<_> = curve
        .points
        .iter()
        .map(|point| format!("{:.1},{:.1}", across.place(point.x), up.place(curve.cost.of(point))))
        .collect();
    let _ = writeln!(panel, "<polyline class=\"line\" points=\"{}\"/>", points.join(" "));
    let (x, y) = (PANEL_WIDTH - RIGHT, PANEL_HEIGHT - 8.0);
    let _ = writeln!(
        panel,
        "<text class=\"note\" x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
        curve.cause
    );
    panel
}

/// `10k` for 10,000.
fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{}M", value / 1e6),
        1e3.. => format!("{}k", value / 1e3),
        _ => format!("{value}"),
    }
}
