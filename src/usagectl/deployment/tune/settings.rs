//! The parameters of the template that can be tuned.

/// Values of the parameters. All are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// BatchSize.
    pub batch_size: f64,
    /// BatchWindowSeconds.
    pub window_seconds: f64,
    /// ParallelizationFactor.
    pub factor: f64,
    /// MemoryMegabytes; `None` on a laptop.
    pub memory_megabytes: Option<f64>,
    /// ReservedConcurrency; `None` if nothing is reserved.
    pub reserved: Option<f64>,
    /// TimeoutSeconds.
    pub timeout_seconds: f64,
    /// CommitConcurrency.
    pub commits: f64,
    /// FoldWindowSeconds; `None` if the pipeline counts nothing.
    pub fold_window_seconds: Option<f64>,
    /// Whether each batch folds its own pages: Freshness=now.
    pub folds_at_once: bool,
}

/// The template's defaults.
pub const DEFAULTS: Settings = Settings {
    batch_size: 1_000.0,
    window_seconds: 1.0,
    factor: 1.0,
    memory_megabytes: Some(256.0),
    reserved: None,
    timeout_seconds: 60.0,
    commits: 8.0,
    fold_window_seconds: Some(30.0),
    folds_at_once: false,
};

/// A parameter of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameter {
    /// The most records per batch.
    BatchSize,
    /// How long the mapping collects records for a batch.
    BatchWindowSeconds,
    /// The lanes per shard.
    ParallelizationFactor,
    /// The function's reserved concurrency.
    ReservedConcurrency,
    /// The function's memory.
    MemoryMegabytes,
    /// The writes at once per invocation.
    CommitConcurrency,
    /// The function's timeout.
    TimeoutSeconds,
    /// How long new pages are collected for a fold.
    FoldWindowSeconds,
}

impl Parameter {
    /// All parameters in the order in which they are shown.
    pub const ALL: [Parameter; 8] = [
        Parameter::BatchSize,
        Parameter::BatchWindowSeconds,
        Parameter::ParallelizationFactor,
        Parameter::ReservedConcurrency,
        Parameter::MemoryMegabytes,
        Parameter::CommitConcurrency,
        Parameter::TimeoutSeconds,
        Parameter::FoldWindowSeconds,
    ];

    /// Its name in the template.
    pub fn name(self) -> &'static str {
        match self {
            Parameter::BatchWindowSeconds => "BatchWindowSeconds",
            Parameter::BatchSize => "BatchSize",
            Parameter::ParallelizationFactor => "ParallelizationFactor",
            Parameter::ReservedConcurrency => "ReservedConcurrency",
            Parameter::MemoryMegabytes => "MemoryMegabytes",
            Parameter::CommitConcurrency => "CommitConcurrency",
            Parameter::TimeoutSeconds => "TimeoutSeconds",
            Parameter::FoldWindowSeconds => "FoldWindowSeconds",
        }
    }

    /// Its value in `settings`; `None` if the deployment doesn't have it.
    pub fn of(self, settings: &Settings) -> Option<f64> {
        match self {
            Parameter::BatchWindowSeconds => Some(settings.window_seconds),
            Parameter::BatchSize => Some(settings.batch_size),
            Parameter::ParallelizationFactor => Some(settings.factor),
            Parameter::ReservedConcurrency => settings.reserved,
            Parameter::MemoryMegabytes => settings.memory_megabytes,
            Parameter::CommitConcurrency => Some(settings.commits),
            Parameter::TimeoutSeconds => Some(settings.timeout_seconds),
            Parameter::FoldWindowSeconds => settings.fold_window_seconds,
        }
    }

    /// Sets its value in `settings`.
    pub fn set(self, settings: &mut Settings, value: f64) {
        match self {
            Parameter::BatchWindowSeconds => settings.window_seconds = value,
            Parameter::BatchSize => settings.batch_size = value,
            Parameter::ParallelizationFactor => settings.factor = value,
            Parameter::ReservedConcurrency => settings.reserved = Some(value),
            Parameter::MemoryMegabytes => settings.memory_megabytes = Some(value),
            Parameter::CommitConcurrency => settings.commits = value,
            Parameter::TimeoutSeconds => settings.timeout_seconds = value,
            Parameter::FoldWindowSeconds => settings.fold_window_seconds = Some(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_the_templates() {
        let template = include_str!("../../../../template.yaml");
        let default = |parameter: &str| {
            let (_, section) = template.split_once(&format!("\n  {parameter}:\n")).unwrap();
            let (_, value) = section.split_once("Default: ").unwrap();
            let value = value.lines().next().unwrap();
            (value != "none").then(|| value.parse::<f64>().unwrap())
        };
        for parameter in Parameter::ALL {
            assert_eq!(parameter.of(&DEFAULTS), default(parameter.name()), "{}", parameter.name());
        }
    }
}
