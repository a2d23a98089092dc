//! A bar chart in text: one line per window.

use usage_aggregator::decimal::Decimal;

use crate::shell::table;

/// Eighths of a character cell, for bars of fractional length.
const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const FULL: char = '█';
/// A bar of a number below zero.
const NEGATIVE: char = '▒';

/// The chart width if the terminal's is unknown.
const DEFAULT_WIDTH: u16 = 80;

/// One line of a chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bar {
    /// The text before the number.
    pub label: String,
    /// The number, which is also the length of the bar.
    pub number: Decimal,
}

/// The terminal's width in characters.
pub fn width() -> usize {
    usize::from(table::titled([]).width().unwrap_or(DEFAULT_WIDTH))
}

/// Draws the bars, at most `width` characters wide.
pub fn chart(bars: &[Bar], width: usize) -> String {
    let numbers: Vec<String> = bars.iter().map(|bar| bar.number.to_string()).collect();
    let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
    let label_width = widest(&mut bars.iter().map(|bar| bar.label.chars().count()));
    let number_width = widest(&mut numbers.iter().map(|number| number.chars().count()));
    // Two spaces on each side of the numbers; ten cells for the bars even on a narrow terminal.
    let room = width.saturating_sub(label_width + number_width + 4).max(10);
    let longest = bars.iter().map(|bar| bar.number.to_f64().abs()).fold(0.0, f64::max);
    let line = |(bar, number): (&Bar, &String)| {
        let drawn = draw(bar.number.to_f64(), longest, room);
        format!("{:<label_width$}  {number:>number_width$}  {drawn}", bar.label).trim_end().to_owned()
    };
    bars.iter().zip(&numbers).map(line).collect::<Vec<_>>().join("\n")
}

/// A bar for a share of a whole, `room` characters long if the share is 1 or more.
pub fn share(share: f64, room: usize) -> String {
    draw(share.clamp(0.0, 1.0), 1.0, room)
}

fn draw(number: f64, longest: f64, room: usize) -> String {
    if longest == 0.0 {
        return String::new();
    }
    // Rounded to eighths by counting, because floats don't convert to integers without a cast.
    let share = number.abs() / longest;
    let eighths = (1..=room * 8).take_while(|eighth| to_float(*eighth) <= share * to_float(room * 8) + 0.5).count();
    if number < 0.0 {
        return NEGATIVE.to_string().repeat(eighths.div_ceil(8));
    }
    let part = PARTS.get(eighths % 8).filter(|_| eighths % 8 > 0);
    FULL.to_string().repeat(eighths / 8).chars().chain(part.copied()).collect()
}

/// Chart widths are far below u32::MAX.
fn to_float(count: usize) -> f64 {
    u32::try_from(count).unwrap_or(u32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(label: &str, number: &str) -> Bar {
        Bar { label: label.into(), number: Decimal::parse(number).unwrap() }
    }

    #[test]
    fn bar_lengths_are_proportional() {
        let bars =
            [bar("2026-11-20T13", "20"), bar("2026-11-20T14", "7.5"), bar("2026-11-20T15", "-10"), bar("later", "0")];
        insta::assert_snapshot!(chart(&bars, 43), @r"
        2026-11-20T13   20  ███████████████████████
        2026-11-20T14  7.5  ████████▋
        2026-11-20T15  -10  ▒▒▒▒▒▒▒▒▒▒▒▒
        later            0
        ");
    }

    #[test]
    fn no_bars_or_no_width_draw_without_a_panic() {
        assert_eq!(chart(&[], 80), "");
        assert_eq!(chart(&[bar("a", "0")], 0), "a  0");
        assert!(chart(&[bar("a", "1E+100")], 0).ends_with(&"█".repeat(10)));
    }
}
