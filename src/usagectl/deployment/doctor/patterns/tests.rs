use usage_aggregator::pipeline::shipped;

use super::*;

fn of(pattern: &str) -> Mistakes {
    mistakes(pattern, &Pipeline::parse(&shipped("orders").unwrap()).unwrap())
}

#[test]
fn patterns_that_can_never_match_are_found() {
    let never = [
        (
            r#"{"dynamodb":{"NewImage":{"total":{"N":[{"numeric":[">",5]}]}}}}"#,
            "dynamodb.NewImage.total.N: DynamoDB numbers",
        ),
        (r#"{"dynamodb":{"NewImage":{"total":{"N":[5]}}}}"#, "dynamodb.NewImage.total.N: DynamoDB numbers"),
        (r#"{"dynamodb":{"NewImage":{"total":[{"exists":true}]}}}"#, "dynamodb.NewImage.total: exists works"),
        (r#"{"dynamodb":{"NewImage":[{"exists":true}]}}"#, "dynamodb.NewImage: is not a value"),
        (r#"{"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"USER#"}]}}}}"#, "no record type of the pipeline has such keys"),
        (r#"{"dynamodb":{"Keys":{"pk":{"S":["CUSTOMER#7"]},"sk":{"S":[{"prefix":"LINE#"}]}}}}"#, "no record type"),
        (r#"{"eventName":["UPDATE"]}"#, "eventName: an event name is"),
        (r#"{"eventname":["INSERT"]}"#, "eventname: a stream record has no such field"),
        (r#"{"$or":[{"eventName":["UPDATE"]},{"dynamodb":{"SizeBytes":["5"]}}]}"#, "eventName: an event name is"),
        (r#"{"dynamodb":{"NewImage":{"paid":{"BOOL":["true"]}}}}"#, "the value is true or false"),
    ];
    for (pattern, why) in never {
        let found = of(pattern);
        assert!(found.never.iter().any(|reason| reason.contains(why)), "{pattern}: {found:?}");
    }
    let may = [
        r#"{"dynamodb":{"NewImage":{"resource":{"S":[{"exists":false}]}}}}"#,
        r#"{"dynamodb":{"NewImage":{"total":{"N":["5",{"exists":true}]}}}}"#,
        r#"{"dynamodb":{"Keys":{"pk":{"S":[{"prefix":"CUST"}]}}}}"#,
        r#"{"dynamodb":{"Keys":{"pk":{"S":["USER#1","CUSTOMER#7"]}}}}"#,
        r#"{"$or":[{"eventName":["UPDATE"]},{"eventName":["INSERT"]}]}"#,
        r#"{"dynamodb":{"NewImage":{"lines":{"L":{"M":{"price":{"N":["5"]}}}}}}}"#,
        r#"{"userIdentity":{"type":["Service"]},"eventName":["REMOVE"]}"#,
        r#"{"dynamodb":{"SizeBytes":[{"numeric":["<",400]}]}}"#,
    ];
    for pattern in may {
        assert_eq!(of(pattern), Mistakes::default(), "{pattern}");
    }
}

#[test]
fn an_absent_value_above_the_leaves_is_always_true() {
    let found = of(r#"{"dynamodb":{"NewImage":{"resource":[{"exists":false}]}}}"#);
    assert_eq!(found.never, Vec::<String>::new());
    assert!(found.always.iter().any(|why| why.starts_with("dynamodb.NewImage.resource: a condition")), "{found:?}");
}

#[test]
fn the_shipped_filters_can_match() {
    let folder = shipped("zae-limiter").unwrap();
    let pipeline = Pipeline::parse(&folder).unwrap();
    let filters: Vec<Value> =
        serde_json::from_str(include_str!("../../../../../schemas/zae-limiter/filters.json")).unwrap();
    for filter in filters {
        assert_eq!(mistakes(&filter.to_string(), &pipeline), Mistakes::default(), "{filter}");
    }
}
