//! Checks that the patches of `make mutants` apply to the current sources.

use std::process::Command;

#[test]
fn every_mutant_applies_to_the_sources() {
    let root = crate::repository();
    let entries = std::fs::read_dir(root.join("tests/mutants")).unwrap().map(|entry| entry.unwrap().path());
    let patches: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "patch")).collect();
    assert_eq!(patches.len(), 83);
    for patch in patches {
        let checked = Command::new("git").args(["apply", "--check"]).arg(&patch).current_dir(root).output().unwrap();
        assert!(checked.status.success(), "update {}: {}", patch.display(), String::from_utf8_lossy(&checked.stderr));
    }
}
