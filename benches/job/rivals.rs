//! The same job as people write it in Python and in Node (benches/rivals), in processes of their own that live as long as a
//! workload is measured: a line to stdin is one job, a line from stdout its end. Only there if `make bench` has installed them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::workloads::Workload;

/// A process that does the job on command.
pub struct Rival {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Rows, counters and bytes of the first job: the same for all that do the same job, but for the bytes.
    pub did: String,
}

impl Rival {
    /// Python with Powertools and fastavro; nothing if it isn't installed.
    pub fn python(workload: Workload, event: &Path) -> Option<Rival> {
        let program = root().join(".venv-bench/bin/python");
        program.exists().then(|| Rival::start(Command::new(program).arg(script("python.py")), workload, event))
    }

    /// Node with Powertools, util-dynamodb and avsc; nothing if it isn't installed.
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

    /// Does the job once.
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
        // It ends with its stdin, but a bench doesn't wait for what hangs.
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
