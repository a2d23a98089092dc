//! The doctor on the embedded services.

use serde_json::Value;

use crate::cli::Desk;

#[test]
fn the_embedded_services_have_what_they_have() {
    let desk = Desk::new();
    let nothing = desk.run(&["doctor", "--local"]);
    assert_eq!((nothing.code, &*nothing.stdout), (Some(1), ""), "{nothing:?}");
    assert!(nothing.stderr.contains("there is no data folder"), "{nothing:?}");

    let counted = desk.run(&["local", "--simulate", "orders", "--records", "40", "--rate", "0"]);
    assert_eq!(counted.code, Some(0), "{counted:?}");
    let run = desk.run(&["doctor", "--local"]);
    assert_eq!((run.code, &*run.stderr), (Some(0), ""), "{run:?}");
    insta::with_settings!({ filters => vec![(r"\b\d+ (s|min|h)( \d+ min)? old", "[age] old")] }, {
        insta::assert_snapshot!("local", run.stdout);
    });
    let walk = desk.run(&["doctor", "missing-snapshots", "--local", "--json"]);
    let last: Value = serde_json::from_str(walk.stdout.lines().last().unwrap()).unwrap();
    assert_eq!((walk.code, &last["runbook"]), (Some(0), &Value::from("missing-snapshots")), "{walk:?}");
}
