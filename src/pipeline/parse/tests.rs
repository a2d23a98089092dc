use super::super::{shipped, shipped_names};
use super::*;

#[test]
fn every_shipped_pipeline_is_valid() {
    let names = shipped_names();
    assert!(names.contains(&"orders") && names.contains(&"demand"), "{names:?}");
    for name in names {
        Pipeline::parse(&shipped(name).unwrap()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
}
