//! The AWS query protocol: a form whose names are paths, such as `MetricData.member.1.Value=2`, and a response in XML.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

const NAMESPACE: &str = "http://monitoring.amazonaws.com/doc/2010-08-01/";
/// The id of every response. No log has more about it.
const REQUEST_ID: &str = "00000000-0000-0000-0000-000000000000";

/// A deeper path isn't that of a parameter; the deepest has seven names: `MetricDataQueries.member.1.MetricStat.Metric.…`.
const MAXIMUM_DEPTH: usize = 16;

/// Reads a form: the operation that its `Action` names, and its parameters. Every value is a string.
pub(super) fn read(form: &str) -> (String, Value) {
    let mut operation = String::new();
    let mut root = Node::default();
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match decoded(name).as_str() {
            "Action" => operation = decoded(value),
            "Version" => {}
            path if path.split('.').count() > MAXIMUM_DEPTH => {}
            path => root.insert(path.split('.'), decoded(value)),
        }
    }
    (operation, root.into_value())
}

/// Writes the response to `operation`.
pub(super) fn answer(operation: &str, answer: &Value) -> String {
    let mut text = format!("<{operation}Response xmlns=\"{NAMESPACE}\">");
    if answer.as_object().is_some_and(|answer| !answer.is_empty()) {
        element(&mut text, &format!("{operation}Result"), answer);
    }
    // Writing to a String can't fail.
    let _ =
        write!(text, "<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{operation}Response>");
    text
}

/// Writes an error.
pub(super) fn error(code: &str, message: &str) -> String {
    let message = escaped(message);
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>{REQUEST_ID}</RequestId></ErrorResponse>"
    )
}

/// A part of a form's paths.
#[derive(Default)]
struct Node {
    value: Option<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn insert<'p>(&mut self, mut path: impl Iterator<Item = &'p str>, value: String) {
        match path.next() {
            None => self.value = Some(value),
            Some(name) => self.children.entry(name.to_owned()).or_default().insert(path, value),
        }
    }

    /// A string, a list if the path continues with `member.1`, or an object.
    fn into_value(mut self) -> Value {
        if let Some(value) = self.value {
            return Value::from(value);
        }
        if let Some(members) = self.children.remove("member") {
            let mut members: Vec<(usize, Node)> =
                members.children.into_iter().filter_map(|(number, node)| Some((number.parse().ok()?, node))).collect();
            members.sort_by_key(|(number, _)| *number);
            return members.into_iter().map(|(_, node)| node.into_value()).collect();
        }
        let fields = self.children.into_iter().map(|(name, node)| (name, node.into_value()));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

fn element(text: &mut String, name: &str, value: &Value) {
    // Writing to a String can't fail.
    let _ = write!(text, "<{name}>");
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| element(text, name, value)),
        Value::Array(items) if name == "Timestamps" => items.iter().for_each(|item| time(text, item)),
        Value::Array(items) => items.iter().for_each(|item| element(text, "member", item)),
        Value::String(value) => text.push_str(&escaped(value)),
        Value::Null => {}
        value => text.push_str(&value.to_string()),
    }
    let _ = write!(text, "</{name}>");
}

fn time(text: &mut String, seconds: &Value) {
    let instant = seconds.as_i64().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    element(text, "member", &instant.map_or(Value::Null, |instant| Value::from(instant.to_string())));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `a%20b+c` -> `a b c`
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let escape = others
            .first_chunk::<2>()
            .filter(|_| *first == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(escape.unwrap_or(if *first == b'+' { b' ' } else { *first }));
        rest = if escape.is_some() { others.get(2..).unwrap_or_default() } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_form_becomes_its_parameters() {
        let form = "Action=PutMetricData&Version=2010-08-01&Namespace=My+Usage%2FA&MetricData.member.1.MetricName=a%C3%A9\
                    &MetricData.member.1.Values.member.1=2&MetricData.member.10.Value=100%&MetricData.member.2.Value=1";
        let (operation, body) = read(form);
        assert_eq!(operation, "PutMetricData");
        let data = json!([{ "MetricName": "aé", "Values": ["2"] }, { "Value": "1" }, { "Value": "100%" }]);
        assert_eq!(body, json!({ "Namespace": "My Usage/A", "MetricData": data }));
    }

    #[test]
    fn regression_deep_paths_do_not_exhaust_the_stack() {
        let form = format!("Action=ListMetrics&{}=1&Namespace=A", "a.".repeat(1_000_000));
        assert_eq!(read(&form), ("ListMetrics".to_owned(), json!({ "Namespace": "A" })));
    }

    #[test]
    fn answers_are_xml() {
        let nothing = answer("PutMetricData", &json!({}));
        assert!(nothing.starts_with("<PutMetricDataResponse xmlns=") && !nothing.contains("Result>"), "{nothing}");
        let listed = answer("L", &json!({ "Metrics": [{ "Name": "<a&b>", "Timestamps": [60], "Values": [1.5, 2] }] }));
        let expected = "<LResult><Metrics><member><Name>&lt;a&amp;b&gt;</Name><Timestamps><member>1970-01-01T00:01:00Z\
                        </member></Timestamps><Values><member>1.5</member><member>2</member></Values></member></Metrics></LResult>";
        assert!(listed.contains(expected), "{listed}");
        assert!(error("A", "b < c").contains("<Code>A</Code><Message>b &lt; c</Message>"));
    }
}
