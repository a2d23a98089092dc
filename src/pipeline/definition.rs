//! What a pipeline counts and archives, as one short text that changes with it.

use super::Pipeline;

impl Pipeline {
    /// A hash of what decides which records count what, and which rows they become. It may also change with a release.
    pub fn definition(&self) -> String {
        let routes = self.routes.iter().map(|route| {
            let archive = route.archive.as_ref();
            let archive = archive.map(|of| (of.schema.json(), of.image, &of.partition_date, &of.events));
            let matched = (&route.record_type, &route.matchers, &route.binds, &route.conditions);
            format!("{:?}", (matched, &route.events, &route.window_time, &route.counters, archive))
        });
        let routes: Vec<String> = routes.collect();
        let text = format!("{:?}", (self.generation, self.unmatched, &self.measures, self.distinct_key, routes));
        blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{Pipeline, shipped};

    #[test]
    fn the_definition_changes_with_what_is_counted_and_only_then() {
        let orders = || Pipeline::parse(&shipped("orders").unwrap()).unwrap();
        let (one, mut other) = (orders(), orders());
        assert_eq!(one.definition(), other.definition());
        assert_eq!(one.definition().len(), 16);
        other.name = "renamed".to_owned();
        assert_eq!(one.definition(), other.definition());
        other.routes[0].counters[0].measures.pop();
        assert_ne!(one.definition(), other.definition());
        let mut other = orders();
        other.generation += 1;
        assert_ne!(one.definition(), other.definition());
    }
}
