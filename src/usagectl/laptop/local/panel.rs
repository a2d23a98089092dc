//! The terminal view of a local run: the rows of `screen` and the `trend`, redrawn in place.

use std::io;

use event_source_mapping::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};

use super::screen::{self, LABEL};
use super::status::Status;
use super::trend::Trend;
use crate::shell::console::{self, Color};
use crate::shell::lines::{cut, terminal_width};

/// Lines on stderr that are redrawn in place.
pub(super) struct Panel {
    lines: ProgressBar,
    trend: Trend,
    has_colors: bool,
}

impl Panel {
    /// An empty panel.
    pub(super) fn new() -> Panel {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let lines = ProgressBar::new_spinner().with_style(style);
        Panel { lines, trend: Trend::default(), has_colors: console::has_colors(&io::stderr()) }
    }

    /// Shows the status, with the rate of the last minute.
    pub(super) fn draw(&mut self, status: &Status, now: Timestamp) {
        self.trend.add(status.seconds, status.mapping.distinct_processed);
        let width = terminal_width();
        let mut lines: Vec<String> = Vec::new();
        for row in screen::rows(status, now) {
            let fitted = row.lines(width).into_iter();
            // Colored after it was cut, so that the end of the color remains.
            lines.extend(fitted.map(|line| match line.strip_prefix(row.label) {
                Some(rest) if row.is_problem && self.has_colors => Color::Red.paint(row.label) + rest,
                _ => line,
            }));
            if row.label == "processed" {
                let trend = self.trend.text(width.saturating_sub(LABEL));
                lines.extend(trend.map(|trend| cut(&format!("{:<LABEL$}{trend}", "rate"), width)));
            }
        }
        self.lines.set_message(lines.join("\n"));
    }
}
