//! What OpenTelemetry's environment variables ask for. The exporters themselves read the headers, and the SDK reads the
//! service name and the resource attributes.

use std::time::Duration;

use super::Sampling;

/// The default of `TELEMETRY_BUDGET_MS`: how long an invocation waits for an export.
const DEFAULT_BUDGET: Duration = Duration::from_millis(100);
/// The longest budget. An export must not use up the time that is left for the response.
const MAX_BUDGET: Duration = Duration::from_secs(10);
/// The default of `DEADLINE_MARGIN_MS`. An invocation that stops writing at the margin has half of it for the export, and the
/// other half for the response.
const DEFAULT_MARGIN: Duration = Duration::from_millis(1_000);
/// The default of OTEL_BSP_MAX_QUEUE_SIZE (OpenTelemetry's specification).
const DEFAULT_QUEUE: usize = 2_048;
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const QUEUE_SIZE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

/// Where telemetry goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The URL for traces.
    pub traces: Option<String>,
    /// The URL for log records.
    pub logs: Option<String>,
    /// The URL for metrics.
    pub metrics: Option<String>,
    /// Which traces are exported.
    pub sampling: Sampling,
    /// How long an invocation waits for an export.
    pub budget: Duration,
    /// How many spans, and how many log records, may wait for the export.
    pub queue: usize,
    /// The name of the function, which is the name of its spans.
    pub function: String,
    /// What the environment says about the function, by the names of resource attributes.
    pub resource: Vec<(&'static str, String)>,
    /// Whether `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` names the service.
    pub is_service_named: bool,
}

impl Settings {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// If a variable has a value that isn't supported.
    #[expect(clippy::disallowed_methods, reason = "telemetry starts before the configuration is read")]
    pub fn from_env() -> Result<Option<Settings>, String> {
        Settings::read(|name| std::env::var(name).ok())
    }

    /// Reads the variables through `value`. Without an endpoint, there is no telemetry.
    ///
    /// # Errors
    /// If a variable has a value that isn't supported.
    pub fn read(value: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
        let get = |name: &str| value(name).filter(|value| !value.is_empty());
        if get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let has_metrics = get("METRICS_SINK").as_deref() == Some("otlp");
        let traces = endpoint(&get, "TRACES", "v1/traces")?;
        let logs = endpoint(&get, "LOGS", "v1/logs")?;
        let metrics = if has_metrics { endpoint(&get, "METRICS", "v1/metrics")? } else { None };
        if traces.is_none() && logs.is_none() && metrics.is_none() {
            return Ok(None);
        }
        let milliseconds = |name: &str| match get(name).map(|text| (text.parse(), text)) {
            None => Ok(None),
            Some((Ok(number @ 1..), _)) => Ok(Some(Duration::from_millis(number))),
            Some((_, text)) => Err(format!("{name}: `{text}` isn't a number of milliseconds above 0")),
        };
        let budget = milliseconds("TELEMETRY_BUDGET_MS")?.unwrap_or(DEFAULT_BUDGET).min(MAX_BUDGET);
        let timeout = milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT")?.unwrap_or(budget);
        // The configuration refuses a margin that isn't a number.
        let margin = get("DEADLINE_MARGIN_MS").and_then(|text| text.parse().ok()).map(Duration::from_millis);
        let reserved = margin.unwrap_or(DEFAULT_MARGIN) / 2;
        let queue = match get(QUEUE_SIZE).map(|text| (text.parse(), text)) {
            None => DEFAULT_QUEUE,
            Some((Ok(size @ 1..), _)) => size,
            Some((_, text)) => return Err(format!("{QUEUE_SIZE}: `{text}` isn't a number above 0")),
        };
        let names_service =
            |attributes: String| attributes.split(',').any(|pair| pair.trim().starts_with("service.name="));
        Ok(Some(Settings {
            traces,
            logs,
            metrics,
            sampling: Sampling::read(&get)?,
            budget: budget.min(timeout).min(reserved),
            queue,
            function: get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "usage-aggregator".to_owned()),
            resource: resource(&get),
            is_service_named: get("OTEL_SERVICE_NAME").is_some()
                || get("OTEL_RESOURCE_ATTRIBUTES").is_some_and(names_service),
        }))
    }
}

/// The URL of a signal, unless its exporter is `none`.
fn endpoint(get: &dyn Fn(&str) -> Option<String>, signal: &str, path: &str) -> Result<Option<String>, String> {
    let exporter = format!("OTEL_{signal}_EXPORTER");
    match get(&exporter).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => return Err(format!("{exporter}: unknown exporter `{other}`; expected otlp or none")),
    }
    let own = get(&format!("OTEL_EXPORTER_OTLP_{signal}_ENDPOINT"));
    let Some(url) = own.or_else(|| get(ENDPOINT).map(|base| format!("{}/{path}", base.trim_end_matches('/')))) else {
        return Ok(None);
    };
    for name in [format!("OTEL_EXPORTER_OTLP_{signal}_PROTOCOL"), "OTEL_EXPORTER_OTLP_PROTOCOL".to_owned()] {
        match get(&name).as_deref() {
            None => {}
            Some("http/protobuf") => break,
            Some(other) => return Err(format!("{name}: unsupported protocol `{other}`; set it to http/protobuf")),
        }
    }
    Ok(Some(url))
}

/// The resource attributes of a Lambda function (OpenTelemetry's conventions for FaaS and for the cloud).
fn resource(get: &dyn Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    let of_lambda = [
        ("faas.name", "AWS_LAMBDA_FUNCTION_NAME"),
        ("faas.version", "AWS_LAMBDA_FUNCTION_VERSION"),
        ("faas.instance", "AWS_LAMBDA_LOG_STREAM_NAME"),
        ("cloud.region", "AWS_REGION"),
    ];
    let mut found: Vec<_> = of_lambda.iter().filter_map(|(name, variable)| Some((*name, get(variable)?))).collect();
    if get("AWS_LAMBDA_FUNCTION_NAME").is_some() {
        found.push(("cloud.provider", "aws".to_owned()));
        found.push(("cloud.platform", "aws_lambda".to_owned()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let value =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(value)
    }

    #[test]
    fn without_an_endpoint_there_is_no_telemetry() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("OTEL_SERVICE_NAME", "usage"), ("OTEL_TRACES_EXPORTER", "otlp")]), Ok(None));
        assert_eq!(read(&[(ENDPOINT, "http://localhost:4318"), ("OTEL_SDK_DISABLED", "true")]), Ok(None));
        let none =
            [(ENDPOINT, "http://localhost:4318"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_LOGS_EXPORTER", "none")];
        assert_eq!(read(&none), Ok(None));
    }

    #[test]
    fn a_signal_has_its_own_endpoint_or_a_path_below_the_common_one() {
        let variables = [
            (ENDPOINT, "https://collector.example/otlp/"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "50"),
        ];
        let settings = read(&variables).unwrap().unwrap();
        assert_eq!(settings.traces.as_deref(), Some("https://collector.example/otlp/v1/traces"));
        assert_eq!(settings.logs.as_deref(), Some("https://logs.example/in"));
        assert_eq!((settings.metrics, settings.budget), (None, Duration::from_millis(50)));
        let metrics = read(&[(ENDPOINT, "http://localhost:4318"), ("METRICS_SINK", "otlp")]).unwrap().unwrap();
        assert_eq!(metrics.metrics.as_deref(), Some("http://localhost:4318/v1/metrics"));
        assert_eq!(metrics.budget, DEFAULT_BUDGET);
    }

    #[test]
    fn an_export_ends_within_half_of_the_margin_before_lambdas_deadline() {
        let budget = |variables: &[(&str, &str)]| {
            let variables = [variables, &[(ENDPOINT, "http://localhost:4318")]].concat();
            read(&variables).unwrap().unwrap().budget.as_millis()
        };
        assert_eq!(budget(&[("TELEMETRY_BUDGET_MS", "5000")]), 500);
        assert_eq!(budget(&[("TELEMETRY_BUDGET_MS", "5000"), ("DEADLINE_MARGIN_MS", "3000")]), 1_500);
        assert_eq!(budget(&[("TELEMETRY_BUDGET_MS", "400"), ("DEADLINE_MARGIN_MS", "3000")]), 400);
        assert_eq!(budget(&[("DEADLINE_MARGIN_MS", "100")]), 50);
    }

    #[test]
    fn a_value_that_is_not_supported_is_refused_by_name() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("TELEMETRY_BUDGET_MS", "0"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1s"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "many"),
        ] {
            let mistake = read(&[(ENDPOINT, "http://localhost:4318"), (name, value)]).unwrap_err();
            assert!(mistake.starts_with(name) && mistake.contains(&format!("`{value}`")), "{mistake}");
        }
    }
}
