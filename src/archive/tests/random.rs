//! Random schemas with random values that fit them: encoded rows read back, and encoding is deterministic.

use super::*;
use proptest::prelude::*;

/// A value, and what it must read back as.
type Case = (Value<'static>, Avro);

fn types() -> impl Strategy<Value = Json> {
    let leaf = prop::sample::select(vec![
        json!("boolean"),
        json!("int"),
        json!("long"),
        json!("float"),
        json!("double"),
        json!("bytes"),
        json!("string"),
        json!({"type": "long", "logicalType": "timestamp-micros"}),
        json!({"type": "int", "logicalType": "date"}),
    ]);
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            inner.clone().prop_map(|values| json!({"type": "map", "values": values})),
            inner
                .clone()
                .prop_filter("no union in a union", |branch| !branch.is_array())
                .prop_map(|branch| json!(["null", branch])),
            prop::collection::vec(inner, 0..4).prop_map(|types| {
                let fields = types
                    .into_iter()
                    .enumerate()
                    .map(|(index, node)| json!({"name": format!("f{index}"), "type": node}));
                json!({"type": "record", "name": "", "fields": fields.collect::<Vec<_>>()})
            }),
        ]
    })
    .prop_map(|mut node| {
        name_records(&mut node, &mut 0);
        node
    })
}

/// Gives every record a unique name.
fn name_records(node: &mut Json, count: &mut usize) {
    match node {
        Json::Array(nodes) => nodes.iter_mut().for_each(|node| name_records(node, count)),
        Json::Object(object) => {
            if object.get("type") == Some(&json!("record")) {
                *count += 1;
                object.insert("name".into(), json!(format!("R{count}")));
            }
            object.values_mut().for_each(|node| name_records(node, count));
        }
        _ => {}
    }
}

fn value_of(node: &Json) -> BoxedStrategy<Case> {
    let number = |number: i64| Value::N(Decimal::from(number));
    if let Json::Array(branches) = node {
        let null = (Value::Null, Avro::Union(0, Box::new(Avro::Null)));
        return prop_oneof![
            Just(null),
            value_of(&branches[1]).prop_map(|(value, avro)| (value, Avro::Union(1, Box::new(avro))))
        ]
        .boxed();
    }
    match (node["type"].as_str().or(node.as_str()).unwrap(), node["logicalType"].as_str()) {
        ("long", Some(_)) => {
            any::<i64>().prop_map(move |micros| (number(micros), Avro::TimestampMicros(micros))).boxed()
        }
        ("int", Some(_)) => any::<i32>().prop_map(move |days| (number(days.into()), Avro::Date(days))).boxed(),
        ("boolean", _) => any::<bool>().prop_map(|value| (Value::Bool(value), Avro::Boolean(value))).boxed(),
        ("int", _) => any::<i32>().prop_map(move |value| (number(value.into()), Avro::Int(value))).boxed(),
        ("long", _) => any::<i64>().prop_map(move |value| (number(value), Avro::Long(value))).boxed(),
        ("float", _) => (-1e30f32..1e30).prop_map(|value| (n(&value.to_string()), Avro::Float(value))).boxed(),
        ("double", _) => (-1e30f64..1e30).prop_map(|value| (n(&value.to_string()), Avro::Double(value))).boxed(),
        ("bytes", _) => any::<Vec<u8>>().prop_map(|value| (b(&value), Avro::Bytes(value))).boxed(),
        ("string", _) => any::<String>().prop_map(|value| (s(&value), Avro::String(value))).boxed(),
        ("array", _) => prop::collection::vec(value_of(&node["items"]), 0..4)
            .prop_map(|parts| {
                let (values, avro) = parts.into_iter().unzip();
                (Value::L(values), Avro::Array(avro))
            })
            .boxed(),
        ("map", _) => prop::collection::hash_map(any::<String>(), value_of(&node["values"]), 0..4)
            .prop_map(|parts| {
                let avro = parts.iter().map(|(key, (_, avro))| (key.clone(), avro.clone())).collect();
                let item = Item(parts.into_iter().map(|(key, (value, _))| (key.into(), value)).collect());
                (Value::M(item), Avro::Map(avro))
            })
            .boxed(),
        ("record", _) => {
            let fields = node["fields"].as_array().unwrap();
            let names: Vec<_> = fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect();
            let values: Vec<_> = fields.iter().map(|field| value_of(&field["type"])).collect();
            values
                .prop_map(move |parts| {
                    let (values, avro): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                    let item = names.iter().map(|name| name.clone().into()).zip(values).collect();
                    (Value::M(Item(item)), Avro::Record(names.iter().cloned().zip(avro).collect()))
                })
                .boxed()
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn encoded_values_read_back(
        (node, cases) in types().prop_flat_map(|node| {
            let cases = prop::collection::vec(value_of(&node), 1..4);
            (Just(node), cases)
        })
    ) {
        let schema = schema_of(node);
        let images: Vec<_> = cases.iter().map(|(value, _)| item([("f", value.clone())])).collect();
        let first = file(&schema, Codec::Snappy, &images).unwrap();
        let expected: Vec<_> = cases.into_iter().map(|(_, avro)| Avro::Record(vec![("f".into(), avro)])).collect();
        prop_assert_eq!(read(&first.body), expected);
        prop_assert_eq!(first, file(&schema, Codec::Snappy, &images).unwrap());
    }
}
