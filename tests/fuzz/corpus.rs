//! Runs every target over its corpus and over the same mutations of it each time.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use fuzz::{Mutator, TARGETS, Target, memory::Counting};

#[global_allocator]
static COUNTING: Counting = Counting;

/// Mutated inputs for each target. `make fuzz` runs millions.
const MUTATIONS: usize = 1_000;
/// The whole corpus stays below this.
const MAX_CORPUS_BYTES: u64 = 2_000_000;

thread_local! {
    /// Panics of this thread: the function catches those of a single record.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

/// The inputs in the folder of a target, sorted by name.
fn corpus(target: &Target) -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(target.corpus()).unwrap_or_else(|_| panic!("{} has no corpus", target.name));
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

/// Runs an input, and says what went wrong.
fn run(target: &Target, input: &[u8]) -> Result<(), String> {
    let before = PANICS.get();
    let result = panic::catch_unwind(AssertUnwindSafe(|| target.run(input)));
    match result {
        Ok(()) if PANICS.get() == before => Ok(()),
        Ok(()) => Err("the reader panicked and caught it".to_owned()),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().cloned();
            Err(text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default())
        }
    }
}

fn run_all(target: &Target) {
    let corpus = corpus(target);
    // What a target keeps for all runs isn't part of the first one.
    (target.read)(&[]);
    for (path, input) in &corpus {
        run(target, input).unwrap_or_else(|found| panic!("{}: {path}: {found}", target.name));
    }
    let inputs: Vec<Vec<u8>> = corpus.into_iter().map(|(_, input)| input).collect();
    let mut mutator = Mutator::new(22);
    for number in 0..MUTATIONS {
        let input = mutator.next(&inputs);
        run(target, &input)
            .unwrap_or_else(|found| panic!("{}: mutation {number}: {}: {found}", target.name, input.escape_ascii()));
    }
}

#[test]
fn every_target_reads_its_corpus_and_mutations_of_it() {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        PANICS.set(PANICS.get() + 1);
        hook(info);
    }));
    thread::scope(|scope| TARGETS.iter().for_each(|target| drop(scope.spawn(|| run_all(target)))));
}

#[test]
fn the_corpora_are_small_and_each_belongs_to_a_target() {
    let folder = TARGETS[0].corpus().parent().unwrap().to_owned();
    let mut bytes = 0;
    for target in std::fs::read_dir(folder).unwrap() {
        let target = target.unwrap();
        let name = target.file_name().into_string().unwrap();
        assert!(Target::named(&name).is_some(), "there is no target {name}");
        bytes +=
            std::fs::read_dir(target.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>();
    }
    assert!(bytes < MAX_CORPUS_BYTES, "the corpora have {bytes} bytes: minimize them");
}
