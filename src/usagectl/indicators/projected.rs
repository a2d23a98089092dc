//! What an index has of the attributes that an indicator reads. A query of an index returns only the attributes that it projects, so
//! an indicator would take the others for missing.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::{KeySchemaElement, Projection, ProjectionType, TableDescription};
use usage_aggregator::pipeline::{Indicator, Pipeline};

/// The attributes that the indicator reads and that its index doesn't project.
pub(super) fn unprojected<'p>(
    table: &TableDescription,
    pipeline: &'p Pipeline,
    indicator: &'p Indicator,
) -> BTreeSet<&'p str> {
    let Some((keys, projection)) = indicator.query.index.as_deref().and_then(|name| index(table, name)) else {
        return BTreeSet::new();
    };
    if !matches!(projection.projection_type(), Some(ProjectionType::Include | ProjectionType::KeysOnly)) {
        return BTreeSet::new();
    }
    let keys = table.key_schema().iter().chain(keys).map(KeySchemaElement::attribute_name);
    let projected: BTreeSet<&str> = keys.chain(projection.non_key_attributes().iter().map(String::as_str)).collect();
    let routes = indicator.records.iter().filter_map(|record| pipeline.routes.get(record.route));
    let paths = routes.flat_map(|route| route.paths()).chain(indicator.paths());
    let attributes = paths.map(|path| path.split(['.', '[']).next().unwrap_or(path));
    attributes.filter(|attribute| !projected.contains(attribute)).collect()
}

/// The key and the projection of an index.
fn index<'t>(table: &'t TableDescription, name: &str) -> Option<(&'t [KeySchemaElement], &'t Projection)> {
    let global = table.global_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
    let local = table.local_secondary_indexes().iter().find(|index| index.index_name() == Some(name));
    let global = global.and_then(|index| Some((index.key_schema(), index.projection()?)));
    global.or_else(|| local.and_then(|index| Some((index.key_schema(), index.projection()?))))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::{GlobalSecondaryIndexDescription, KeyType};
    use usage_aggregator::pipeline::Folder;

    use super::*;

    const PIPELINE: &str = include_str!("../../../tests/core/indicators/pipeline.toml");

    fn key(name: &str) -> KeySchemaElement {
        KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap()
    }

    /// A table whose index projects this.
    fn table(kind: ProjectionType, attributes: &[&str]) -> TableDescription {
        let attributes = attributes.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let attributes = (!attributes.is_empty()).then_some(attributes);
        let projection = Projection::builder().projection_type(kind).set_non_key_attributes(attributes).build();
        let index = GlobalSecondaryIndexDescription::builder()
            .index_name("by-tenant")
            .key_schema(key("tenant"))
            .projection(projection)
            .build();
        let keys = ["pk", "sk"].map(key).to_vec();
        TableDescription::builder().set_key_schema(Some(keys)).global_secondary_indexes(index).build()
    }

    #[test]
    fn an_index_must_project_what_the_indicator_reads() {
        let files = [("pipeline.toml".to_owned(), PIPELINE.to_owned())].into();
        let pipeline = Pipeline::parse(&Folder { name: "findings".to_owned(), files }).unwrap();
        let lacks = |table: &TableDescription, name: &str| {
            let indicator = pipeline.indicators.iter().find(|indicator| indicator.name == name).unwrap();
            unprojected(table, &pipeline, indicator).into_iter().collect::<Vec<_>>().join(", ")
        };
        assert_eq!(lacks(&table(ProjectionType::KeysOnly, &[]), "groups"), "indicators");
        assert_eq!(lacks(&table(ProjectionType::Include, &["other"]), "groups"), "indicators");
        assert_eq!(lacks(&table(ProjectionType::Include, &["indicators"]), "groups"), "");
        assert_eq!(lacks(&table(ProjectionType::All, &[]), "groups"), "");
        assert_eq!(lacks(&table(ProjectionType::KeysOnly, &[]), "findings"), "", "it queries the table");
    }
}
