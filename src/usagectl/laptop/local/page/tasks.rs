//! The buttons of the page that start another command: reconcile, redrive, and compact. Each runs as a user would run it, in a
//! process of its own, and its output is the proof.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde::Serialize;
use tokio::process::Command;
use tokio::time::Instant;

use crate::shell::options::Options;
use crate::shell::quote::quoted;

/// The most output that is kept.
const OUTPUT_CHARACTERS: usize = 20_000;

const REDRIVE: &str = "redrive";

/// The commands, each with its name.
const COMMANDS: [(&str, &[&str]); 3] = [
    ("reconcile", &["reconcile", "--wait", "30s"]),
    (REDRIVE, &["redrive", "--local"]),
    ("compact", &["compact", "--local", "--now"]),
];

/// How a command that was started is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Task {
    /// Its name.
    pub name: &'static str,
    /// The command line.
    pub command: String,
    #[serde(skip)]
    arguments: Vec<OsString>,
    /// How often it was started.
    pub runs: u64,
    pub is_running: bool,
    /// How the last run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Ended {
    /// The exit code; `None` if it was killed or could not be started.
    pub code: Option<i32>,
    pub seconds: f64,
    /// The first line of its output.
    pub line: String,
    /// All of its output.
    #[serde(skip)]
    pub output: String,
}

/// The commands that the page can start.
#[derive(Debug, Clone)]
pub(super) struct Tasks(Arc<Mutex<Vec<Task>>>);

impl Tasks {
    /// Commands with these global options, for a run with this failure destination.
    pub(super) fn new(options: &Options, on_failure: &str) -> Tasks {
        let bucket = on_failure.strip_prefix("s3://").map(|bucket| ["--failure-bucket", bucket]);
        let task = |(name, own): (&'static str, &[&str])| {
            let mut arguments = global_arguments(options);
            arguments.extend(own.iter().map(OsString::from));
            arguments.extend(bucket.iter().filter(|_| name == REDRIVE).flatten().map(OsString::from));
            let shown = arguments.iter().map(|argument| quoted(&argument.to_string_lossy()));
            let command = ["usagectl".to_owned()].into_iter().chain(shown).collect::<Vec<_>>().join(" ");
            Task { name, command, arguments, ..Task::default() }
        };
        Tasks(Arc::new(Mutex::new(COMMANDS.into_iter().map(task).collect())))
    }

    /// How all of them are doing.
    pub(super) fn all(&self) -> Vec<Task> {
        self.lock().clone()
    }

    /// One of them, with its output.
    pub(super) fn one(&self, name: &str) -> Option<Task> {
        self.lock().iter().find(|task| task.name == name).cloned()
    }

    /// Starts a command.
    ///
    /// # Errors
    /// If there is no such command, or if it is running.
    pub(super) fn start(&self, name: &str) -> Result<(), Refused> {
        let arguments = {
            let mut tasks = self.lock();
            let task = tasks.iter_mut().find(|task| task.name == name).ok_or(Refused::Unknown)?;
            if task.is_running {
                return Err(Refused::Running);
            }
            task.is_running = true;
            task.runs += 1;
            task.arguments.clone()
        };
        let (tasks, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            let started = Instant::now();
            let (code, output) = match run(arguments).await {
                Ok((code, output)) => (code, output),
                Err(error) => (None, format!("error: {error:#}")),
            };
            let line = output.lines().next().unwrap_or_default().to_owned();
            let ended = Ended { code, seconds: started.elapsed().as_secs_f64(), line, output };
            if let Some(task) = tasks.lock().iter_mut().find(|task| task.name == name) {
                task.is_running = false;
                task.ended = Some(ended);
            }
        });
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs usagectl to its end, and returns its exit code and its output.
async fn run(arguments: Vec<OsString>) -> anyhow::Result<(Option<i32>, String)> {
    let program = std::env::current_exe().context("find the program usagectl")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("start usagectl")?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned());
    let text = text.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("\n");
    let cut = text.char_indices().nth(OUTPUT_CHARACTERS).and_then(|(end, _)| text.get(..end));
    Ok((output.status.code(), cut.unwrap_or(&text).to_owned()))
}

/// Why a command isn't started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Unknown,
    Running,
}

/// The options with which another command works on the same data.
fn global_arguments(options: &Options) -> Vec<OsString> {
    let path = |name: &str, path: &std::path::Path| [OsString::from(name), path.as_os_str().to_owned()];
    let text = |name: &str, text: &String| [OsString::from(name), OsString::from(text)];
    let mut arguments: Vec<OsString> = path("--data", &options.data).into();
    arguments.extend(options.pipeline.iter().flat_map(|name| text("--pipeline", name)));
    arguments.extend(options.pipeline_dir.iter().flat_map(|folder| path("--pipeline-dir", folder)));
    let endpoints = [
        ("--dynamodb-endpoint", &options.dynamodb_endpoint),
        ("--s3-endpoint", &options.s3_endpoint),
        ("--kinesis-endpoint", &options.kinesis_endpoint),
        ("--cloudwatch-endpoint", &options.cloudwatch_endpoint),
        ("--eventbridge-endpoint", &options.eventbridge_endpoint),
    ];
    arguments.extend(endpoints.into_iter().flat_map(|(name, url)| url.iter().flat_map(move |url| text(name, url))));
    if options.allow_remote {
        arguments.push("--allow-remote".into());
    }
    arguments
}
