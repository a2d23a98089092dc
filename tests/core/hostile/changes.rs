//! Hostile records of DynamoDB Streams, for the pipeline `orders`.

use serde_json::{Value, json};

use super::values::{attributes, numbers, texts};
use super::{Kind, SECRET, replaced, sample, values_of_all_types, with, without};

/// Every field of a record that DynamoDB sends.
const FIELDS: [&str; 15] = [
    "/eventID",
    "/eventName",
    "/eventVersion",
    "/eventSource",
    "/awsRegion",
    "/eventSourceARN",
    "/dynamodb",
    "/dynamodb/ApproximateCreationDateTime",
    "/dynamodb/Keys",
    "/dynamodb/Keys/pk",
    "/dynamodb/NewImage",
    "/dynamodb/NewImage/pk",
    "/dynamodb/SequenceNumber",
    "/dynamodb/SizeBytes",
    "/dynamodb/StreamViewType",
];

pub fn kinds() -> Vec<Kind> {
    let record = sample("insert.json");
    let of = |name, records| Kind::of_records(name, "orders", records);
    vec![
        of("a field is missing", without(&record, &FIELDS)),
        of("a field has another type", replaced(&record, &FIELDS, &values_of_all_types())),
        of(
            "an attribute that nothing reads is malformed",
            replaced(&record, &["/dynamodb/NewImage/other"], &attributes()),
        ),
        of(
            "an attribute that is counted is malformed",
            replaced(&record, &["/dynamodb/NewImage/total"], &attributes()),
        ),
        of("a number isn't one of DynamoDB's", numbers(&record)),
        of("a string isn't valid", texts(&record)),
        of("a key is strange", keys(&record)),
        of("values are nested", nested(&record)),
        of("a name appears twice", twice(&record)),
        of("the time is out of range", replaced(&record, &["/dynamodb/ApproximateCreationDateTime"], &times())),
        of("the sequence number isn't one", replaced(&record, &["/dynamodb/SequenceNumber"], &sequence_numbers())),
        of("the stream is another or none", replaced(&record, &["/eventSourceARN"], &arns())),
        of("the images don't fit the event", images(&record)),
        of("the user is unknown", replaced(&removal(), &["/userIdentity"], &users())),
    ]
}

fn keys(record: &Value) -> Vec<Vec<u8>> {
    let long = |length: usize| format!("CUSTOMER#{}", "S".repeat(length));
    let texts = [
        "",
        "CUSTOMER#",
        "CUSTOMER##",
        "CUSTOMER",
        "customer#SECRET",
        "CUSTOMER#SECRET#ORDER#1",
        "CUSTOMER#../../SECRET",
        "CUSTOMER#{entity}SECRET",
        "CUSTOMER#${AWS::AccountId}",
        "CUSTOMER#SECRET\u{0}",
        "CUSTOMER#SECRET\n",
        "CUSTOMER#%2e%2e",
        "CUSTOMER#SECRET/",
        "CUSTOMER#'; --",
        "CUSTOMER#=HYPERLINK(\"SECRET\")",
        "CUSTOMER#\u{202e}",
        "CUSTOMER# ",
        "CUSTOMER#ß",
        "CUSTOMER#e\u{301}",
        "USAGE#SECRET",
    ];
    let texts = texts.map(str::to_owned).into_iter().chain([long(1_000), long(2_039), long(2_040), long(100_000)]);
    let mut values: Vec<Value> = texts.map(|text| json!({ "S": text })).collect();
    values.extend([json!({ "N": "7" }), json!({ "B": "SECRET==" }), json!({ "BOOL": true }), json!({ "NULL": true })]);
    let same = |value: &Value| {
        let mut record = record.clone();
        record["dynamodb"]["Keys"]["pk"] = value.clone();
        with(&record, "/dynamodb/NewImage/pk", value.clone())
    };
    let different = json!({ "S": "CUSTOMER#SECRET" });
    let more = [
        with(record, "/dynamodb/NewImage/pk", different.clone()),
        with(record, "/dynamodb/Keys/pk", different),
        with(record, "/dynamodb/Keys/third", json!({ "S": SECRET })),
        with(record, "/dynamodb/Keys", json!({ "other": { "S": SECRET } })),
    ];
    values.iter().map(same).chain(more).collect()
}

fn nested(record: &Value) -> Vec<Vec<u8>> {
    let marked = String::from_utf8(with(record, "/dynamodb/NewImage/labels", json!("MARK"))).unwrap();
    let (before, after) = marked.split_once("\"MARK\"").unwrap();
    let shapes = [(r#"{"L":["#, "]}"), (r#"{"M":{"a":"#, "}}"), ("[", "]"), (r#"{"a":"#, "}")];
    let depths = [1, 30, 31, 32, 33, 100, 10_000];
    let of = |((open, close), depth): ((&str, &str), usize)| {
        format!("{before}{}{{\"S\":\"SECRET\"}}{}{after}", open.repeat(depth), close.repeat(depth)).into_bytes()
    };
    shapes.into_iter().flat_map(|shape| depths.map(|depth| (shape, depth))).map(of).collect()
}

fn twice(record: &Value) -> Vec<Vec<u8>> {
    let text = record.to_string();
    let names = [
        "eventID",
        "eventName",
        "eventSourceARN",
        "dynamodb",
        "Keys",
        "NewImage",
        "SequenceNumber",
        "ApproximateCreationDateTime",
        "StreamViewType",
        "total",
        "status",
    ];
    let of = |(name, value): (&str, &str)| {
        let (before, after) = text.split_once(&format!("\"{name}\":")).unwrap();
        format!("{before}\"{name}\":{value},\"{name}\":{after}").into_bytes()
    };
    names.into_iter().flat_map(|name| [r#""SECRET""#, "null", "{}"].map(|value| (name, value))).map(of).collect()
}

fn times() -> Vec<Value> {
    let numbers = [
        "0",
        "-1",
        "1",
        "946684799",
        "946684800",
        "4102444799",
        "4102444800",
        "1e308",
        "-1e308",
        "1e-308",
        "1795181258.0000001",
        "1795181258000",
        "1795181258000000",
        "99999999999999999999",
        "1.795181258E9",
        "1E400",
        "0.5",
    ];
    let texts = ["1795181258", "2026-11-20T13:27:38Z", "SECRET"];
    let parsed = numbers.iter().filter_map(|number| serde_json::from_str(number).ok());
    parsed.chain(texts.iter().map(|text| json!(text))).collect()
}

fn sequence_numbers() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "0",
        "-1",
        "1.5",
        "1e5",
        "SECRET",
        "8000SECRET",
        "１",
        "0x1",
        "800000000003126276362 ",
        "0000000000000000000000",
    ];
    let long = [21, 40, 41, 128, 129, 100_000].map(|length| "8".repeat(length));
    texts.map(str::to_owned).into_iter().chain(long).map(Value::from).collect()
}

fn arns() -> Vec<Value> {
    let texts = [
        "arn",
        "arn:aws:dynamodb",
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
        "arn:aws:dynamodb:us-east-1:123456789012:table//stream/a",
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders/index/a",
        "arn:aws:dynamodb:us-east-1:123456789012:table/other/stream/a",
        "arn:aws:dynamodb:us-east-1:123456789012:table/../stream/a",
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/",
        "arn:aws:kinesis:us-east-1:123456789012:stream/orders",
        "arn:aws:sqs:us-east-1:123456789012:orders",
        "arn:aws:dynamodb:us-east-1:999999999999:table/orders/stream/2026-11-02T08:15:27.416",
        "arn:aws:dynamodb:us-east-1:123456789012:table/orders\n/stream/a",
        "arn:aws-cn:dynamodb:cn-north-1:123456789012:table/orders/stream/a",
    ];
    texts.map(Value::from).to_vec()
}

fn images(record: &Value) -> Vec<Vec<u8>> {
    let image = record["dynamodb"]["NewImage"].clone();
    let mut all = Vec::new();
    for name in ["INSERT", "MODIFY", "REMOVE", "insert", "DROP TABLE"] {
        for view in ["NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OLD_IMAGE", "KEYS_ONLY", "SECRET"] {
            for (new, old) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut record = record.clone();
                record["eventName"] = json!(name);
                record["dynamodb"]["StreamViewType"] = json!(view);
                let fields = record["dynamodb"].as_object_mut().unwrap();
                fields.remove("NewImage");
                fields.extend(new.then(|| ("NewImage".to_owned(), image.clone())));
                fields.extend(old.then(|| ("OldImage".to_owned(), image.clone())));
                all.push(record.to_string().into_bytes());
            }
        }
    }
    all
}

fn removal() -> Value {
    let mut record = sample("insert.json");
    let image = record["dynamodb"].as_object_mut().unwrap().remove("NewImage").unwrap();
    record["eventName"] = json!("REMOVE");
    record["dynamodb"]["OldImage"] = image;
    record
}

fn users() -> Vec<Value> {
    let mut all = values_of_all_types();
    all.extend([
        json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" }),
        json!({ "type": "Service", "principalId": SECRET }),
        json!({ "type": SECRET, "principalId": "dynamodb.amazonaws.com" }),
        json!({ "type": "Service" }),
        json!({ "Type": "Service", "PrincipalId": "dynamodb.amazonaws.com" }),
        json!({ "type": ["Service"], "principalId": {} }),
    ]);
    all
}
