//! The history of a local run in one row of the terminal view: the records per second of the last minute.

use std::collections::VecDeque;

/// How many seconds are shown.
const SECONDS: usize = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The records of each second.
#[derive(Debug, Default)]
pub(super) struct Trend {
    /// The second that was seen last, and the records until then.
    last: Option<(f64, u64)>,
    rates: VecDeque<f64>,
}

impl Trend {
    /// Adds the number of records that had been processed after these seconds. Calls less than a second apart are ignored.
    pub(super) fn add(&mut self, seconds: f64, processed: u64) {
        let Some((before, records)) = self.last else {
            self.last = Some((seconds, processed));
            return;
        };
        let passed = seconds - before;
        if passed < 1.0 {
            return;
        }
        let new = u32::try_from(processed.saturating_sub(records)).unwrap_or(u32::MAX);
        self.rates.push_back(f64::from(new) / passed);
        while self.rates.len() > SECONDS {
            self.rates.pop_front();
        }
        self.last = Some((seconds, processed));
    }

    /// The present rate, the highest one, and a bar for each second, as far as they fit into `room` characters. `None` before there
    /// is a rate.
    pub(super) fn text(&self, room: usize) -> Option<String> {
        let now = self.rates.back()?;
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        let figures = format!("{now:.0}/s, up to {most:.0}/s ");
        let bars = room.saturating_sub(figures.chars().count());
        let shown = self.rates.iter().skip(self.rates.len().saturating_sub(bars));
        Some(figures + &shown.map(|rate| bar(*rate, most)).collect::<String>())
    }
}

fn bar(rate: f64, most: f64) -> char {
    let share = if most > 0.0 { rate / most } else { 0.0 };
    // The first bar that is at least as high; no rate is above the highest one.
    let levels = (1..).zip(BARS);
    let found = levels.into_iter().find(|(level, _)| share <= f64::from(*level) / 8.0);
    found.map_or('█', |(_, bar)| bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_shown_as_far_as_it_fits() {
        let mut trend = Trend::default();
        assert_eq!(trend.text(80), None);
        for (seconds, processed) in [(0.0, 0), (0.2, 5), (1.0, 10), (2.0, 90), (3.0, 90)] {
            trend.add(seconds, processed);
        }
        assert_eq!(trend.text(80).unwrap(), "0/s, up to 80/s ▁█▁");
        assert_eq!(trend.text(18).unwrap(), "0/s, up to 80/s █▁");
        for second in 4..200_u32 {
            trend.add(f64::from(second), 90);
        }
        assert_eq!(trend.text(200).unwrap().chars().filter(|c| BARS.contains(c)).count(), SECONDS);
    }
}
