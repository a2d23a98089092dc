//! The metrics of a deployment, by the names of its parts. A metric of a part with an unknown name has no data.

use super::{Figure, Names, Statistic};

impl Names {
    /// One of the function's own metrics.
    pub fn own_figure(&self, metric: &str, statistic: Statistic) -> Figure {
        let (namespace, pipeline) = (text(&self.metrics_namespace), text(&self.pipeline));
        Figure::new(namespace, metric, &[("Pipeline", pipeline)], statistic)
    }

    /// A metric of the function in Lambda's namespace.
    pub fn function_figure(&self, metric: &str, statistic: Statistic) -> Figure {
        Figure::of_function(text(&self.function), metric, statistic)
    }

    /// One of the event source mapping's EventCount metrics, summed.
    pub fn mapping_figure(&self, metric: &str) -> Figure {
        Figure::new("AWS/Lambda", metric, &[("EventSourceMappingUUID", text(&self.mapping))], Statistic::Sum)
    }

    /// Deliveries that failed: records of batches that failed as a whole or in part, and records that an invocation left
    /// undone. The mapping counts the first only if its EventCount metrics are on, the function the second only if it
    /// isn't stopped; either of them shows that a batch is failing.
    pub fn failure_figures(&self) -> [Figure; 2] {
        [self.mapping_figure("FailedInvokeEventCount"), self.own_figure("ProcessingErrors", Statistic::Sum)]
    }

    /// Rejected records, counted from the log, without dimensions.
    pub fn rejected_figure(&self) -> Figure {
        Figure::new(text(&self.metrics_namespace), "RecordsRejected", &[], Statistic::Sum)
    }

    /// A metric of each of the function's tables, summed. If a table is also the source, this includes other writers.
    pub fn table_figures(&self, metric: &str) -> Vec<Figure> {
        let of = |table: &String| Figure::new("AWS/DynamoDB", metric, &[("TableName", table)], Statistic::Sum);
        self.usage_table.iter().chain(&self.ledger_table).map(of).collect()
    }

    /// The bytes and the number of records read from the source, summed: metrics of DynamoDB or Kinesis.
    pub fn source_figures(&self) -> Option<[Figure; 2]> {
        let (arn, name) = (self.source_arn.as_deref()?, self.source_name()?);
        // arn:aws:kinesis:us-east-1:123456789012:stream/alleycat/consumer/usage:1795000000
        if let Some(consumer) = arn.split_once("/consumer/").and_then(|(_, rest)| rest.split(':').next()) {
            let dimensions = [("ConsumerName", consumer), ("StreamName", name)];
            let of = |metric| Figure::new("AWS/Kinesis", metric, &dimensions, Statistic::Sum);
            return Some(["SubscribeToShardEvent.Bytes", "SubscribeToShardEvent.Records"].map(of));
        }
        if arn.contains(":kinesis:") {
            let of = |metric| Figure::new("AWS/Kinesis", metric, &[("StreamName", name)], Statistic::Sum);
            return Some(["GetRecords.Bytes", "GetRecords.Records"].map(of));
        }
        let label = arn.split_once("/stream/")?.1;
        let dimensions = [("Operation", "GetRecords"), ("StreamLabel", label), ("TableName", name)];
        let of = |metric| Figure::new("AWS/DynamoDB", metric, &dimensions, Statistic::Sum);
        Some(["ReturnedBytes", "ReturnedRecordsCount"].map(of))
    }

    /// The bytes logged by the function.
    pub fn log_figure(&self) -> Figure {
        Figure::new("AWS/Logs", "IncomingBytes", &[("LogGroupName", text(&self.log_group))], Statistic::Sum)
    }

    /// The bytes logged by the fold function.
    pub fn fold_log_figure(&self) -> Option<Figure> {
        let group = self.fold_log_group.as_deref()?;
        Some(Figure::new("AWS/Logs", "IncomingBytes", &[("LogGroupName", group)], Statistic::Sum))
    }

    /// Whether snapshots are written to the source table itself.
    pub fn counts_in_source(&self) -> bool {
        self.usage_table.is_some() && self.usage_table.as_deref() == self.source_name()
    }
}

fn text(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_has_its_own_metrics() {
        let of = |arn: &str| {
            let names = Names { source_arn: Some(arn.to_owned()), ..Names::default() };
            let [bytes, _] = names.source_figures().unwrap();
            (bytes.metric, bytes.dimensions.into_values().collect::<Vec<_>>().join(" "))
        };
        let stream = "arn:aws:kinesis:us-east-1:123456789012:stream/alleycat";
        assert_eq!(of(stream), ("GetRecords.Bytes".to_owned(), "alleycat".to_owned()));
        let consumer = of(&format!("{stream}/consumer/usage:1795000000"));
        assert_eq!(consumer, ("SubscribeToShardEvent.Bytes".to_owned(), "usage alleycat".to_owned()));
    }
}
