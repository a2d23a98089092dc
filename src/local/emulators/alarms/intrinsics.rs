//! CloudFormation's functions, conditions and references, as far as alarms need them.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value};

/// What the stack of a template is called, and what it is deployed with. Everything else has the template's defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stack {
    /// Parameters that differ from their defaults.
    pub parameters: BTreeMap<String, String>,
    /// The name of each resource that alarms watch: what `Ref` returns. An attribute is listed as `Resource.Attribute`.
    pub resources: BTreeMap<String, String>,
    /// Whether a pipeline that isn't listed in the template counts.
    pub counts: bool,
}

/// A template, as one stack sees it.
pub(super) struct Scope<'t> {
    pub template: &'t Value,
    pub stack: &'t Stack,
}

impl Scope<'_> {
    /// A value without functions. Removed values are null.
    pub(super) fn resolve(&self, value: &Value) -> anyhow::Result<Value> {
        match value {
            Value::Array(items) => items.iter().map(|item| self.resolve(item)).collect(),
            Value::Object(fields) => match function(fields) {
                Some((name, argument)) => self.call(name, argument),
                None => fields.iter().map(|(name, value)| Ok((name.clone(), self.resolve(value)?))).collect(),
            },
            value => Ok(value.clone()),
        }
    }

    /// Whether a condition holds.
    pub(super) fn holds(&self, condition: &str) -> anyhow::Result<bool> {
        let found = self.template.get("Conditions").and_then(|conditions| conditions.get(condition));
        let found = found.with_context(|| format!("there is no condition {condition}"))?;
        self.truth(found).with_context(|| format!("condition {condition}"))
    }

    fn truth(&self, value: &Value) -> anyhow::Result<bool> {
        match self.resolve(value)? {
            Value::Bool(truth) => Ok(truth),
            other => bail!("{other} is not a condition"),
        }
    }

    fn call(&self, name: &str, argument: &Value) -> anyhow::Result<Value> {
        let arguments = || argument.as_array().with_context(|| format!("{name} needs a list"));
        Ok(match name {
            "Ref" => self.reference(text_of(argument)?.as_str())?,
            "Condition" => Value::Bool(self.holds(&text_of(argument)?)?),
            "Fn::GetAtt" => {
                let path: Vec<String> = arguments()?.iter().map(text_of).collect::<Result<_, _>>()?;
                Value::from(self.resource(&path.join("."))?)
            }
            "Fn::If" => match arguments()?.as_slice() {
                [condition, yes, no] => self.resolve(if self.holds(&text_of(condition)?)? { yes } else { no })?,
                _ => bail!("Fn::If needs a condition and two values"),
            },
            "Fn::Not" => Value::Bool(
                !arguments()?.iter().try_fold(false, |or, value| Ok::<_, anyhow::Error>(or | self.truth(value)?))?,
            ),
            "Fn::And" => Value::Bool(
                arguments()?.iter().try_fold(true, |and, value| Ok::<_, anyhow::Error>(and & self.truth(value)?))?,
            ),
            "Fn::Or" => Value::Bool(
                arguments()?.iter().try_fold(false, |or, value| Ok::<_, anyhow::Error>(or | self.truth(value)?))?,
            ),
            "Fn::Equals" => match arguments()?.as_slice() {
                [a, b] => Value::Bool(text_of(&self.resolve(a)?)? == text_of(&self.resolve(b)?)?),
                _ => bail!("Fn::Equals needs two values"),
            },
            "Fn::Sub" => Value::from(self.substitute(argument)?),
            "Fn::Join" => {
                let (separator, items) = self.pair(argument)?;
                let items: Vec<String> = list(&items)?.iter().map(text_of).collect::<Result<_, _>>()?;
                Value::from(items.join(&text_of(&separator)?))
            }
            "Fn::Split" => {
                let (separator, text) = self.pair(argument)?;
                text_of(&text)?.split(text_of(&separator)?.as_str()).collect()
            }
            "Fn::Select" => {
                let (index, items) = self.pair(argument)?;
                let index: usize = text_of(&index)?.parse()?;
                list(&items)?.get(index).cloned().with_context(|| format!("{items} has no element {index}"))?
            }
            "Fn::FindInMap" => self.find_in_map(&self.resolve(argument)?)?,
            other => bail!("{other} isn't supported"),
        })
    }

    fn pair(&self, argument: &Value) -> anyhow::Result<(Value, Value)> {
        match self.resolve(argument)? {
            Value::Array(items) => match <[Value; 2]>::try_from(items) {
                Ok([first, second]) => Ok((first, second)),
                Err(items) => bail!("expected two values, found {}", items.len()),
            },
            other => bail!("expected two values, found {other}"),
        }
    }

    fn reference(&self, name: &str) -> anyhow::Result<Value> {
        if name == "AWS::NoValue" {
            return Ok(Value::Null);
        }
        let default = match name {
            "AWS::Region" => Some(Value::from(crate::emulators::REGION)),
            "AWS::StackName" => Some(Value::from("local")),
            name => self.template.get("Parameters").and_then(|all| all.get(name)?.get("Default")).cloned(),
        };
        let set = self.stack.parameters.get(name).map(|text| Value::from(text.as_str()));
        match set.or(default) {
            Some(value) => Ok(value),
            None => self.resource(name).map(Value::from),
        }
    }

    /// The name of a resource. An alarm's is its own property.
    fn resource(&self, path: &str) -> anyhow::Result<String> {
        if let Some(name) = self.stack.resources.get(path) {
            return Ok(name.clone());
        }
        let resource = self.template.get("Resources").and_then(|all| all.get(path));
        match resource.and_then(|resource| resource.get("Properties")?.get("AlarmName")) {
            Some(name) => text_of(&self.resolve(name)?),
            None => bail!("{path} has no name"),
        }
    }

    fn find_in_map(&self, path: &Value) -> anyhow::Result<Value> {
        let path: Vec<String> = list(path)?.iter().map(text_of).collect::<Result<_, _>>()?;
        if let [map, key, field] = path.as_slice() {
            let mappings = self.template.get("Mappings").and_then(|all| all.get(map));
            match mappings.and_then(|map| map.get(key)?.get(field)) {
                Some(value) => return Ok(value.clone()),
                None if map == "Pipelines" && field == "Counts" => {
                    return Ok(Value::from(self.stack.counts.to_string()));
                }
                None => {}
            }
        }
        bail!("the template has no mapping {}", path.join("."))
    }

    /// Replaces `${Name}` in a text, or in the first of a text and its own names.
    fn substitute(&self, argument: &Value) -> anyhow::Result<String> {
        let (text, own) = match argument {
            Value::Array(items) => match items.as_slice() {
                [text, Value::Object(own)] => (text_of(text)?, Some(own)),
                _ => bail!("Fn::Sub needs a text and its names"),
            },
            text => (text_of(text)?, None),
        };
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').with_context(|| format!("`{text}` has no closing brace"))?;
            let value = match own.and_then(|own| own.get(name)) {
                Some(value) => self.resolve(value)?,
                None if name.contains('.') => Value::from(self.resource(name)?),
                None => self.reference(name)?,
            };
            result.push_str(&text_of(&value)?);
            result.push_str(rest);
        }
        Ok(result)
    }
}

fn function(fields: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = fields.iter().next().filter(|_| fields.len() == 1)?;
    (name.starts_with("Fn::") || name == "Ref" || name == "Condition").then_some((name, argument))
}

fn list(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.as_array().with_context(|| format!("expected a list, found {value}"))
}

/// A scalar as text.
pub(super) fn text_of(value: &Value) -> anyhow::Result<String> {
    ensure!(!value.is_array() && !value.is_object() && !value.is_null(), "expected a text, found {value}");
    Ok(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulators::alarms::yaml;

    const TEMPLATE: &str = "
Parameters:
  Pipeline: { Type: String, Default: orders }
  Arn: { Type: String, Default: 'arn:aws:kinesis:r:1:stream/race' }
  Seconds: { Type: Number, Default: 60 }
Mappings: { Pipelines: { orders: { Counts: 'true' } } }
Conditions:
  Counts: !Equals [!FindInMap [Pipelines, !Ref Pipeline, Counts], 'true']
  IsOther: !Not [!Equals [!Ref Pipeline, orders]]
  Both: !And [!Condition Counts, !Condition IsOther]
  Either: !Or [!Condition Counts, !Condition IsOther]
Resources:
  Errors: { Properties: { AlarmName: !Sub '${AWS::StackName}-Errors' } }
";

    #[test]
    fn functions_are_resolved_with_the_stacks_names() {
        let template = yaml::read(TEMPLATE).unwrap();
        let mut stack = Stack::default();
        stack.resources.insert("Queue.QueueName".to_owned(), "q".to_owned());
        let text = |stack: &Stack, text: &str| {
            let scope = Scope { template: &template, stack };
            scope
                .resolve(&yaml::read(text).unwrap())
                .map(|value| value.to_string())
                .unwrap_or_else(|e| format!("{e:#}"))
        };
        for (function, expected) in [
            ("!Select [1, !Split [/, !Ref Arn]]", r#""race""#),
            ("!Sub '100 * x / (1000 * ${Seconds})'", r#""100 * x / (1000 * 60)""#),
            ("!Sub 'ALARM(\"${Errors}\")'", r#""ALARM(\"local-Errors\")""#),
            ("!Join [' OR ', [!GetAtt Queue.QueueName, !If [Counts, a, b]]]", r#""q OR a""#),
            ("!If [Both, a, !If [Either, b, c]]", r#""b""#),
            ("!Sub ['${x}-${Pipeline}', { x: !Ref Seconds }]", r#""60-orders""#),
            ("!Ref Unknown", "Unknown has no name"),
            ("!Base64 x", "Fn::Base64 isn't supported"),
            ("!If [Never, a, b]", "there is no condition Never"),
        ] {
            assert_eq!(text(&stack, function), expected, "{function}");
        }
        stack.parameters.insert("Pipeline".to_owned(), "mine".to_owned());
        assert_eq!(text(&stack, "!If [Counts, a, b]"), r#""b""#);
        stack.counts = true;
        assert_eq!(text(&stack, "!If [Both, a, b]"), r#""a""#);
    }
}
