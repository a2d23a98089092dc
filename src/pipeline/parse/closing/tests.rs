//! `closing`, when windows are closed, and what is wrong with it.

use crate::pipeline::{Closing, Folder, LateRecords, Mistakes, Pipeline};
use crate::time::Timestamp;
use crate::window::{Window, Zone};

const TIME: &str = "window_time = { attribute = \"ts\" }";

fn parsed(windows: &str, closing: &str, window_time: &str, name: &str) -> Result<Pipeline, Mistakes> {
    let text = format!(
        "[snapshot]\nwindows = {windows}\nclosing = {{ {closing} }}\n\
         partition_key = {{ name = \"pk\", value = \"{{entity}}#{{resource}}#{{window_key}}\" }}\n[[record]]\n\
         type = \"order\"\nmatch = {{ pk = \"{{who}}\" }}\n{window_time}\nentity = \"{{who}}\"\nresource = \"all\"\n\
         [[record.measure]]\nname = \"n\"\nkind = \"count\"\n[[record.measure]]\nname = \"{name}\"\nkind = \"max\"\nattribute = \"x\"\n"
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files })
}

const USUAL: &str = "[\"hour\", \"day\", \"month\"]";

fn closing(windows: &str, text: &str) -> Closing {
    parsed(windows, text, TIME, "most")
        .unwrap_or_else(|mistakes| panic!("{mistakes}"))
        .snapshot
        .unwrap()
        .closing
        .unwrap()
}

#[test]
fn closing_is_read() {
    let restate = Closing { grace_seconds: 7_200, late: LateRecords::Restate, window: None };
    assert_eq!(closing(USUAL, "grace = \"2h\""), restate);
    let month = Closing { window: Some(Window::Month), ..restate };
    assert_eq!(closing(USUAL, "grace = \"2h\", late = \"restate\", window = \"month\""), month);
    let adjust = |window| Closing { late: LateRecords::Adjust, window: Some(window), ..restate };
    for (windows, window) in [
        (USUAL, Window::Hour),
        ("[\"month\", \"day\"]", Window::Day),
        ("[\"month\", \"total\"]", Window::Month),
        ("[\"month\", \"week\"]", Window::Day),
        ("[\"week\"]", Window::Day),
    ] {
        assert_eq!(closing(windows, "grace = \"2h\", late = \"adjust\""), adjust(window), "{windows}");
    }
    assert_eq!(closing(USUAL, "grace = \"2h\", late = \"adjust\", window = \"month\""), adjust(Window::Month));
}

#[test]
fn an_adjustment_has_a_measure_for_each_kind() {
    let pipeline = parsed(USUAL, "grace = \"2h\", late = \"adjust\"", TIME, "most").unwrap();
    assert_eq!(pipeline.measures, ["n", "most", "n_adjusted", "most_adjusted"]);
    let snapshot = pipeline.snapshot.unwrap();
    assert_eq!(snapshot.aggregate("most_adjusted"), snapshot.aggregate("most"));
}

#[test]
fn what_is_wrong_is_reported() {
    let mistake = |windows: &str, closing: &str, time: &str, name: &str| {
        parsed(windows, closing, time, name).unwrap_err().to_string()
    };
    assert!(mistake(USUAL, "", TIME, "most").contains("`grace` is missing"));
    assert!(mistake(USUAL, "grace = \"2 h\"", TIME, "most").contains("`grace` must be a whole number of minutes"));
    let adjust = "grace = \"2h\", late = \"adjust\"";
    assert!(mistake(USUAL, adjust, "", "most").contains("`late = \"adjust\"` needs `window_time`"));
    assert!(
        mistake(USUAL, adjust, TIME, "n_adjusted").contains("adds the attribute `n_adjusted`, which exists already")
    );
    assert!(
        mistake(USUAL, "grace = \"2h\"", TIME, "restated_at")
            .contains("is already the name of an attribute of every snapshot")
    );
    let weeks = "[\"week\", \"month\"]";
    assert!(
        mistake(weeks, "grace = \"2h\", window = \"month\"", TIME, "most").contains("can't be combined with weeks")
    );
    assert!(mistake(USUAL, "grace = \"2h\", window = \"week\"", TIME, "most").contains("`window` can't be \"week\""));
}

#[test]
fn a_window_is_closed_after_its_grace_together_with_the_longer_one() {
    let closes_at = |text: &str, window: Window| {
        let snapshot = parsed(USUAL, text, TIME, "most").unwrap().snapshot.unwrap();
        let at = Timestamp::parse("2026-11-28T08:57:00Z").unwrap();
        snapshot.closes_at(window.containing(at, Zone::UTC))
    };
    let at = |text: &str| Some(Timestamp::parse(text).unwrap().seconds());
    let alone = "grace = \"2h\"";
    assert_eq!(closes_at(alone, Window::Hour), at("2026-11-28T11:00:00Z"));
    assert_eq!(closes_at(alone, Window::Day), at("2026-11-29T02:00:00Z"));
    assert_eq!(closes_at(alone, Window::Total), None);
    let together = "grace = \"2h\", window = \"day\"";
    assert_eq!(closes_at(together, Window::Hour), at("2026-11-29T02:00:00Z"));
    assert_eq!(closes_at(together, Window::Month), at("2026-12-01T02:00:00Z"));
}
