//! One line per case: a pattern, and whether it matches the record.

use base64::Engine as _;

use super::*;
use stream_types::SequenceNumber;
use stream_types::Timestamp;

const CHANGE: &str = r#"{"eventID":"9cdf975187b7d7f668abf98414c08f05","eventName":"INSERT","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"us-east-1","dynamodb":{"ApproximateCreationDateTime":1.795230305E9,"Keys":{"PK":{"S":"CUSTOMER#7"},"SK":{"S":"ORDER#70"}},"NewImage":{"PK":{"S":"CUSTOMER#7"},"SK":{"S":"ORDER#70"},"total":{"N":"18.75"},"note":{"S":""},"paid":{"BOOL":true},"gone":{"NULL":true},"path":{"S":"a*b\\c"},"lines":{"L":[{"M":{"sku":{"S":"A"},"count":{"N":"1"}}},{"M":{"sku":{"S":"B"},"count":{"N":"2"}}}]},"tags":{"SS":["new","big"]},"none":{"L":[]}},"SequenceNumber":"2900002759746085485437","SizeBytes":46,"StreamViewType":"NEW_AND_OLD_IMAGES"},"eventSourceARN":"arn:aws:dynamodb:us-east-1:000000000000:table/orders/stream/2026-11-02T08:15:27.416"}"#;

fn record(json: String) -> SourceRecord {
    SourceRecord {
        sequence: SequenceNumber::parse("1").unwrap(),
        item: 0,
        created_at: Timestamp::from_seconds(1_795_230_305).unwrap(),
        json,
    }
}

fn filters(patterns: &[&str]) -> Result<Filters, FilterError> {
    Filters::parse(&patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
}

fn matches(kind: StreamKind, json: &str, patterns: &[&str]) -> bool {
    filters(patterns).unwrap().matches(kind, &record(json.to_owned()))
}

/// A pattern on the new image, around `attribute`.
fn image(attribute: &str) -> String {
    format!(r#"{{"dynamodb":{{"NewImage":{{{attribute}}}}}}}"#)
}

#[test]
fn values_match_by_equality_and_by_every_operator() {
    let cases = [
        // Equality is exact: the case, the type and the text of a number count.
        (r#""SK":{"S":["ORDER#70"]}"#, true),
        (r#""SK":{"S":["order#70"]}"#, false),
        (r#""SK":{"S":["x","ORDER#70"]}"#, true),
        (r#""note":{"S":[""]}"#, true),
        (r#""SK":{"S":[""]}"#, false),
        (r#""paid":{"BOOL":[true]}"#, true),
        (r#""paid":{"BOOL":["true"]}"#, false),
        (r#""paid":{"BOOL":[null]}"#, false),
        (r#""total":{"N":["18.75"]}"#, true),
        (r#""total":{"N":["18.750"]}"#, false),
        (r#""total":{"N":[18.75]}"#, false),
        (r#""SK":{"S":[{"equals-ignore-case":"order#70"}]}"#, true),
        (r#""SK":{"S":[{"equals-ignore-case":"order#7"}]}"#, false),
        // Prefixes and suffixes.
        (r#""SK":{"S":[{"prefix":"ORDER#"}]}"#, true),
        (r#""SK":{"S":[{"prefix":"order#"}]}"#, false),
        (r#""SK":{"S":[{"prefix":{"equals-ignore-case":"order#"}}]}"#, true),
        (r#""SK":{"S":[{"suffix":"70"}]}"#, true),
        (r#""PK":{"S":[{"suffix":"er#7"}]}"#, false),
        (r#""PK":{"S":[{"suffix":{"equals-ignore-case":"er#7"}}]}"#, true),
        (r#""paid":{"BOOL":[{"prefix":""}]}"#, false),
        // anything-but.
        (r#""SK":{"S":[{"anything-but":"ORDER#70"}]}"#, false),
        (r#""SK":{"S":[{"anything-but":["a","ORDER#70"]}]}"#, false),
        (r#""SK":{"S":[{"anything-but":["a","b"]}]}"#, true),
        (r#""SK":{"S":[{"anything-but":7}]}"#, true),
        (r#""SK":{"S":[{"anything-but":{"prefix":"ORDER"}}]}"#, false),
        (r#""SK":{"S":[{"anything-but":{"prefix":["x","ORDER"]}}]}"#, false),
        (r#""SK":{"S":[{"anything-but":{"prefix":"order"}}]}"#, true),
        (r#""SK":{"S":[{"anything-but":{"suffix":"70"}}]}"#, false),
        (r#""SK":{"S":[{"anything-but":{"equals-ignore-case":["order#70"]}}]}"#, false),
        (r#""SK":{"S":[{"anything-but":{"wildcard":"*#*"}}]}"#, false),
        (r#""SK":{"S":[{"anything-but":{"wildcard":"*#"}}]}"#, true),
        (r#""paid":{"BOOL":[{"anything-but":{"prefix":"t"}}]}"#, true),
        (r#""missing":{"S":[{"anything-but":"x"}]}"#, false),
        // Wildcards and escapes.
        (r#""SK":{"S":[{"wildcard":"ORDER#*"}]}"#, true),
        (r#""SK":{"S":[{"wildcard":"*R*7*"}]}"#, true),
        (r#""SK":{"S":[{"wildcard":"ORDER#70*70"}]}"#, false),
        (r#""SK":{"S":[{"wildcard":"ORDER"}]}"#, false),
        (r#""path":{"S":[{"wildcard":"a\\*b\\\\c"}]}"#, true),
        (r#""SK":{"S":[{"wildcard":"ORDER#\\*"}]}"#, false),
    ];
    for (attribute, expected) in cases {
        assert_eq!(matches(StreamKind::DynamoDb, CHANGE, &[&image(attribute)]), expected, "{attribute}");
    }
}

#[test]
fn one_element_of_a_list_all_keys_and_one_alternative_must_match() {
    let cases = [
        // Sets and lists: one element is enough, but it must match all keys.
        (r#""tags":{"SS":["big"]}"#, true),
        (r#""tags":{"SS":["small"]}"#, false),
        (r#""tags":{"SS":[{"anything-but":"big"}]}"#, true),
        (r#""lines":{"L":{"M":{"sku":{"S":["B"]},"count":{"N":["2"]}}}}"#, true),
        (r#""lines":{"L":{"M":{"sku":{"S":["B"]},"count":{"N":["1"]}}}}"#, false),
        // All keys must match, but only one alternative of `$or`.
        (r#""SK":{"S":["ORDER#70"]},"total":{"N":["18.75"]}"#, true),
        (r#""SK":{"S":["ORDER#70"]},"total":{"N":["1"]}"#, false),
        (r#""$or":[{"SK":{"S":["x"]}},{"total":{"N":["18.75"]}}]"#, true),
        (r#""$or":[{"SK":{"S":["x"]}},{"total":{"N":["1"]}}]"#, false),
        (r#""PK":{"S":["x"]},"$or":[{"SK":{"S":["ORDER#70"]}},{"total":{"N":["1"]}}]"#, false),
        // The last of two equal keys wins.
        (r#""SK":{"S":["x"]},"SK":{"S":["ORDER#70"]}"#, true),
        (r#""SK":{"S":["ORDER#70"]},"SK":{"S":["x"]}"#, false),
    ];
    for (attribute, expected) in cases {
        assert_eq!(matches(StreamKind::DynamoDb, CHANGE, &[&image(attribute)]), expected, "{attribute}");
    }
}

#[test]
fn only_scalars_exist() {
    let cases = [
        (r#""SK":{"S":[{"exists":true}]}"#, true),
        (r#""SK":{"S":[{"exists":false}]}"#, false),
        (r#""SK":{"N":[{"exists":true}]}"#, false),
        (r#""SK":{"N":[{"exists":false}]}"#, true),
        (r#""missing":{"S":[{"exists":true}]}"#, false),
        (r#""missing":{"S":[{"exists":false}]}"#, true),
        (r#""gone":{"NULL":[{"exists":true}]}"#, true),
        // An attribute is not a scalar, and therefore never exists.
        (r#""SK":[{"exists":true}]"#, false),
        (r#""SK":[{"exists":false}]"#, true),
        (r#""missing":[{"exists":false}]"#, true),
        (r#""lines":{"L":[{"exists":false}]}"#, true),
        (r#""none":{"L":[{"exists":true}]}"#, false),
        (r#""none":{"L":[{"exists":false}]}"#, true),
        (r#""none":{"L":{"S":[{"exists":false}]}}"#, true),
        (r#""SK":{"S":{"deeper":[{"exists":false}]}}"#, true),
        (r#""SK":{"S":{"deeper":["ORDER#70"]}}"#, false),
    ];
    for (attribute, expected) in cases {
        assert_eq!(matches(StreamKind::DynamoDb, CHANGE, &[&image(attribute)]), expected, "{attribute}");
    }
}

#[test]
fn numeric_rules_match_only_json_numbers() {
    let cases = [
        // The record's time is a JSON number; DynamoDB's numbers are strings.
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",0]}]}}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">=",1795230305,"<",1795230306]}]}}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":[">",1795230305]}]}}"#, false),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"numeric":["=",1795230305]}]}}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[1795230305]}}"#, false),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[1.795230305E9]}}"#, true),
        (r#"{"dynamodb":{"ApproximateCreationDateTime":[{"prefix":"1"}]}}"#, false),
        (r#"{"dynamodb":{"SizeBytes":[46]}}"#, true),
        (r#"{"dynamodb":{"SizeBytes":["46"]}}"#, false),
        (r#"{"dynamodb":{"SizeBytes":[46.0]}}"#, false),
        (r#"{"dynamodb":{"SizeBytes":[{"anything-but":[45,46]}]}}"#, false),
        (r#"{"dynamodb":{"SizeBytes":[{"anything-but":[46.0]}]}}"#, true),
        (r#"{"dynamodb":{"SizeBytes":[{"numeric":["=",46.0]}]}}"#, true),
        (r#"{"dynamodb":{"SizeBytes":[{"numeric":["<",46]},{"numeric":["<=",4.6e1]}]}}"#, true),
        (r#"{"dynamodb":{"SizeBytes":[{"numeric":["<",45.999999999999999999999999]}]}}"#, false),
        (r#"{"dynamodb":{"SizeBytes":[{"numeric":["<",1e300]}]}}"#, true),
        (r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":[">",0]}]}}}}"#, false),
    ];
    for (pattern, expected) in cases {
        assert_eq!(matches(StreamKind::DynamoDb, CHANGE, &[pattern]), expected, "{pattern}");
    }
}

#[test]
fn one_of_several_patterns_must_match_a_change() {
    let expired = CHANGE.replace(
        "{\"eventID\"",
        r#"{"userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"},"eventID""#,
    );
    let (insert, remove) = (r#"{"eventName":["INSERT"]}"#, r#"{"eventName":["REMOVE"]}"#);
    let by_ttl = r#"{"userIdentity":{"type":["Service"],"principalId":["dynamodb.amazonaws.com"]}}"#;
    let cases: [(&str, &[&str], bool); 8] = [
        (CHANGE, &[], true),
        (CHANGE, &[insert], true),
        (CHANGE, &[remove], false),
        (CHANGE, &[remove, insert], true),
        (CHANGE, &[remove, by_ttl], false),
        (&expired, &[remove, by_ttl], true),
        ("not JSON", &[insert], false),
        ("not JSON", &[], true),
    ];
    for (json, patterns, expected) in cases {
        assert_eq!(matches(StreamKind::DynamoDb, json, patterns), expected, "{patterns:?}");
    }
}

fn message(data: &[u8]) -> String {
    let data = BASE64.encode(data);
    format!(
        r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"7","sequenceNumber":"49","data":"{data}","approximateArrivalTimestamp":1795230306.123}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"shardId-000000000000:49","eventName":"aws:kinesis:record","eventSourceARN":"arn:aws:kinesis:us-east-1:000000000000:stream/clicks"}}"#
    )
}

#[test]
fn a_kinesis_record_is_matched_by_the_json_in_its_data() {
    let json: &[u8] = br#"{"order":{"type":"buy","quantity":1000,"note":null}}"#;
    let cases: [(&[u8], &[&str], bool); 15] = [
        (json, &[r#"{"data":{"order":{"type":["buy"]}}}"#], true),
        (json, &[r#"{"data":{"order":{"type":["sell"]}}}"#], false),
        (json, &[r#"{"data":{"order":{"quantity":[{"numeric":[">=",1000]}]}}}"#], true),
        (json, &[r#"{"data":{"order":{"note":[null]}}}"#], true),
        (json, &[r#"{"data":{"order":{"absent":[null]}}}"#], false),
        (json, &[r#"{"kinesis":{"data":{"order":{"type":["buy"]}}}}"#], false),
        (json, &[r#"{"partitionKey":["7"],"data":{"order":{"type":["buy"]}}}"#], true),
        (json, &[r#"{"partitionKey":["8"],"data":{"order":{"type":["buy"]}}}"#], false),
        // Data that isn't JSON matches no pattern on data; other patterns see only the record's other fields.
        (b"buy", &[r#"{"data":{"order":[{"exists":false}]}}"#], false),
        (b"buy", &[r#"{"$or":[{"data":{"a":["b"]}},{"partitionKey":["7"]}]}"#], false),
        (b"buy", &[r#"{"data":{"a":["b"]}}"#, r#"{"partitionKey":["7"]}"#], true),
        (b"buy", &[r#"{"partitionKey":["7"]}"#], true),
        (b"\xff", &[r#"{"eventName":["aws:kinesis:record"]}"#], true),
        (b"\xff", &[r#"{"data":{"a":[{"exists":false}]}}"#], false),
        (b"\xff", &[], true),
    ];
    for (data, patterns, expected) in cases {
        assert_eq!(matches(StreamKind::Kinesis, &message(data), patterns), expected, "{patterns:?}");
    }
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert!(!matches(StreamKind::Kinesis, &message(&deep), &[r#"{"data":{"a":[1]}}"#]));
    assert!(!matches(StreamKind::Kinesis, CHANGE, &[r#"{"eventName":["INSERT"]}"#]));
}

#[test]
fn an_invalid_pattern_is_rejected_with_its_place() {
    let cases = [
        ("", "top level: is not valid JSON: EOF while parsing a value at line 1 column 0"),
        ("[]", "top level: must be an object"),
        ("{}", "top level: an empty object matches nothing; add a key"),
        (r#"{"a":{}}"#, "a: an empty object matches nothing; add a key"),
        (r#"{"a":[]}"#, "a: an empty list matches nothing; add a value"),
        (r#"{"a":"b"}"#, r#"a: must be an object or a list of values, for example ["INSERT"]"#),
        (r#"{"a":[["b"]]}"#, "a: a list within a list is not allowed; list only values"),
        (r#"{"a":{"b":[{"prefix":"x","suffix":"y"}]}}"#, "a.b: an object must have exactly one operator, not 2"),
        (r#"{"a":[{}]}"#, "a: an object must have exactly one operator, not 0"),
        (
            r#"{"a":{"b":[{"cidr":"10.0.0.0/24"}]}}"#,
            "a.b.cidr: `cidr` is not a valid operator; expected one of prefix, suffix, equals-ignore-case, anything-but, numeric, exists, wildcard",
        ),
        (r#"{"a":[{"exists":"true"}]}"#, "a.exists: must be true or false"),
        (r#"{"a":[{"prefix":1}]}"#, r#"a.prefix: must be a string or {"equals-ignore-case": STRING}"#),
        (r#"{"a":[{"prefix":{"suffix":"x"}}]}"#, r#"a.prefix: must be a string or {"equals-ignore-case": STRING}"#),
        (r#"{"a":[{"wildcard":"a**"}]}"#, "a.wildcard: two asterisks in a row are not allowed; one matches any text"),
        (r#"{"a":[{"wildcard":"\\a"}]}"#, "a.wildcard: a backslash can only escape * and \\"),
        (r#"{"a":[{"wildcard":["a"]}]}"#, "a.wildcard: must be a string"),
        (
            r#"{"a":[{"anything-but":["a",1]}]}"#,
            "a.anything-but: must be strings, numbers, or an object with one operator",
        ),
        (r#"{"a":[{"anything-but":{"prefix":""}}]}"#, "a.anything-but.prefix: an empty string is not allowed here"),
        (r#"{"a":[{"anything-but":{"suffix":[]}}]}"#, "a.anything-but.suffix: an empty list excludes nothing"),
        (
            r#"{"a":[{"anything-but":{"numeric":["=",1]}}]}"#,
            "a.anything-but.numeric: `numeric` is not a valid operator; expected one of prefix, suffix, equals-ignore-case, anything-but, numeric, exists, wildcard",
        ),
        (r#"{"a":[{"numeric":5}]}"#, r#"a.numeric: must be a list, for example [">", 0, "<=", 5]"#),
        (r#"{"a":[{"numeric":["~",5]}]}"#, "a.numeric: `~` is not a valid comparison; expected one of <, <=, =, >=, >"),
        (
            r#"{"a":[{"numeric":["<",5,">",0]}]}"#,
            r#"a.numeric: must be one comparison, or a lower and an upper bound, for example ["=", 3] or [">", 0, "<=", 5]"#,
        ),
        (
            r#"{"a":[{"numeric":["<","5"]}]}"#,
            r#"a.numeric: must be one comparison, or a lower and an upper bound, for example ["=", 3] or [">", 0, "<=", 5]"#,
        ),
        (r#"{"$or":[{"a":[1]}]}"#, "$or: must be a list of at least two objects"),
        (r#"{"$or":[{"a":[1]},2]}"#, "$or: each alternative must be an object"),
    ];
    for (pattern, expected) in cases {
        let error = filters(&[r#"{"eventName":["INSERT"]}"#, pattern]).unwrap_err().to_string();
        assert_eq!(error, format!("filter pattern 2, {expected}"), "{pattern}");
    }
}

#[test]
fn the_number_and_length_of_patterns_are_limited() {
    let pattern = r#"{"eventName":["INSERT"]}"#;
    assert_eq!(filters(&[pattern; 10]).unwrap().patterns().collect::<Vec<_>>(), [pattern; 10]);
    let error = filters(&[pattern; 11]).unwrap_err().to_string();
    assert_eq!(error, "11 filter patterns are too many; use up to 10, or join some with `$or`");
    let long = |characters: usize| format!(r#"{{"a":["{}"]}}"#, "é".repeat(characters - r#"{"a":[""]}"#.len()));
    assert!(filters(&[&long(4096)]).is_ok());
    let error = filters(&[&long(4097)]).unwrap_err().to_string();
    assert_eq!(error, "filter pattern 1, top level: has 4097 characters; the limit is 4096");
    let deep = format!("{}1{}", r#"{"a":"#.repeat(300), "}".repeat(300));
    assert!(filters(&[&deep]).unwrap_err().to_string().contains("nested more than 200 levels deep"));
}
