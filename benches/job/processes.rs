//! Measurements that need a separate process: instruction counts by callgrind, which repeat exactly, and peak resident memory.
//! Also writes the events to files, for implementations that read files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::workloads::Workload;
use crate::{ENTITIES, RECORDS};

/// The folder of the events that the rivals read.
pub fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/bench-events"))
}

/// Writes the workload's event.
pub fn event_file(workload: Workload, folder: &Path) -> PathBuf {
    std::fs::create_dir_all(folder).expect("a folder for events");
    let file = folder.join(format!("{}.json", workload.name()));
    std::fs::write(&file, workload.event(RECORDS, ENTITIES)).expect("an event's file");
    file
}

/// Instructions per record of the job: the difference between processes that run it three times and once. `None` without
/// valgrind (Debian: apt-get install valgrind).
pub fn instructions(workload: Workload, records: u64) -> Option<u64> {
    let of = |jobs: &str| -> Option<u64> {
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(own());
        let output = command.args(["once", workload.name()]).env("JOBS", jobs).output().ok()?;
        let output_text = String::from_utf8_lossy(&output.stderr).into_owned();
        let count = output_text.lines().find_map(|line| line.split_once("Collected :"));
        let (_, count) = count.unwrap_or_else(|| panic!("callgrind counted nothing: {output_text}"));
        Some(count.trim().parse().expect("a count of instructions"))
    };
    Some((of("3")? - of("1")?) / (2 * records))
}

/// The peak resident memory of a process that generates the event and runs the job once.
pub fn peak_kib(workload: Workload) -> u64 {
    let mut command = Command::new(own());
    let output = command.args(["once", workload.name()]).env("JOBS", "1").stderr(Stdio::inherit()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of KiB")
}

/// The peak resident memory of this process.
pub fn own_peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("the most memory that was resident");
    peak.trim().trim_end_matches("kB").trim().parse().expect("a number of KiB")
}

fn own() -> PathBuf {
    std::env::current_exe().expect("this program's path")
}
