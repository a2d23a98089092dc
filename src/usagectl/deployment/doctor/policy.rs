//! Evaluates IAM policy documents: wildcards, explicit denials, `NotAction`, `NotResource`. Conditions aren't evaluated, and
//! bucket policies, permission boundaries and organization policies aren't known here; reports mention that.

use serde_json::Value;

/// Whether policies allow an action on a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Without a condition.
    Yes,
    /// Under a condition, which isn't evaluated.
    Conditionally,
    /// Denied, or not mentioned.
    No,
}

/// Reads a document as IAM returns it: percent-encoded.
///
/// # Errors
/// If it isn't JSON.
pub fn document(text: &str) -> Result<Value, String> {
    serde_json::from_slice(&decoded(text)).map_err(|error| format!("a policy document isn't valid JSON: {error}"))
}

fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code =
            after.first_chunk().filter(|_| *first == b'%').and_then(|[high, low]| Some((digit(*high)?, digit(*low)?)));
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// The value of a hexadecimal digit.
fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Evaluates the documents of all policies of a role.
pub fn allowed(policies: &[Value], action: &str, resource: &str) -> Allowed {
    let statements = policies.iter().flat_map(|policy| members(policy.get("Statement")));
    let mut decision = Allowed::No;
    for statement in statements.filter(|statement| covers(statement, action, resource)) {
        let conditional = statement.get("Condition").is_some();
        match (statement.get("Effect").and_then(Value::as_str), conditional) {
            (Some("Deny"), false) => return Allowed::No,
            (Some("Deny"), true) if decision == Allowed::Yes => decision = Allowed::Conditionally,
            (Some("Allow"), false) => decision = Allowed::Yes,
            (Some("Allow"), true) if decision == Allowed::No => decision = Allowed::Conditionally,
            _ => {}
        }
    }
    decision
}

/// Whether a bucket policy denies all requests without TLS.
pub fn requires_tls(policy: &Value) -> bool {
    members(policy.get("Statement")).iter().any(|statement| {
        let secure = statement.pointer("/Condition/Bool/aws:SecureTransport");
        let insecure = secure.is_some_and(|value| value == "false" || *value == Value::Bool(false));
        let everybody =
            statement.get("Principal").is_some_and(|who| who == "*" || who.get("AWS") == Some(&Value::from("*")));
        let everything = texts(statement.get("Action")).iter().any(|action| matches!(*action, "s3:*" | "*"));
        insecure && everybody && everything && statement.get("Effect") == Some(&Value::from("Deny"))
    })
}

fn covers(statement: &Value, action: &str, resource: &str) -> bool {
    let any = |name: &str, value: &str| texts(statement.get(name)).iter().any(|pattern| matches(pattern, value));
    let lower = action.to_lowercase();
    let named = |name: &str| texts(statement.get(name)).iter().any(|pattern| matches(&pattern.to_lowercase(), &lower));
    let action = if statement.get("NotAction").is_some() { !named("NotAction") } else { named("Action") };
    let resource =
        if statement.get("NotResource").is_some() { !any("NotResource", resource) } else { any("Resource", resource) };
    action && resource
}

fn members(value: Option<&Value>) -> Vec<&Value> {
    match value {
        Some(Value::Array(values)) => values.iter().collect(),
        Some(value) => vec![value],
        None => Vec::new(),
    }
}

fn texts(value: Option<&Value>) -> Vec<&str> {
    members(value).into_iter().filter_map(Value::as_str).collect()
}

/// `*` matches any text and `?` any character.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The positions in the pattern that the text read so far can match up to.
    let mut at = vec![false; pattern.len() + 1];
    at.first_mut().into_iter().for_each(|start| *start = true);
    let skip_stars = |at: &mut Vec<bool>| {
        for (place, c) in pattern.iter().enumerate() {
            if *c == '*' && at.get(place) == Some(&true) {
                at.get_mut(place + 1).into_iter().for_each(|next| *next = true);
            }
        }
    };
    skip_stars(&mut at);
    for c in text {
        let mut next = vec![false; pattern.len() + 1];
        for (place, wanted) in pattern.iter().enumerate().filter(|(place, _)| at.get(*place) == Some(&true)) {
            let to = if *wanted == '*' { place } else { place + 1 };
            if *wanted == '*' || *wanted == '?' || *wanted == c {
                next.get_mut(to).into_iter().for_each(|there| *there = true);
            }
        }
        skip_stars(&mut next);
        at = next;
    }
    at.last() == Some(&true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_are_evaluated_as_iam_does() {
        let statement = |fields: Value| vec![json!({ "Version": "2012-10-17", "Statement": [fields] })];
        let put = |policies: &[Value]| allowed(policies, "s3:PutObject", "arn:aws:s3:::failed/aws/lambda/x");
        let allow = statement(
            json!({ "Effect": "Allow", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::failed/aws/lambda/*" }),
        );
        assert_eq!(put(&allow), Allowed::Yes);
        assert_eq!(put(&[]), Allowed::No);
        for (fields, expected) in [
            (json!({ "Effect": "Allow", "Action": ["S3:put*"], "Resource": ["*"] }), Allowed::Yes),
            (json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" }), Allowed::No),
            (json!({ "Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*" }), Allowed::No),
            (json!({ "Effect": "Allow", "NotAction": "iam:*", "Resource": "*" }), Allowed::Yes),
            (json!({ "Effect": "Allow", "Action": "*", "NotResource": "arn:aws:s3:::failed/*" }), Allowed::No),
            (
                json!({ "Effect": "Allow", "Action": "*", "Resource": "*", "Condition": { "Bool": {} } }),
                Allowed::Conditionally,
            ),
        ] {
            assert_eq!(put(&statement(fields.clone())), expected, "{fields}");
        }
        let deny = statement(json!({ "Effect": "Deny", "Action": "s3:PutObject", "Resource": "*" }));
        assert_eq!(put(&[allow.clone(), deny.clone()].concat()), Allowed::No);
        assert_eq!(put(&[deny, allow].concat()), Allowed::No);
    }

    #[test]
    fn stars_and_question_marks_match() {
        for (pattern, text, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "ac", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("a", "ab", false),
            ("*b*", "abc", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn only_a_denial_of_everything_requires_tls() {
        let policy = |effect: &str, action: &str| {
            json!({ "Statement": [{ "Effect": effect, "Principal": "*", "Action": action, "Resource": "*",
                "Condition": { "Bool": { "aws:SecureTransport": "false" } } }] })
        };
        assert!(requires_tls(&policy("Deny", "s3:*")));
        assert!(
            !requires_tls(&policy("Deny", "s3:GetObject"))
                && !requires_tls(&policy("Allow", "s3:*"))
                && !requires_tls(&json!({}))
        );
    }

    #[test]
    fn documents_may_be_percent_encoded() {
        let expected = json!({ "Resource": "a+b/*", "Sid": "100%" });
        for text in
            [r#"{"Resource":"a+b/*","Sid":"100%"}"#, "%7B%22Resource%22%3A%22a+b/%2A%22%2C%22Sid%22%3A%22100%25%22%7D"]
        {
            assert_eq!(document(text), Ok(expected.clone()));
        }
        assert!(document("%7").unwrap_err().starts_with("a policy document isn't valid JSON"));
    }

    #[test]
    fn regression_a_percent_sign_before_anything_but_two_digits_stays() {
        assert_eq!(document(r#"{"Sid":"%+1 %-1 %1 %g1"}"#), Ok(json!({ "Sid": "%+1 %-1 %1 %g1" })));
    }
}
