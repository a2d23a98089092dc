//! Assumptions of `--assume`: a load that is predicted from them, with the model of `tune`, or that replaces parts of a
//! measured one.

use super::fixed::Fixed;
use super::indicators::IndicatorLoad;
use super::model::{Architecture, Load, entities_of, groups_of};
use crate::deployment::arrivals::Arrivals;
use crate::deployment::assume::{Assumptions, MONTH_SECONDS};
use crate::deployment::tune::model as tune;
use crate::deployment::tune::settings::{DEFAULTS, Settings};
use crate::shell::console::UsageError;

/// A load that was predicted.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::deployment) struct Predicted {
    pub load: Load,
    /// The most records that a batch may have, if fewer arrive within its window.
    pub fewer_arrive: Option<f64>,
}

/// Predicts the batches of a load, their counters and duration.
pub(in crate::deployment) fn predict(given: &Assumptions) -> Result<Predicted, UsageError> {
    let template = Load::assumed(given.number("windows")?.unwrap_or(3.0));
    let rate = given.rate("records")?.unwrap_or(template.rate);
    let tuned = tune::Load::assumed(template.windows);
    let tuned = tune::Load {
        rate,
        entities: given.number("entities")?.unwrap_or(tuned.entities).max(1.0),
        files: given.number("files")?.unwrap_or(tuned.files),
        shards: given.number("shards")?.unwrap_or(tuned.shards).ceil(),
        ..tuned
    };
    let settings = Settings {
        batch_size: given.number("batch")?.unwrap_or(DEFAULTS.batch_size).max(1.0),
        window_seconds: given.seconds("window")?.unwrap_or(DEFAULTS.window_seconds),
        memory_megabytes: given.number("memory")?.or(DEFAULTS.memory_megabytes),
        reserved: None,
        ..DEFAULTS
    };
    let duration = given.seconds("duration")?;
    let seconds = |batch: f64| duration.unwrap_or_else(|| tuned.seconds(batch, &settings, &settings));
    let (batch, groups) = match given.number("groups")? {
        // The batches are described completely.
        Some(groups) => (settings.batch_size, groups.min(settings.batch_size)),
        None => {
            let batching = tuned.arrivals(&settings).batching(seconds);
            (batching.batch, tuned.groups(batching.batch))
        }
    };
    let largest = tuned.largest_batch(&settings);
    let load = Load { rate, batch, groups, files: tuned.files, seconds: seconds(batch), ..template };
    Ok(Predicted { load, fewer_arrive: (batch < largest && given.text("groups").is_none()).then_some(largest) })
}

/// A measured load with batches of another size, as far as enough records arrive for them under these settings and on so
/// many shards.
pub(in crate::deployment) fn with_batches(
    given: &Assumptions,
    load: Load,
    (settings, shards): &(Settings, f64),
) -> Result<Load, UsageError> {
    let largest = given.number("batch")?.unwrap_or(load.batch).max(1.0);
    let arrivals = Arrivals {
        rate: given.rate("records")?.unwrap_or(load.rate),
        lanes: given.number("shards")?.unwrap_or(*shards) * settings.factor,
        largest,
        window_seconds: given.seconds("window")?.unwrap_or(settings.window_seconds),
        poll_seconds: tune::Load::assumed(load.windows).poll_seconds,
    };
    let seconds = given.seconds("duration")?.unwrap_or(load.seconds);
    // More may arrive at once than the average: as many as were measured do.
    let batch = arrivals.batching(|_| seconds).batch.max(load.batch).min(largest);
    let groups = groups_of(batch, entities_of(load.batch, load.groups));
    Ok(Load { batch, groups, ..load })
}

/// Replaces the other parts of a load by assumptions.
pub(in crate::deployment) fn replace(
    given: &Assumptions,
    load: Load,
    fixed: Fixed,
) -> Result<(Load, Fixed), UsageError> {
    let groups = match (given.number("groups")?, given.number("entities")?) {
        (Some(groups), _) => groups,
        (None, Some(entities)) => groups_of(load.batch, entities),
        (None, None) => load.groups,
    };
    let architecture = match given.text("arch") {
        None => load.architecture,
        Some("arm64") => Architecture::Arm64,
        Some("x86_64") => Architecture::X86,
        Some(other) => return Err(UsageError(format!("--assume: arch={other} is neither arm64 nor x86_64"))),
    };
    let (puts_metrics, own_metrics) = match given.text("metrics") {
        None => (load.puts_metrics, fixed.own_metrics),
        Some("emf") => (false, true),
        Some("cloudwatch") => (true, true),
        Some("none") => (false, false),
        Some(other) => {
            return Err(UsageError(format!("--assume: metrics={other} is not one of emf, cloudwatch, none")));
        }
    };
    let batch = match given.text("groups") {
        Some(_) => given.number("batch")?.unwrap_or(load.batch).max(1.0),
        None => load.batch,
    };
    let load = Load {
        rate: given.rate("records")?.unwrap_or(load.rate),
        batch,
        groups: groups.min(batch),
        windows: given.number("windows")?.unwrap_or(load.windows),
        fold_seconds: given.seconds("fold")?.unwrap_or(load.fold_seconds),
        files: given.number("files")?.unwrap_or(load.files),
        seconds: given.seconds("duration")?.unwrap_or(load.seconds),
        memory_gb: given.number("memory")?.map_or(load.memory_gb, |megabytes| megabytes / 1_024.0),
        architecture,
        log_bytes: given.bytes("log")?.unwrap_or(load.log_bytes),
        row_bytes: given.bytes("row")?.unwrap_or(load.row_bytes),
        deltas: given.number("deltas")?.unwrap_or(load.deltas),
        puts_metrics,
        indicators: IndicatorLoad {
            targets: given.number("targets")?.unwrap_or(load.indicators.targets),
            items: given.number("items")?.unwrap_or(load.indicators.items),
            item_bytes: given.bytes("item")?.unwrap_or(load.indicators.item_bytes),
        },
    };
    if load.rate * MONTH_SECONDS > 1e15 {
        return Err(UsageError("--assume: the rate of records is impossibly high".to_owned()));
    }
    let indicator_metrics = load.indicators.targets > 0.0;
    Ok((load, Fixed { own_metrics, indicator_metrics, ..fixed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Assumptions {
        Assumptions::parse("--assume", text, &super::super::NAMES).unwrap()
    }

    #[test]
    fn an_assumed_batch_has_no_more_records_than_arrive_for_it() {
        let predicted = |text: &str| predict(&given(text)).unwrap();
        // 50 records/s in a window of 1 s and an invocation of 0.2 s.
        let Predicted { load, fewer_arrive } = predicted("records=50/s,batch=1000,entities=20,duration=200ms");
        assert_eq!((load.batch, fewer_arrive), (60.0, Some(1_000.0)));
        assert!((load.groups - 19.1).abs() < 0.1, "{load:?}");
        assert_eq!(predicted("records=50/s,shards=2,duration=200ms").load.batch, 30.0);
        assert_eq!(predicted("records=50/s,window=9800ms,duration=200ms").load.batch, 500.0);
        let many = predicted("records=5000/s,batch=1000");
        assert_eq!((many.load.batch, many.fewer_arrive), (1_000.0, None));
        // Batches that are described completely, as in a backlog.
        let backlog = predicted("records=1/s,batch=100,groups=10");
        assert_eq!((backlog.load.batch, backlog.load.groups, backlog.fewer_arrive), (100.0, 10.0, None));
    }

    #[test]
    fn a_measured_load_gets_larger_batches_only_if_enough_records_arrive() {
        let measured = Load { rate: 500.0, batch: 100.0, groups: 20.0, seconds: 0.25, ..Load::assumed(3.0) };
        let settings = (Settings { window_seconds: 1.75, ..DEFAULTS }, 1.0);
        let batch = |text: &str| with_batches(&given(text), measured.clone(), &settings).unwrap();
        assert_eq!(batch("batch=5000").batch, 1_000.0);
        assert_eq!(batch("batch=200").batch, 200.0);
        assert_eq!(batch("batch=5000,records=1/s").batch, 100.0, "as many were measured, in bursts");
        assert_eq!(batch("batch=50").batch, 50.0);
        assert!((20.0..21.0).contains(&batch("batch=200").groups), "from the measured number of entities");
    }
}
