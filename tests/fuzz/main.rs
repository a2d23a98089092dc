//! `make fuzz`: `fuzz TARGET SECONDS` lets libFuzzer look for inputs on which a target panics, takes more than a second, or
//! holds too much memory. `fuzz all SECONDS` runs each target in a process of its own and prints a table.

use std::ffi::{CString, c_char, c_int};
use std::panic;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::OnceLock;

use fuzz::{TARGETS, Target, memory::Counting};
// Links libFuzzer.
use libfuzzer_sys as _;

#[global_allocator]
static COUNTING: Counting = Counting;

static TARGET: OnceLock<Target> = OnceLock::new();

type Run = unsafe extern "C" fn(*const u8, usize) -> c_int;

unsafe extern "C" {
    fn LLVMFuzzerRunDriver(count: *mut c_int, arguments: *mut *mut *mut c_char, run: Run) -> c_int;
    /// Of libfuzzer-sys, which makes a slice of the input and calls the function below.
    fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> c_int;
}

#[unsafe(no_mangle)]
#[allow(improper_ctypes_definitions, reason = "both sides are Rust")]
extern "C" fn rust_fuzzer_test_input(input: &[u8]) -> c_int {
    if let Some(target) = TARGET.get() {
        target.run(input);
    }
    0
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.get(1).and_then(|seconds| seconds.parse().ok());
    match (arguments.first().map(String::as_str), seconds) {
        (Some("all"), Some(seconds)) => run_each(seconds),
        (Some(name), Some(seconds)) if let Some(target) = Target::named(name) => run_driver(target, seconds),
        _ => {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("usage: fuzz TARGET SECONDS\nTARGET is `all` or one of {}", names.join(", "));
            ExitCode::FAILURE
        }
    }
}

/// Where libFuzzer keeps what it finds: below the folder of this program.
fn kept(kind: &str, target: Target) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    program.parent().unwrap_or(Path::new(".")).join(kind).join(target.name)
}

fn run_driver(target: Target, seconds: u64) -> ExitCode {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        default(info);
        // A reader may catch its panics, and libFuzzer sees only those that end the process.
        std::process::abort();
    }));
    // What a target keeps for all runs isn't part of the first one.
    (target.read)(&[]);
    _ = TARGET.set(target);
    let (inputs, findings) = (kept("inputs", target), kept("findings", target));
    for folder in [&inputs, &findings] {
        if let Err(error) = std::fs::create_dir_all(folder) {
            eprintln!("failed to create {}: {error}", folder.display());
            return ExitCode::FAILURE;
        }
    }
    let arguments = [
        "fuzz".to_owned(),
        inputs.display().to_string(),
        target.corpus().display().to_string(),
        format!("-artifact_prefix={}/", findings.display()),
        format!("-max_total_time={seconds}"),
        "-timeout=1".to_owned(),
        "-max_len=16384".to_owned(),
        "-print_final_stats=1".to_owned(),
        "-detect_leaks=0".to_owned(),
    ];
    let arguments: Vec<CString> = arguments.into_iter().filter_map(|text| CString::new(text).ok()).collect();
    let mut pointers: Vec<*mut c_char> = arguments.iter().map(|text| text.as_ptr().cast_mut()).collect();
    pointers.push(std::ptr::null_mut());
    let (mut count, mut first) = (c_int::try_from(arguments.len()).unwrap_or(1), pointers.as_mut_ptr());
    // SAFETY: the arguments outlive the call, and a null pointer ends them.
    let result = unsafe { LLVMFuzzerRunDriver(&raw mut count, &raw mut first, LLVMFuzzerTestOneInput) };
    if result == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs all targets and prints how often each ran.
fn run_each(seconds: u64) -> ExitCode {
    println!("{:<20} {:>13} {:>9} {:>8}", "target", "executions", "per s", "findings");
    let (mut all, mut found) = (0, false);
    for target in TARGETS {
        let program = std::env::current_exe().unwrap_or_default();
        let run = Command::new(program).args([target.name, &seconds.to_string()]).stderr(Stdio::piped()).output();
        let output = match run {
            Ok(output) => output,
            Err(error) => {
                eprintln!("failed to run {}: {error}", target.name);
                return ExitCode::FAILURE;
            }
        };
        let log = String::from_utf8_lossy(&output.stderr);
        let executions = statistic(&log, "stat::number_of_executed_units:").unwrap_or(0);
        let findings = std::fs::read_dir(kept("findings", *target)).map_or(0, Iterator::count);
        println!("{:<20} {executions:>13} {:>9} {findings:>8}", target.name, executions / seconds.max(1));
        all += executions;
        if !output.status.success() {
            found = true;
            println!("{}", log.lines().filter(|line| is_finding(line)).collect::<Vec<_>>().join("\n"));
        }
    }
    println!("{:<20} {all:>13}", "all");
    if found { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn statistic(log: &str, name: &str) -> Option<u64> {
    log.lines().rev().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Whether a line of libFuzzer's output describes what was found, or where it is kept.
fn is_finding(line: &str) -> bool {
    ["panicked at", "ERROR: libFuzzer", "Test unit written to"].iter().any(|part| line.contains(part))
}
