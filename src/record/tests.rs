//! Paths into items, and faults.

use super::*;

fn item(attributes: Vec<(&'static str, Value<'static>)>) -> Item<'static> {
    Item(attributes.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

#[test]
fn a_path_is_an_attributes_own_name_or_leads_through_maps() {
    let text = |text: &'static str| Value::S(text.into());
    let nested = item(vec![("b", Value::M(item(vec![("c", text("deep"))]))), ("x.y", text("dotted"))]);
    let whole = item(vec![("a", Value::M(nested)), ("a.b.c", text("own"))]);
    assert_eq!(whole.at_path("a.b.c"), Some(&text("own")));
    assert_eq!(whole.at_path("a.x.y"), Some(&text("dotted")));
    let Some(Value::M(nested)) = whole.attribute("a") else { panic!("no map") };
    assert_eq!(nested.at_path("b.c"), Some(&text("deep")));
    for missing in ["", "b", "a.b.d", "a.b.c.d", "a..c"] {
        assert_eq!(whole.at_path(missing), None, "{missing}");
    }
}

#[test]
fn a_fault_names_its_path_and_cuts_long_names() {
    let fault = || Fault::new(Code::InvalidValue, "", "is wrong");
    let path = |fault: Fault| fault.field;
    assert_eq!(path(fault().within("total").within("NewImage")), "NewImage.total");
    assert_eq!(path(fault().within("[3]").within("lines").within("NewImage")), "NewImage.lines[3]");
    assert_eq!(path(fault().within(&"é".repeat(200))), "é".repeat(80));
    assert_eq!(fault().within("total").to_string(), "invalid_value: total: is wrong");
}

#[test]
fn an_expired_item_is_a_removal_of_its_own_kind() {
    let removed = |by| ChangeOf::Remove { old: ImageOf::Carried(()), by }.event();
    assert_eq!((removed(Remover::Caller), removed(Remover::TimeToLive)), (Event::Remove, Event::Expire));
    assert_eq!(Event::ALL.map(Event::stream_name), ["INSERT", "MODIFY", "REMOVE", "REMOVE"]);
}
