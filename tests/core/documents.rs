//! Checks what the documents name against the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All files below a folder whose names end in one of these.
fn files(folder: &Path, ends: &[&str], found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "node_modules" {
            files(&path, ends, found);
        } else if ends.iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
}

fn texts(folders: &[&str], ends: &[&str]) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    folders.iter().for_each(|folder| files(&root.join(folder), ends, &mut found));
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The words after `before`, as far as they are names of functions.
fn names(text: &str, before: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let word = |rest: &str| rest.split(|c| !is_part(c)).next().unwrap_or_default().to_owned();
    text.split(before).skip(1).map(word).collect()
}

/// A claim that names a test is worth as much as the test.
#[test]
fn every_test_that_a_document_names_exists() {
    let mut functions = BTreeSet::new();
    for (_, code) in texts(&["src", "tests"], &[".rs", ".py"]) {
        functions.extend(names(&code, "fn "));
        functions.extend(names(&code, "def "));
    }
    let mut named = 0;
    for (path, text) in texts(&["docs"], &[".md"]) {
        // The changelog may name what is gone.
        if path.ends_with("CHANGELOG.md") {
            continue;
        }
        let words = text.split('`').skip(1).step_by(2);
        let is_test = |word: &&str| word.matches('_').count() >= 4 && names(&format!("`{word}"), "`").contains(*word);
        for test in words.filter(is_test) {
            named += 1;
            assert!(functions.contains(test), "{} names the test {test}, which doesn't exist", path.display());
        }
    }
    assert!(named > 200, "only {named} names of tests were found");
}
