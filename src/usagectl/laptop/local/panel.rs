//! The terminal view of a local run: the rows of `screen` and the `trend`, redrawn in place.

use std::io;

use event_source_mapping::Timestamp;
use indicatif::{ProgressBar, ProgressStyle};

use super::screen;
use super::status::Status;
use super::trend::Trend;
use crate::shell::console::Color;
use crate::shell::lines::{cut, terminal_width};

/// Lines on stderr that are redrawn in place.
pub(super) struct Panel {
    lines: ProgressBar,
    trend: Trend,
}

impl Panel {
    /// An empty panel.
    pub(super) fn new() -> Panel {
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        Panel { lines: ProgressBar::new_spinner().with_style(style), trend: Trend::default() }
    }

    /// Shows the status, with the rate of the last minute.
    pub(super) fn draw(&mut self, status: &Status, now: Timestamp) {
        self.trend.add(status.seconds, status.mapping.distinct_processed);
        let width = terminal_width();
        let mut lines: Vec<String> = Vec::new();
        for row in screen::rows(status, now) {
            // In color after it has been cut, so that the end of the color isn't.
            lines.extend(row.lines(width).iter().map(|line| match row.is_problem() {
                true => Color::Red.at_start(line, row.label, &io::stderr()),
                false => line.clone(),
            }));
            if row.label == "processed" {
                let room = width.saturating_sub(screen::LABEL);
                let label = screen::LABEL;
                lines.extend(self.trend.text(room).map(|text| cut(&format!("{:<label$}{text}", "rate"), width)));
            }
        }
        self.lines.set_message(lines.join("\n"));
    }
}
