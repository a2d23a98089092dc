//! Which traces are exported: what `OTEL_TRACES_SAMPLER` and its argument ask for.

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const RATIO: &str = "OTEL_TRACES_SAMPLER_ARG";
/// The default of `OTEL_TRACES_SAMPLER` (OpenTelemetry's specification).
const DEFAULT: &str = "parentbased_always_on";

/// Which traces are exported.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// The share of traces that are exported, from 0 to 1. The trace ID decides.
    pub ratio: f64,
    /// Whether a trace that X-Ray samples is always exported.
    pub follows_parent: bool,
}

impl Sampling {
    /// Reads the variables through `get`.
    pub(super) fn read(get: &dyn Fn(&str) -> Option<String>) -> Result<Sampling, String> {
        let name = get(SAMPLER).unwrap_or_else(|| DEFAULT.to_owned());
        let root = name.strip_prefix("parentbased_");
        let ratio = match root.unwrap_or(&name) {
            "always_on" => 1.0,
            "always_off" => 0.0,
            "traceidratio" => ratio(get)?,
            _ => {
                let known = "always_on, always_off, traceidratio, or one of these after parentbased_";
                return Err(format!("{SAMPLER}: unknown sampler `{name}`; expected {known}"));
            }
        };
        Ok(Sampling { ratio, follows_parent: root.is_some() })
    }
}

/// The argument of a sampler by ratio. Without one, every trace is exported (OpenTelemetry's specification).
fn ratio(get: &dyn Fn(&str) -> Option<String>) -> Result<f64, String> {
    let Some(text) = get(RATIO) else { return Ok(1.0) };
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("{RATIO}: `{text}` isn't a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sampler: Option<&str>, argument: Option<&str>) -> Result<Sampling, String> {
        Sampling::read(&|name| if name == SAMPLER { sampler } else { argument }.map(str::to_owned))
    }

    #[test]
    fn each_sampler_of_the_specification_is_read() {
        for (sampler, argument, ratio, follows_parent) in [
            (None, None, 1.0, true),
            (Some("always_on"), Some("0.5"), 1.0, false),
            (Some("always_off"), None, 0.0, false),
            (Some("traceidratio"), Some("0.25"), 0.25, false),
            (Some("traceidratio"), None, 1.0, false),
            (Some("parentbased_always_on"), None, 1.0, true),
            (Some("parentbased_always_off"), Some("1"), 0.0, true),
            (Some("parentbased_traceidratio"), Some("0"), 0.0, true),
            (Some("parentbased_traceidratio"), None, 1.0, true),
        ] {
            assert_eq!(read(sampler, argument), Ok(Sampling { ratio, follows_parent }), "{sampler:?} {argument:?}");
        }
    }

    #[test]
    fn a_sampler_that_is_not_supported_is_refused_by_name() {
        for sampler in ["xray", "jaeger_remote", "parentbased_jaeger_remote", "parentbased_", "ALWAYS_ON"] {
            let mistake = read(Some(sampler), None).unwrap_err();
            assert!(mistake.starts_with("OTEL_TRACES_SAMPLER: ") && mistake.contains(sampler), "{mistake}");
        }
        for ratio in ["1.01", "-0.1", "10%", "NaN", "inf"] {
            let mistake = read(Some("parentbased_traceidratio"), Some(ratio)).unwrap_err();
            assert!(mistake.starts_with("OTEL_TRACES_SAMPLER_ARG: ") && mistake.contains(ratio), "{mistake}");
        }
    }
}
