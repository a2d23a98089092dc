//! `usagectl explain` and `invoke` with failure documents, and why `explain` says that records are skipped.

use serde_json::{Value, json};

use crate::fixture::{Fixture, Run, event, order, two_orders};

/// Lambda's document of a discarded batch, or the function's of a quarantined record.
fn document(condition: &str, event: &Value, rejection: Option<Value>) -> Value {
    let sequence = |index: usize| event["Records"][index]["dynamodb"]["SequenceNumber"].clone();
    let records = event["Records"].as_array().unwrap().len();
    let mut document = json!({
        "version": "1.0",
        "timestamp": "2026-09-17T13:29:12.967Z",
        "requestContext": {
            "requestId": "7b1f6f0e-2d4e-4c8e-9a5f-8f3f1e7c2d11",
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:usage-aggregator",
            "condition": condition,
            "approximateInvokeCount": 1,
        },
        "DDBStreamBatchInfo": {
            "shardId": "shardId-00000001789651619772-2a9e5aad",
            "startSequenceNumber": sequence(0),
            "endSequenceNumber": sequence(records - 1),
            "approximateArrivalOfFirstRecord": "2026-09-17T13:27:40Z",
            "approximateArrivalOfLastRecord": "2026-09-17T13:27:40Z",
            "batchSize": records,
            "streamArn": event["Records"][0]["eventSourceARN"],
        },
        "payload": event.to_string(),
    });
    match rejection {
        Some(rejection) => document["rejection"] = rejection,
        None => {
            document["responseContext"] =
                json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": null })
        }
    }
    document
}

fn quarantined() -> Value {
    let reason = json!({
        "pipeline": "orders", "sequenceNumber": "800000000003126270002", "code": "invalid_value",
        "field": "NewImage.total", "reason": "expected N, found S",
    });
    document("RecordRejected", &event(&[order(2, json!({ "S": "free" }))]), Some(reason))
}

#[test]
fn a_failure_document_is_explained_and_invoked_as_the_event_in_it() {
    let fixture = Fixture::new();
    fixture.write("event.json", &two_orders());
    fixture.write("lambda.json", &document("RetryAttemptsExhausted", &two_orders(), None));
    let wrapped = document("RetryAttemptsExhausted", &two_orders(), None).to_string();
    fixture.write("topic.json", &json!({ "Type": "Notification", "Message": wrapped }));
    let event = fixture.json(&["explain", "event.json"]);
    assert_eq!(event["document"], Value::Null);
    for file in ["lambda.json", "topic.json"] {
        let mut explained = fixture.json(&["explain", file]);
        assert_eq!(explained["document"]["condition"], "RetryAttemptsExhausted");
        explained["document"] = Value::Null;
        explained["file"] = json!("event.json");
        assert_eq!(explained, event);
    }
    let invoked = fixture.json(&["invoke", "lambda.json"]);
    assert_eq!((&invoked["durable"], &invoked["error"]), (&json!(2), &Value::Null), "{invoked}");
    assert_eq!(invoked["document"]["response"], "partial response");
    assert_eq!(fixture.json(&["invoke", "event.json"])["durable"], json!(2));
}

#[test]
fn the_document_of_a_quarantined_record_is_explained_with_its_reason() {
    let fixture = Fixture::new();
    fixture.write("quarantined.json", &quarantined());
    for command in ["explain", "invoke"] {
        let run = fixture.run(&[command, "quarantined.json"]);
        assert_eq!(run.code, Some(1), "{run:?}");
        insta::assert_snapshot!(format!("{command}_quarantined"), run.stdout.split("metrics").next().unwrap());
    }
    let explained = fixture.json(&["explain", "quarantined.json"]);
    assert_eq!(
        (&explained["document"]["rejection"]["pipeline"], &explained["quarantined"][0]["code"]),
        (&json!("orders"), &json!("invalid_value"))
    );
}

/// It planned as with REJECTED_RECORDS=fail, which neither the template nor `usagectl local` sets, so records after the first
/// rejected one were ignored. And with REJECTED_RECORDS=quarantine, it needed a bucket.
#[test]
fn regression_a_rejected_record_is_explained_together_with_those_after_it() {
    let fixture = Fixture::new();
    let records = [order(1, json!({ "S": "free" })), order(2, json!({ "N": "1" })), order(3, json!({ "S": "free" }))];
    fixture.write("event.json", &event(&records));
    let explained = |variables: &[(&str, &str)]| {
        let mut command = fixture.command(&["explain", "event.json", "--json"]);
        let run: Run = command.envs(variables.iter().copied()).output().unwrap().into();
        assert_eq!(run.code, Some(1), "{run:?}");
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let usual = explained(&[]);
    assert_eq!((&usual["records"], &usual["tally"]["effective"]), (&json!(3), &json!(1)), "{usual}");
    assert_eq!((&usual["rejected"], usual["quarantined"].as_array().unwrap().len()), (&Value::Null, 2), "{usual}");
    assert_eq!(explained(&[("REJECTED_RECORDS", "quarantine")]), usual);
    let fails = explained(&[("REJECTED_RECORDS", "fail")]);
    assert_eq!((&fails["records"], &fails["rejected"]["code"]), (&json!(0), &json!("invalid_value")), "{fails}");
    let text = fixture.run(&["explain", "event.json"]).stdout;
    assert!(text.contains(": 1 row, ") && text.contains("found S; quarantined"), "{text}");
}

#[test]
fn a_failure_document_without_its_records_leads_to_redrive() {
    let fixture = Fixture::new();
    let mut message = document("RetryAttemptsExhausted", &two_orders(), None);
    message.as_object_mut().unwrap().remove("payload");
    fixture.write("message.json", &message);
    for command in ["explain", "invoke"] {
        let run = fixture.json(&[command, "message.json"]);
        let error = run["error"]["message"].as_str().unwrap();
        assert_eq!(
            error,
            "failed to read the event in the failure document message.json: it has no payload: it is a message for a queue, which has the positions of its records but not the records; `usagectl redrive` reads them from the stream"
        );
        assert_eq!(fixture.run(&[command, "message.json"]).code, Some(1));
    }
}

#[test]
fn a_skipped_record_is_explained_by_the_nearest_record_type_and_the_attribute_that_differs() {
    let fixture = Fixture::new();
    let keyed = |number: u32, pk: &str, sk: &str| {
        let mut record = order(number, json!({ "N": "1" }));
        for item in ["Keys", "NewImage"] {
            record["dynamodb"][item]["pk"]["S"] = pk.into();
            record["dynamodb"][item]["sk"]["S"] = sk.into();
        }
        record
    };
    let records = [
        order(1, json!({ "N": "1" })),
        keyed(2, "CUSTOMER#7", "INVOICE#9"),
        keyed(3, "CUSTOMR#7", "ORDER#1"),
        keyed(4, "CUSTOMER#7", "INVOICE#10"),
    ];
    fixture.write("event.json", &event(&records));
    let run = fixture.run(&["explain", "event.json"]);
    assert_eq!(run.code, Some(0), "skipping is not a failure: {run:?}");
    assert!(
        run.stdout
            .lines()
            .filter(|line| line.starts_with("skipped") || line.starts_with("    "))
            .all(|line| line.len() <= 80)
    );
    insta::assert_snapshot!("explain_skipped", run.stdout);
    let explained = fixture.json(&["explain", "event.json"]);
    let skipped = explained["skipped"].as_array().unwrap();
    assert_eq!(skipped.iter().map(|record| &record["record"]).collect::<Vec<_>>(), [1, 2, 3]);
    let nearest = json!({
        "record_type": "order", "section": "match", "attribute": "pk", "expected": "CUSTOMER#{customer}", "found": "CUSTOMR#7",
    });
    assert_eq!((&skipped[1]["reason"], &skipped[1]["nearest"]), (&json!("no record type matches"), &nearest));
}

#[test]
fn a_record_that_matches_but_has_no_effect_is_explained_too() {
    let fixture = Fixture::new();
    let mut audit = order(1, json!({ "N": "1" }));
    for item in ["Keys", "NewImage"] {
        audit["dynamodb"][item] = json!({ "PK": { "S": "ns/AUDIT#7" }, "SK": { "S": "#AUDIT#01" } });
    }
    fixture.write("audit.json", &event(&[audit]));
    let explained = fixture.json(&["explain", "--pipeline", "zae-limiter", "audit.json"]);
    assert_eq!(explained["skipped"][0]["reason"], "record type audit ignores INSERT events");
    assert_eq!(explained["skipped"][0]["nearest"], Value::Null);
}

#[test]
fn the_condition_that_a_record_does_not_meet_is_named() {
    let fixture = Fixture::new();
    let requests = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/core/requests");
    let event = format!("{requests}/event.json");
    let explained = fixture.json(&["explain", "--pipeline-dir", requests, &event]);
    assert_eq!(explained["rejected"], Value::Null);
    let skipped = explained["skipped"].as_array().unwrap();
    let unmet = |record: usize| skipped.iter().find(|skipped| skipped["record"] == record).unwrap()["nearest"].clone();
    assert_eq!(
        unmet(4),
        json!({
            "record_type": "other", "section": "where", "measure": "large", "attribute": "body",
            "expected": "of size greater than 3", "found": null,
        })
    );
    assert_eq!(unmet(6)["found"], "S of size 3");
    let text = fixture.run(&["explain", "--pipeline-dir", requests, &event]).stdout;
    assert!(text.contains("`where` of its measure large needs body to be of size greater than 3"), "{text}");
}

/// `explain` used to show no windows and nothing else, and `invoke` to reject the batch.
#[test]
fn regression_explain_and_invoke_agree_on_a_sum_with_too_many_digits() {
    let fixture = Fixture::new();
    let pipeline = r##"
[snapshot]
windows = ["day"]
partition_key = { name = "pk", value = "TENANT#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window}#{window_start}" }
[[record]]
type = "meter"
match = { pk = "TENANT#{tenant}", sk = "METER#{meter}" }
entity = "{tenant}"
resource = "meter"
[[record.measure]]
name = "amount"
kind = "delta"
attribute = "amount"
"##;
    std::fs::create_dir(fixture.0.path().join("meters")).unwrap();
    std::fs::write(fixture.0.path().join("meters/pipeline.toml"), pipeline).unwrap();
    let meter = |number: u32, amount: &str| {
        let mut record = order(number, json!({ "N": "1" }));
        let keys = json!({ "pk": { "S": "TENANT#acme" }, "sk": { "S": format!("METER#{number}") } });
        record["dynamodb"]["NewImage"] = keys.clone();
        record["dynamodb"]["NewImage"]["amount"] = json!({ "N": amount });
        record["dynamodb"]["Keys"] = keys;
        record
    };
    fixture.write("event.json", &event(&[meter(1, &"9".repeat(38)), meter(2, "0.5")]));
    let run = |command: &str| fixture.json(&[command, "--pipeline-dir", "meters", "event.json"]);
    let (explained, invoked) = (run("explain"), run("invoke"));
    assert_eq!(explained["rejected"], Value::Null);
    assert!(explained["counters"][0]["windows"]["error"].is_string(), "{explained}");
    assert_eq!((&invoked["error"], &invoked["durable"], &invoked["rejected"]), (&Value::Null, &json!(2), &json!([])));
}
