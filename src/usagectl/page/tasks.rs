//! The buttons of the page that start another command, for example reconcile. Each runs as a user would run it, in a process of its
//! own, and its output is the proof.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use serde::Serialize;
use tokio::process::Command;
use tokio::time::Instant;

use crate::shell::quote::quoted;

/// The most output that is kept.
const OUTPUT_CHARACTERS: usize = 20_000;

/// How a command that was started is doing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Task {
    /// Its name.
    pub name: &'static str,
    /// The command line, or several.
    pub command: String,
    /// The arguments of each.
    #[serde(skip)]
    arguments: Vec<Vec<OsString>>,
    /// How often it was started.
    pub runs: u64,
    pub is_running: bool,
    /// How the last run ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ended {
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
pub(crate) struct Tasks {
    tasks: Arc<Mutex<Vec<Task>>>,
    /// Commands that can't be started, with the reason.
    refused: Vec<(&'static str, String)>,
}

impl Tasks {
    /// Commands by name, with the arguments of `usagectl`. Those of one name run one after the other.
    pub(crate) fn new(commands: impl IntoIterator<Item = (&'static str, Vec<OsString>)>) -> Tasks {
        let mut tasks: Vec<Task> = Vec::new();
        for (name, arguments) in commands {
            let shown = arguments.iter().map(|argument| quoted(&argument.to_string_lossy()));
            let command = ["usagectl".to_owned()].into_iter().chain(shown).collect::<Vec<_>>().join(" ");
            if let Some(task) = tasks.iter_mut().find(|task| task.name == name) {
                task.command.push_str(&format!("; {command}"));
                task.arguments.push(arguments);
            } else {
                tasks.push(Task { name, command, arguments: vec![arguments], ..Task::default() });
            }
        }
        Tasks { tasks: Arc::new(Mutex::new(tasks)), refused: Vec::new() }
    }

    /// The same, and a command that can't be started for this reason.
    pub(crate) fn refusing(mut self, name: &'static str, reason: &str) -> Tasks {
        self.refused.push((name, reason.to_owned()));
        self
    }

    /// How all of them are doing.
    pub(crate) fn all(&self) -> Vec<Task> {
        self.lock().clone()
    }

    /// One of them, with its output.
    pub(crate) fn one(&self, name: &str) -> Option<Task> {
        self.lock().iter().find(|task| task.name == name).cloned()
    }

    /// Starts a command.
    ///
    /// # Errors
    /// If there is no such command, or if it is running.
    pub(crate) fn start(&self, name: &str) -> Result<(), Refused> {
        let arguments = {
            let mut tasks = self.lock();
            let Some(task) = tasks.iter_mut().find(|task| task.name == name) else {
                return Err(self.unknown(name, &tasks));
            };
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
            let (code, output) = match run_all(arguments).await {
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

    fn unknown(&self, name: &str, tasks: &[Task]) -> Refused {
        match self.refused.iter().find(|(refused, _)| *refused == name) {
            Some((_, reason)) => Refused::NotAllowed(reason.clone()),
            None => Refused::Unknown { expected: tasks.iter().map(|task| task.name).collect::<Vec<_>>().join(", ") },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs usagectl with each of these arguments, and returns the first exit code that isn't 0, and all output.
async fn run_all(commands: Vec<Vec<OsString>>) -> anyhow::Result<(Option<i32>, String)> {
    let (mut first, mut all) = (Some(0), Vec::new());
    for arguments in commands {
        let (code, output) = run(arguments).await?;
        if first == Some(0) {
            first = code;
        }
        all.push(output);
    }
    Ok((first, all.join("\n")))
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    Unknown {
        /// The names of those that can be started.
        expected: String,
    },
    NotAllowed(String),
    Running,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_one_name_are_one_task() {
        let of = |bucket: &str| ("redrive", vec!["redrive".into(), bucket.into()]);
        let tasks = Tasks::new([of("failures"), ("compact", vec!["compact".into()]), of("q")]).all();
        let commands: Vec<&str> = tasks.iter().map(|task| task.command.as_str()).collect();
        assert_eq!(commands, ["usagectl redrive failures; usagectl redrive q", "usagectl compact"]);
    }

    #[test]
    fn a_command_that_is_not_offered_is_refused_with_the_reason() {
        let tasks = Tasks::new([("reconcile", vec!["reconcile".into(), "--stack".into(), "my stack".into()])]);
        let tasks = tasks.refusing("redrive", "start with --allow-redrive");
        assert_eq!(tasks.all()[0].command, "usagectl reconcile --stack 'my stack'");
        assert_eq!(tasks.start("redrive"), Err(Refused::NotAllowed("start with --allow-redrive".to_owned())));
        assert_eq!(tasks.start("delete"), Err(Refused::Unknown { expected: "reconcile".to_owned() }));
        assert!(tasks.all().iter().all(|task| task.runs == 0));
    }
}
