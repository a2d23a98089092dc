//! How many records a batch has, which is mostly a question of how many arrive. `cost` and `tune` share this. Pure.

/// How records arrive, and when the mapping delivers them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrivals {
    /// Records per second, in all lanes.
    pub rate: f64,
    /// Shards times ParallelizationFactor, or the reserved concurrency if that is lower.
    pub lanes: f64,
    /// The most records that a batch may have.
    pub largest: f64,
    /// BatchWindowSeconds.
    pub window_seconds: f64,
    /// Seconds between polls of a quiet shard.
    pub poll_seconds: f64,
}

/// The batches of a lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Batching {
    /// Records per batch.
    pub batch: f64,
    /// The time between two invocations.
    pub interval_seconds: f64,
}

impl Arrivals {
    /// Predicts the batches; `seconds` is the duration of an invocation with so many records.
    pub fn batching(&self, seconds: impl Fn(f64) -> f64) -> Batching {
        let lanes = self.lanes.max(1.0);
        // A batch is what arrives during the previous one, which takes longer the larger it is.
        let (mut batch, mut interval) = (1.0_f64, self.poll_seconds);
        for _ in 0..100 {
            interval = self.interval(seconds(batch));
            batch = (self.rate / lanes * interval).clamp(1.0, self.largest.max(1.0));
        }
        // With less than one record per poll, an invocation waits for its record.
        Batching { batch, interval_seconds: interval.max(lanes / self.rate) }
    }

    /// The time between two invocations of a lane: a batching window starts when the last invocation has ended.
    fn interval(&self, seconds: f64) -> f64 {
        if self.window_seconds > 0.0 { self.window_seconds + seconds } else { seconds.max(self.poll_seconds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_what_arrives_in_a_window_and_an_invocation_up_to_its_limit() {
        let arrivals = Arrivals { rate: 50.0, lanes: 1.0, largest: 1_000.0, window_seconds: 1.0, poll_seconds: 0.25 };
        let batch = |arrivals: Arrivals| arrivals.batching(|_| 0.2).batch;
        assert_eq!(batch(arrivals), 60.0);
        assert_eq!(batch(Arrivals { lanes: 2.0, ..arrivals }), 30.0);
        assert_eq!(batch(Arrivals { window_seconds: 0.0, ..arrivals }), 12.5);
        assert_eq!(batch(Arrivals { rate: 5_000.0, ..arrivals }), 1_000.0);
        let quiet = Arrivals { rate: 0.1, ..arrivals }.batching(|_| 0.2);
        assert_eq!(quiet, Batching { batch: 1.0, interval_seconds: 10.0 });
    }
}
