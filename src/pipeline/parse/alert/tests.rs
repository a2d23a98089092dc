//! What alerts say, and what contradicts them.

use crate::decimal::Decimal;
use crate::pipeline::{Alert, Folder, Limit, Mistakes, Pipeline};
use crate::window::Window;

const PIPELINE: &str = r##"
[snapshot]
windows = ["hour", "month"]
partition_key = { name = "pk", value = "USAGE#{entity}" }
sort_key = { name = "sk", value = "{resource}#{window_key}" }

[[record]]
type = "request"
match = { tenant = "{tenant}", endpoint = "{endpoint}", region = "{region}" }
entity = "{tenant}"
resource = "{endpoint}#{tenant}"

[[record.measure]]
name = "requests"
kind = "count"

[[record.measure]]
name = "duration"
kind = "quantile"
attribute = "duration"

[[record.measure]]
name = "fastest"
kind = "min"
attribute = "duration"

[[record.measure]]
name = "{size}_bytes"
kind = "sum"
attributes = "{size}_size"
"##;

fn parsed(alerts: &[&str]) -> Result<Vec<Alert>, Mistakes> {
    let alerts = alerts.iter().map(|alert| format!("\n[[record.alert]]\n{alert}\n"));
    let text = PIPELINE.to_owned() + &alerts.collect::<String>();
    let files = [("pipeline.toml".to_owned(), text)].into();
    Ok(Pipeline::parse(&Folder { name: "api".to_owned(), files })?.snapshot.unwrap().alerts)
}

fn decimal(text: &str) -> Decimal {
    Decimal::parse(text).unwrap()
}

#[test]
fn an_alert_has_a_rule_for_each_fraction_of_its_limit() {
    let alerts = parsed(&[
        "measure = \"requests\"\nwindow = \"month\"\nlimit = 1000\nat = [0.8, 1]\nrearm = 0.75",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = 12.5",
    ])
    .unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let said: Vec<_> =
        alerts.iter().map(|alert| (alert.window, alert.rule.at, alert.rearm, alert.rule.limit.clone())).collect();
    let expected = [
        (Window::Month, "0.8", "0.75", "1000"),
        (Window::Month, "1", "0.75", "1000"),
        // Below the crossed value, unless `rearm` is set.
        (Window::Hour, "1", "1", "12.5"),
    ];
    let expected =
        expected.map(|(window, at, rearm, limit)| (window, decimal(at), decimal(rearm), Limit::Number(decimal(limit))));
    assert_eq!(said, expected);
    assert!(alerts.iter().all(|alert| alert.rule.measure == "requests"));
}

#[test]
fn an_alert_is_for_the_groups_of_its_counter() {
    let [alert] = &parsed(&["measure = \"requests\"\nwindow = \"month\"\nlimit = 1"]).unwrap()[..] else { panic!() };
    let is_for = |texts: &[&str]| alert.is_for(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    assert!(is_for(&["7", "/orders#7"]));
    for other in [&["7", "requests"][..], &["7", "/orders#8"], &["7"], &["7", "/orders#7", "x"]] {
        assert!(!is_for(other), "{other:?}");
    }
}

#[test]
fn a_limit_can_be_in_an_item_of_each_group() {
    let limit = "{ table = \"quotas\", key = { pk = \"TENANT#{tenant}\", sk = \"LIMITS\" }, attribute = \"requests\" }";
    let alerts = parsed(&[&format!("measure = \"requests\"\nwindow = \"month\"\nlimit = {limit}")]);
    let [alert] = &alerts.unwrap_or_else(|mistakes| panic!("{mistakes}"))[..] else { panic!("one alert") };
    let key = alert.limit_key(&["7".to_owned(), "/orders#7".to_owned()]).unwrap();
    let expected = [("pk", "TENANT#7"), ("sk", "LIMITS")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(key, expected);
    assert_eq!(alert.limit_key(&["7".to_owned(), "requests".to_owned()]), None);
    let text = "quotas: requests of pk = TENANT#{tenant}, sk = LIMITS";
    assert_eq!(alert.rule.limit, Limit::Item(text.to_owned()));
    // The item is written by others, who don't encode anything.
    let limit = "{ table = \"quotas\", key = { pk = \"QUOTA/{endpoint}/{tenant}\" }, attribute = \"requests\" }";
    let alerts = parsed(&[&format!("measure = \"requests\"\nwindow = \"month\"\nlimit = {limit}")]);
    let key = alerts.unwrap_or_else(|mistakes| panic!("{mistakes}"))[0]
        .limit_key(&["eu-7".to_owned(), "/v1/orders#eu-7".to_owned()]);
    assert_eq!(key, Some(vec![("pk".to_owned(), "QUOTA//v1/orders/eu-7".to_owned())]));
}

#[test]
fn mistakes_of_alerts_name_the_record_and_the_field() {
    let mistakes = parsed(&[
        "measure = \"request\"\nwindow = \"month\"\nlimit = 10",
        "measure = \"duration\"\nwindow = \"month\"\nlimit = 10",
        "measure = \"fastest\"\nwindow = \"month\"\nlimit = 10",
        "measure = \"{size}_bytes\"\nwindow = \"month\"\nlimit = 10",
        "measure = \"requests\"\nwindow = \"week\"\nlimit = 10",
        "measure = \"requests\"\nwindow = \"moth\"\nlimit = 0",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = \"10\"\nat = 0.8",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = 10\nat = [0.8, 0.8]",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = 10\nat = [0.8, -1]\nrearm = 0.7",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = 20\nat = [0.8]\nrearm = 0.9",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = 20\nat = [0.8]\nrearms = 0.7",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = { table = \"quotas\", key = { pk = \"{region}\", sk = 1 }, atribute = \"x\" }",
        "measure = \"requests\"\nwindow = \"hour\"\nlimit = { key = {}, attribute = \"x\" }",
        "",
    ]);
    insta::assert_snapshot!(mistakes.unwrap_err());
}

#[test]
fn a_percentage_where_a_fraction_belongs_is_a_mistake() {
    let mistakes =
        parsed(&["measure = \"requests\"\nwindow = \"hour\"\nlimit = 10\nat = [0.8, 80]"]).unwrap_err().to_string();
    assert!(mistakes.contains("80 is 80 times the limit; for 80%, write 0.8"), "{mistakes}");
    assert!(parsed(&["measure = \"requests\"\nwindow = \"hour\"\nlimit = 10\nat = [0.8, 10]"]).is_ok());
}

#[test]
fn an_alert_needs_a_measure_of_its_counter() {
    let text = PIPELINE
        .split("[[record.measure]]")
        .next()
        .unwrap()
        .replace("entity = \"{tenant}\"\nresource = \"{endpoint}#{tenant}\"\n", "");
    let alert = "[[record.alert]]\nmeasure = \"requests\"\nwindow = \"month\"\nlimit = 10\n";
    let files = [("pipeline.toml".to_owned(), format!("{text}{alert}"))].into();
    let mistakes = Pipeline::parse(&Folder { name: "api".to_owned(), files }).unwrap_err().to_string();
    assert!(mistakes.contains("record 1 alert 1: needs a measure"), "{mistakes}");
}

/// The alerts of a pipeline whose record type has these counters, each with its entity, its resource, and a measure. The first
/// has an alert on `requests`.
fn of_counters(counters: &[[&str; 3]]) -> Result<Vec<Alert>, Mistakes> {
    let head = PIPELINE.split("entity = ").next().unwrap();
    let counter = |(number, [entity, resource, measure]): (usize, &[&str; 3])| {
        let alert = "alert = [{ measure = \"requests\", window = \"month\", limit = 1 }]\n";
        format!(
            "\n[[record.counter]]\nentity = \"{entity}\"\nresource = \"{resource}\"\nmeasure = [{{ name = \"{measure}\", kind = \
             \"count\" }}]\n{}",
            if number == 0 { alert } else { "" }
        )
    };
    let text = head.to_owned() + &counters.iter().enumerate().map(counter).collect::<String>();
    let files = [("pipeline.toml".to_owned(), text)].into();
    Ok(Pipeline::parse(&Folder { name: "api".to_owned(), files })?.snapshot.unwrap().alerts)
}

#[test]
fn a_group_belongs_to_the_counter_with_more_literal_text() {
    let alerts = of_counters(&[
        ["{tenant}", "{endpoint}", "requests"],
        ["region:{region}", "{endpoint}", "requests"],
        ["{tenant}", "total", "requests"],
        ["{tenant}", "bytes", "bytes"],
        ["region:{region}", "bytes", "bytes"],
    ]);
    let [alert] = &alerts.unwrap_or_else(|mistakes| panic!("{mistakes}"))[..] else { panic!("one alert") };
    let is_for = |entity: &str, resource: &str| alert.is_for(&[entity.to_owned(), resource.to_owned()]);
    assert!(is_for("7", "/orders"));
    for (entity, resource) in [("region:eu", "/orders"), ("7", "total"), ("region:eu", "total")] {
        assert!(!is_for(entity, resource), "{entity} {resource}");
    }
    // The others don't have the measure, so a group that has it is the first one's.
    assert!(is_for("7", "bytes"));
    let of_region =
        of_counters(&[["region:{region}", "total", "requests"], ["{tenant}", "total", "requests"]]).unwrap();
    let is_for = |entity: &str| of_region[0].is_for(&[entity.to_owned(), "total".to_owned()]);
    assert_eq!(["region:eu", "7"].map(is_for), [true, false]);
}

#[test]
fn counters_that_count_into_the_same_groups_share_an_alert() {
    let alerts = of_counters(&[["{tenant}", "total", "requests"], ["{tenant}", "total", "requests"]]).unwrap();
    assert!(alerts[0].is_for(&["7".to_owned(), "total".to_owned()]));
}

#[test]
fn an_alert_that_could_be_for_groups_of_another_counter_is_refused() {
    let refused = [
        [["{tenant}", "total", "requests"], ["{region}", "total", "requests"]],
        [["tenant:{tenant}", "{endpoint}", "requests"], ["{tenant}", "in {region}", "requests"]],
    ];
    let mistakes = refused.map(|counters| of_counters(&counters).unwrap_err().to_string());
    insta::assert_snapshot!(mistakes.join("\n"));
    for allowed in [
        [["tenant:{tenant}", "total", "requests"], ["region:{region}", "total", "requests"]],
        [["{tenant}", "total", "requests"], ["{region}", "total", "bytes"]],
    ] {
        assert_eq!(of_counters(&allowed).unwrap_or_else(|mistakes| panic!("{mistakes}")).len(), 1);
    }
}
