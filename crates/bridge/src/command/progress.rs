//! How far a command is, on standard error, where that is a terminal: in a pipe or a log nobody watches.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over so many things; it shows nothing unless somebody watches.
pub(super) fn bar(total: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(total).with_message(what);
    // The template is a constant; without it the bar has another look.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
