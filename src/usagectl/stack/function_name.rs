//! The name of a Lambda function, with or without the alias that a mapping invokes. Pure.

/// A function as the options, the stack's outputs, and mappings name it: `f`, `f:live`,
/// `arn:aws:lambda:us-east-1:123456789012:function:f`, or `arn:aws:lambda:us-east-1:123456789012:function:f:live`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionName<'t> {
    /// The name or ARN without its qualifier, for requests about the function as a whole.
    pub unqualified: &'t str,
    /// The name alone, as in the metrics' dimension FunctionName, which covers all versions.
    pub name: &'t str,
    /// The alias or version.
    pub qualifier: Option<&'t str>,
}

impl<'t> FunctionName<'t> {
    /// Takes a function's name or ARN apart.
    pub fn parse(text: &'t str) -> FunctionName<'t> {
        let name_at =
            if text.starts_with("arn:") { text.match_indices(':').nth(5).map_or(0, |(at, _)| at + 1) } else { 0 };
        let (name, qualifier) = match text.get(name_at..).unwrap_or(text).split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (text.get(name_at..).unwrap_or(text), None),
        };
        let unqualified = qualifier.and_then(|qualifier| text.strip_suffix(qualifier)?.strip_suffix(':'));
        FunctionName { unqualified: unqualified.unwrap_or(text), name, qualifier }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_an_arn_may_have_an_alias() {
        let parsed = |text| {
            let FunctionName { unqualified, name, qualifier } = FunctionName::parse(text);
            (unqualified, name, qualifier)
        };
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        assert_eq!(parsed("f"), ("f", "f", None));
        assert_eq!(parsed("f:live"), ("f", "f", Some("live")));
        assert_eq!(parsed(arn), (arn, "f", None));
        let (alias, latest) = (format!("{arn}:live"), format!("{arn}:$LATEST"));
        assert_eq!(parsed(&alias), (arn, "f", Some("live")));
        assert_eq!(parsed(&latest), (arn, "f", Some("$LATEST")));
        assert_eq!(parsed(""), ("", "", None));
    }
}
