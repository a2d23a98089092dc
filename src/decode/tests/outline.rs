//! Compares the fast path with the fallback decoder: for every event, both decode the same or reject for the same
//! reason. The fast path must never accept a record that the fallback rejects.

use proptest::prelude::*;

use super::damage::{item_of, value, written};
use super::kinesis::{CHANGE, message};
use super::*;
use crate::decode::kinesis;
use crate::outline::WrittenItems;

/// How many records were decoded in which way.
#[derive(Debug, Default)]
struct Counts {
    /// By the fast path.
    outlined: usize,
    rejected: usize,
}

/// Decodes every record of `event` with both decoders and checks that they agree.
fn agree(event: &[u8]) -> Counts {
    let mut decoded = Vec::new();
    let read = Event::read_each(event, |record| {
        decoded.push(record.map(|record| values(record)));
        ControlFlow::Continue(())
    });
    let Ok(read) = read else { return Counts::default() };
    let mut counts = Counts::default();
    let mut bytes = Vec::new();
    assert_eq!(decoded.len(), read.records().len());
    for (raw, decoded) in read.records().iter().zip(decoded) {
        let expected = raw.decode(&mut bytes);
        assert_eq!(decoded, expected.clone().map(|record| format!("{record:?}")));
        match (in_one_pass(raw), expected) {
            // A record from another stream is rejected before it is decoded.
            (Some(outlined), Ok(expected)) => {
                assert_eq!(outlined, format!("{expected:?}"));
                counts.outlined += 1;
            }
            (Some(_), Err(rejection)) => assert!(!raw.same_stream, "{rejection}"),
            (None, Err(_)) => counts.rejected += 1,
            (None, Ok(_)) => {}
        }
    }
    counts
}

/// The debug text of a record with its items as values, which doesn't borrow from the record.
fn values(record: OutlinedRecord<'_>) -> String {
    format!("{:?}", record.map(Outline::item))
}

/// The record as the fast path reads it, if it can.
fn in_one_pass(raw: &RawRecord<'_>) -> Option<String> {
    let (mut nodes, mut buffers) = (Vec::new(), Buffers::default());
    let fields = Fields::of_whole(raw.json, &mut nodes).ok()?;
    let mut aggregate = Vec::new();
    kinesis::user_records(&fields, &mut aggregate);
    let data = raw.user_record.as_ref().map(|user_record| user_record.of(&aggregate));
    raw.in_one_pass(&fields, None, Outline::new(raw.json, &nodes), data, &mut buffers).map(values)
}

/// An event with these keys and images, from DynamoDB Streams or, if `wrapped`, from Kinesis.
fn event(keys: &str, new: &str, old: &str, wrapped: bool) -> String {
    if wrapped {
        let change =
            with(CHANGE, r#"{"pk":{"S":"SECRET"}},"NewImage""#, &format!(r#"{keys},"OldImage":{old},"NewImage""#));
        let change = with(&change, r#"{"pk":{"S":"SECRET"},"n":{"N":"1"}}"#, new);
        return event_of(&[message(with(&change, "INSERT", "MODIFY"))]);
    }
    let record = with(RECORD, r#"{"a":{"S":"SECRET"},"b":{"N":"2"}}"#, new);
    let record = with(&record, r#"{"a":{"S":"SECRET old"}}"#, old);
    event_of(&[with(&record, r#"{"pk":{"S":"SECRET"},"sk":{"N":"1"}}"#, keys)])
}

/// An item with every type of attribute, as DynamoDB writes it.
const ITEM: &str = r#"{"s":{"S":"a\n\"é\ud83d\ude00\u00e9\/"},"n":{"N":"-1.50"},"i":{"N":"12345678901234567"},"e":{"N":"1E-7"},"b":{"B":"Zm9v"},"t":{"BOOL":true},"f":{"BOOL":false},"z":{"NULL":true},"m":{"M":{"x":{"L":[{"S":""},{"N":"0"},{"M":{}}]},"y":{"S":"z"}}},"l":{"L":[]},"ss":{"SS":["a","b\n"]},"ns":{"NS":["1","2E1"]},"bs":{"BS":["AA=="]}}"#;

#[test]
fn every_attribute_type_is_outlined() {
    for wrapped in [false, true] {
        for text in [ITEM.to_owned(), ITEM.replace(':', " : ").replace(',', " ,\n").replace('{', "{ ")] {
            assert_eq!(agree(event(&text, &text, "{}", wrapped).as_bytes()).outlined, 1, "{text}");
        }
    }
}

#[test]
fn plain_messages_are_outlined() {
    for text in [r#"{"a":["SECRET",1.50,{"b":null,"c":true}],"d":false,"e":-2E3,"":{}}"#, " {} ", "{ \"a\" : [ ] }"] {
        assert_eq!(agree(event_of(&[message(text)]).as_bytes()).outlined, 1, "{text}");
    }
}

#[test]
fn both_decoders_reject_the_same_items() {
    let values = [
        r#"{"N":""}"#,
        r#"{"N":"."}"#,
        r#"{"N":"-"}"#,
        r#"{"N":"1e"}"#,
        r#"{"N":"0x1"}"#,
        r#"{"N":"NaN"}"#,
        r#"{"N":"1e126"}"#,
        r#"{"N":1}"#,
        r#"{"N":"123456789012345678901234567890123456789"}"#,
        r#"{"B":"Zm9"}"#,
        r#"{"B":"Zm9="}"#,
        r#"{"SS":[]}"#,
        r#"{"SS":["a","a"]}"#,
        r#"{"NS":["1","1.0"]}"#,
        r#"{"BS":["AA==","AA=="]}"#,
        r#"{"S":"x","N":"1"}"#,
        r#"{"NULL":false}"#,
        r#"{"BOOL":1}"#,
        r#"{"X":"1"}"#,
        r#"{}"#,
        r#"{"S":"\ud800"}"#,
        r#"{"S":"\udc00"}"#,
        r#"{"S":"\x"}"#,
        r#"{"S":"\u12"}"#,
        r#"{"L":[{"S":"x"},]}"#,
        r#"{"M":{"a"}}"#,
        r#""x""#,
        "1",
        "null",
        r#"[]"#,
    ];
    let deep = |open: &str, close: &str| format!(r#"{}{{"S":"x"}}{}"#, open.repeat(33), close.repeat(33));
    let deep = [deep(r#"{"L":["#, "]}"), deep(r#"{"M":{"b":"#, "}}")];
    for value in values.into_iter().chain(deep.iter().map(String::as_str)) {
        for wrapped in [false, true] {
            let text = format!(r#"{{"a":{value}}}"#);
            for event in [event(&text, "{}", "{}", wrapped), event(r#"{"pk":{"S":"x"}}"#, "{}", &text, wrapped)] {
                assert_eq!(agree(event.as_bytes()).rejected, 1, "{value}");
            }
        }
    }
}

#[test]
fn thirty_two_levels_are_outlined() {
    for (open, close) in [(r#"{"L":["#, "]}"), (r#"{"M":{"b":"#, "}}")] {
        let text = format!(r#"{{"a":{}{{"S":"x"}}{}}}"#, open.repeat(32), close.repeat(32));
        assert_eq!(agree(event(&text, &text, "{}", false).as_bytes()).outlined, 1);
    }
}

#[test]
fn every_sample_event_is_outlined() {
    let kinesis = ["kinesis-wrapped", "kinesis-plain", "kinesis-aggregated"];
    for name in ["insert", "modify", "remove", "mixed", "batch-1000", "zae-limiter"].into_iter().chain(kinesis) {
        let text = sample(name);
        let records = Event::read(text.as_bytes()).unwrap().records().len();
        assert_eq!(agree(text.as_bytes()).outlined, records, "{name}");
    }
}

#[test]
fn attributes_are_found_among_similar_names() {
    let text = r#"{"ab":{"N":"1"},"aab":{"N":"2"},"b_x_tc":{"N":"3"},"b_x_cc":{"N":"4"},"m":{"M":{"ab":{"N":"5"},"c":{"N":"6"}}},"ab":{"N":"7"},"m.c":{"N":"8"}}"#;
    let item = attribute::item(text).unwrap();
    let mut nodes = Vec::new();
    assert_eq!(scan::image(text, 0, &mut nodes), Some(text.len()));
    let written = WrittenItems::of(&item);
    for outline in [Outline::new(text, &nodes), written.outline()] {
        for path in ["ab", "aab", "b_x_tc", "b_x_cc", "m", "m.ab", "m.c", "m.d", "c", "", "."] {
            assert_eq!(outline.at_path(path).map(|entry| entry.value()), item.at_path(path).cloned(), "{path}");
        }
    }
}

proptest! {
    #[test]
    fn any_item_is_outlined_the_way_it_is_decoded(new in item_of(value()), old in item_of(value()), pretty: bool, wrapped: bool) {
        let text = |item| {
            let json = written(item);
            if pretty { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) }.unwrap()
        };
        agree(event(r#"{"pk":{"S":"x"},"sk":{"N":"1.50"}}"#, &text(&new), &text(&old), wrapped).as_bytes());
        let written = WrittenItems::of(&new);
        prop_assert_eq!(written.outline().item(), new);
    }

    #[test]
    fn damaged_items_are_rejected_for_the_same_reason(
        new in item_of(value()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\"\\{}[],:0129.eE+-nuSNBMLx \n\x00\xff".to_vec())), 1..4),
        typical: bool,
        wrapped: bool,
    ) {
        let mut text = if typical { ITEM.to_owned() } else { serde_json::to_string(&written(&new)).unwrap() }.into_bytes();
        for (at, byte) in damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        agree(event(r#"{"pk":{"S":"x"}}"#, &text, &text, wrapped).as_bytes());
        agree(event(&text, "{}", "{}", wrapped).as_bytes());
        agree(event_of(&[message(text)]).as_bytes());
    }

    #[test]
    fn both_base64_decoders_accept_the_same_texts(text in "[A-Da-d0-3+/]{0,8}[AQgw/=\\-_ ]{0,3}={0,3}", long in "([A-Za-z0-9+/]{4}){0,40}") {
        use base64::Engine as _;
        for text in [text.clone(), long.clone() + &text, long] {
            let expected = base64::engine::general_purpose::STANDARD.decode(&text).ok();
            prop_assert_eq!(base64_simd::STANDARD.check(text.as_bytes()).is_ok(), expected.is_some(), "{}", text);
            prop_assert_eq!(base64_simd::STANDARD.decode_to_vec(&text).ok(), expected, "{}", text);
        }
    }

    #[test]
    fn damaged_events_are_rejected_for_the_same_reason(
        kind in 0..3_usize,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ) {
        let record = [RECORD.to_owned(), message(CHANGE), message(r#"{"a":["SECRET",1,{"b":null}]}"#)];
        let mut bytes = event_of(&[&record[kind], &record[kind]]).into_bytes();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        agree(&bytes);
    }
}
