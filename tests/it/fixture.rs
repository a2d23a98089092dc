//! The built `usagectl` in an empty folder with an empty environment, and sample events for it.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test helpers, which the lint exceptions for tests don't cover"
)]

use std::io::Read;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// An empty folder to run commands in.
pub struct Fixture(pub TempDir);

/// The result of a command.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Fixture {
    /// Creates the folder.
    pub fn new() -> Fixture {
        Fixture(tempfile::tempdir().unwrap())
    }

    /// A command that hasn't started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_usagectl"));
        command.args(arguments).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs a command with `--json` and parses its only line.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let run = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }

    /// Writes the shipped pipeline `orders` into a folder of that name, with these changes of its files.
    pub fn write_orders(&self, change: impl Fn(&str) -> String) {
        self.write_pipeline("orders", "orders", change);
    }

    /// Writes a shipped pipeline into this folder, with these changes of its files.
    pub fn write_pipeline(&self, pipeline: &str, folder: &str, change: impl Fn(&str) -> String) {
        let folder = self.0.path().join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in usage_aggregator::pipeline::shipped(pipeline).unwrap().files {
            std::fs::write(folder.join(name), change(&text)).unwrap();
        }
    }

    /// Writes a JSON file.
    pub fn write(&self, name: &str, content: &Value) {
        std::fs::write(self.0.path().join(name), content.to_string()).unwrap();
    }
}

impl Run {
    /// What a process that has ended left behind.
    pub fn of(process: &mut Child) -> Run {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        process.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        process.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
        Run::from(Output { status: process.wait().unwrap(), stdout, stderr })
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// A stream record that inserts an order.
pub fn order(number: u32, total: Value) -> Value {
    let keys = json!({ "pk": { "S": "CUSTOMER#7" }, "sk": { "S": format!("ORDER#{number}") } });
    let mut image = keys.clone();
    for (name, value) in [
        ("status", json!({ "S": "NEW" })),
        ("currency", json!({ "S": "EUR" })),
        ("total", total),
        ("ordered_at", json!({ "S": "2026-09-17T13:27:38Z" })),
    ] {
        image[name] = value;
    }
    json!({
        "eventID": format!("{number:032x}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_789_651_660,
            "Keys": keys,
            "NewImage": image,
            "SequenceNumber": format!("80000000000312627{number:04}"),
            "SizeBytes": 100,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000",
    })
}

/// A Lambda event with these records.
pub fn event(records: &[Value]) -> Value {
    json!({ "Records": records })
}

/// An event with two orders of one customer.
pub fn two_orders() -> Value {
    event(&[order(1, json!({ "N": "129.9" })), order(2, json!({ "N": "0.1" }))])
}

/// A process that is killed at the end of its test.
pub struct KilledOnDrop(pub Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
