//! `usagectl local --otlp` and `usagectl traces`, each as a process of its own.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::fixture::Fixture;

#[test]
fn a_local_run_shows_its_invocations_to_usagectl_traces() {
    let fixture = Fixture::new();
    let mut command = fixture.command(&["traces", "--port", "0", "--count", "2", "--json"]);
    let mut traces = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut note = String::new();
    BufReader::new(traces.stderr.take().unwrap()).read_line(&mut note).unwrap();
    let url = note.split(' ').find(|word| word.starts_with("http://")).unwrap();
    let load = ["--simulate", "orders", "--records", "20", "--rate", "0"];
    let run = fixture.run(&[&["local", "--fresh", "--otlp", url], &load[..]].concat());
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut printed = String::new();
    traces.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(traces.wait().unwrap().code(), Some(0));
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(printed.len(), 2);
    let spans = printed[0]["spans"].as_array().unwrap();
    assert_eq!((&spans[0]["name"], &spans[0]["depth"]), (&"usage-aggregator".into(), &0.into()));
    let names: Vec<&str> = spans.iter().map(|span| span["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"decode and plan") && names.contains(&"DynamoDB.PutItem"), "{names:?}");
}

#[test]
fn a_local_run_without_a_receiver_says_how_to_start_one() {
    let fixture = Fixture::new();
    let run = fixture.run(&["local", "--simulate", "orders", "--records", "1", "--otlp", "http://127.0.0.1:9"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.stderr.contains("usagectl traces"), "{}", run.stderr);
    let invalid = fixture.run(&["local", "--otlp", "localhost"]);
    assert_eq!(invalid.code, Some(2), "{invalid:?}");
}
