//! The same job in typical Python and Node (benches/rivals), in separate processes that live while a workload is measured: a
//! line on stdin starts a job, a line on stdout ends it. Available only if `make bench` has installed them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::workloads::Workload;

/// A process that runs the job on request.
pub struct Rival {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Rows, counters and bytes of the first job. All implementations have the same rows and counters.
    pub did: String,
}

impl Rival {
    /// Python with Powertools and fastavro; `None` if it isn't installed.
    pub fn python(workload: Workload, event: &Path) -> Option<Rival> {
        let program = root().join(".venv-bench/bin/python");
        program.exists().then(|| Rival::start(Command::new(program).arg(script("python.py")), workload, event))
    }

    /// Node with Powertools, util-dynamodb and avsc; `None` if it isn't installed.
    pub fn node(workload: Workload, event: &Path) -> Option<Rival> {
        let installed = script("node_modules").exists();
        installed.then(|| Rival::start(Command::new("node").arg(script("node.mjs")), workload, event))
    }

    fn start(command: &mut Command, workload: Workload, event: &Path) -> Rival {
        command.arg(workload.name()).arg(event).arg(workload.schema_file());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a rival starts");
        let (commands, answers) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut rival = Rival { process, commands, answers: BufReader::new(answers), did: String::new() };
        rival.did = rival.answer();
        rival
    }

    /// Runs the job once.
    pub fn run(&mut self) -> usize {
        self.commands.write_all(b"\n").expect("a rival that lives");
        let did = self.answer();
        assert_eq!(did, self.did);
        did.len()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("a rival that answers");
        assert!(!line.is_empty(), "a rival has ended; its stderr is above");
        line.trim().to_owned()
    }
}

impl Drop for Rival {
    fn drop(&mut self) {
        // It ends when its stdin closes, but a benchmark shouldn't wait for a process that hangs.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn script(name: &str) -> PathBuf {
    root().join("benches/rivals").join(name)
}
