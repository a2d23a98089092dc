//! `window_time`, and what is wrong with it.

use crate::pipeline::{Beyond, Folder, Mistakes, Pipeline, WindowTime};
use crate::time::Unit;

fn parsed(window_time: &str, kind: &str) -> Result<Pipeline, Mistakes> {
    let text = format!(
        "[snapshot]\npartition_key = {{ name = \"pk\", value = \"{{entity}}#{{resource}}#{{window_key}}\" }}\n[[record]]\n\
         type = \"order\"\nmatch = {{ pk = \"{{who}}\" }}\nwindow_time = {{ {window_time} }}\n{kind}"
    );
    let files = [("pipeline.toml".to_owned(), text)].into();
    Pipeline::parse(&Folder { name: "p".to_owned(), files })
}

fn measure(kind: &str) -> String {
    format!("entity = \"{{who}}\"\nresource = \"all\"\n[[record.measure]]\nname = \"n\"\nkind = \"{kind}\"\n")
}

#[test]
fn a_window_time_is_read() {
    let read = |text: &str| parsed(text, &measure("count")).unwrap().routes[0].window_time.clone().unwrap();
    let usual = WindowTime {
        path: "ts".to_owned(),
        unit: Unit::Seconds,
        late_seconds: 7 * 86_400,
        early_seconds: 300,
        beyond: Beyond::Reject,
    };
    assert_eq!(read("attribute = \"ts\""), usual);
    let all = WindowTime {
        path: "meta.ts".to_owned(),
        unit: Unit::Milliseconds,
        late_seconds: 36 * 3_600,
        early_seconds: 0,
        beyond: Beyond::CreationTime,
    };
    let text =
        "attribute = \"meta.ts\", unit = \"milliseconds\", late = \"36h\", early = \"0m\", beyond = \"creation_time\"";
    assert_eq!(read(text), all);
    let late_days =
        |late: &str| parsed(&format!("attribute = \"ts\", late = \"{late}\""), &measure("count")).unwrap().late_days();
    assert_eq!(["0m", "1m", "1d", "25h", "366d"].map(late_days), [0, 1, 1, 2, 366]);
}

#[test]
fn what_is_wrong_is_reported() {
    let mistake = |text: &str, kind: &str| parsed(text, kind).unwrap_err().to_string();
    for late in ["7", "d", "-1d", "1.5d", "367d", "1w", "7D", "99999999999999999999d", "+1d", ""] {
        let text = mistake(&format!("attribute = \"ts\", late = \"{late}\""), &measure("count"));
        assert_eq!(
            text,
            "p/pipeline.toml:6: record 1 window_time: `late` must be a whole number of minutes, hours, or days up to 366 days, for example \"30m\", \"2h\", or \"7d\""
        );
    }
    assert!(mistake("", &measure("count")).contains("`attribute` is missing; write attribute = \"ordered_at\""));
    assert!(mistake("attribute = \"ts\", last = \"7d\"", &measure("count")).contains("unknown key `last`"));
    assert!(mistake("attribute = \"ts\"", "").contains("this record type counts nothing; leave it out"));
    assert!(
        mistake("attribute = \"ts\"", &measure("delta")).contains("`beyond` is missing: items of any age are changed")
    );
    assert!(parsed("attribute = \"ts\", beyond = \"reject\"", &measure("delta")).is_ok());
}
