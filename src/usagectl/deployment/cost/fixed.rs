//! Fixed cost of a stack: alarms, metrics, dashboard, key.

use super::model::Line;
use super::prices::{PriceItem, Prices};

/// The parts of the template that cost the same for every load, by switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// The alarms, with the topics that they notify.
    pub alarms: bool,
    /// The custom metrics of the function.
    pub own_metrics: bool,
    /// Whether they include those of indicators.
    pub indicator_metrics: bool,
    /// The request metrics of the archive bucket.
    pub request_metrics: bool,
    /// Whether the topics use your own key instead of the stack's.
    pub own_key: bool,
}

impl Default for Fixed {
    fn default() -> Fixed {
        Fixed { alarms: true, own_metrics: true, indicator_metrics: false, request_metrics: true, own_key: false }
    }
}

impl Fixed {
    /// The lines of a month, except those with quantity 0.
    pub fn lines(&self, prices: &Prices) -> Vec<Line> {
        let of = |switch: bool, number: f64| if switch { number } else { 0.0 };
        let line =
            |what, quantity: f64, item| Line { what, quantity, dollars: quantity * prices.of(item), measured: false };
        let indicator_metrics = of(self.indicator_metrics, 4.0);
        let lines = [
            line("alarm metrics", of(self.alarms, 53.0), PriceItem::Alarm),
            line("composite alarms", of(self.alarms, 2.0), PriceItem::CompositeAlarm),
            line("custom metrics", of(self.own_metrics, 20.0 + indicator_metrics), PriceItem::Metric),
            line("event source mapping metrics", 12.0, PriceItem::Metric),
            line("S3 request metrics", of(self.request_metrics, 16.0), PriceItem::Metric),
            line("dashboard", 1.0, PriceItem::Dashboard),
            line("KMS key of the topics", of(self.alarms && !self.own_key, 1.0), PriceItem::Key),
        ];
        lines.into_iter().filter(|line| line.quantity > 0.0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::total;
    use super::*;

    #[test]
    fn parts_that_are_off_cost_nothing() {
        let prices = Prices::read(None).unwrap();
        let none =
            Fixed { alarms: false, own_metrics: false, indicator_metrics: true, request_metrics: false, own_key: true };
        assert!((total(&none.lines(&prices)) - (12.0 * 0.3 + 3.0)).abs() < 1e-9);
        let whole = Fixed::default();
        assert!((total(&whole.lines(&prices)) - 24.70).abs() < 1e-9);
        let with_indicators = Fixed { indicator_metrics: true, ..whole };
        assert!((total(&with_indicators.lines(&prices)) - 25.90).abs() < 1e-9, "as the example deployment has");
    }
}
