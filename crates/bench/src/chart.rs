//! A bar chart as SVG, written by hand: text in the reader's own font, readable on light and on dark.

use std::fmt::Write;

/// One bar: a name, its figure, and whether it is the one that the chart is about.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) label: String,
    pub(crate) highlighted: bool,
}

const WIDTH: f64 = 760.0;
/// Names to the left of the bars, labels to the right.
const NAMES: f64 = 300.0;
const LABELS: f64 = 120.0;
const ROW: f64 = 30.0;
const TOP: f64 = 48.0;

/// The same colours as GitHub's pages, whichever of their two dresses is worn.
pub(crate) const STYLE: &str = "\
text{font:13px system-ui,sans-serif;fill:#1f2328}.title{font-weight:600}.note{fill:#59636e}\
.bar{fill:#afb8c1}.ours{fill:#0969da}.grid{stroke:#d1d9e0}.line{stroke:#0969da;stroke-width:2;fill:none}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.note{fill:#9198a1}.bar{fill:#656c76}.ours{fill:#4493f8}\
.grid{stroke:#3d444d}.line{stroke:#4493f8}}";

pub(crate) fn bars(title: &str, note: &str, bars: &[Bar]) -> String {
    let height = TOP + ROW * bars.len() as f64 + 32.0;
    let longest = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">\n\
         <style>{STYLE}</style>\n<text class=\"title\" x=\"0\" y=\"20\">{title}</text>\n",
    );
    for (row, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * row as f64;
        let width = (WIDTH - NAMES - LABELS) * bar.value / longest;
        let class = if bar.highlighted { "bar ours" } else { "bar" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{NAMES}\" y=\"{y}\" width=\"{width:.1}\" height=\"18\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            NAMES - 10.0,
            y + 13.5,
            escaped(&bar.name),
            NAMES + width + 8.0,
            y + 13.5,
            escaped(&bar.label),
        );
    }
    let _ =
        writeln!(svg, "<text class=\"note\" x=\"0\" y=\"{}\">{}</text>\n</svg>", height - 8.0, escaped(note));
    svg
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
