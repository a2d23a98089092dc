//! `baseline`: whether the items that existed before the stream was attached open a measure.

use toml::de::DeValue;

use super::super::Snapshot;
use super::super::document::Section;
use crate::window::Window;

/// Reads `baseline`, and notes where it would give a wrong number.
pub(super) fn read(section: &Section<'_>, snapshot: &Snapshot) -> bool {
    let Some(value) = section.value("baseline") else { return false };
    let DeValue::Boolean(is_set) = value.get_ref() else {
        return section.wrong("baseline", value, "true or false", value.get_ref()).unwrap_or_default();
    };
    let mistake = match section.text_of("kind") {
        _ if !is_set => return false,
        // Reported with the kind.
        None => return true,
        Some("delta" | "level") if snapshot.windows.contains(&Window::Total) => return true,
        Some("delta" | "level") => {
            "`baseline` needs the window `total`: in any other window, a delta is what changed in that window; add \"total\" to [snapshot] `windows`, or leave `baseline` out"
        }
        Some(_) => {
            "`baseline` needs `kind = \"delta\"` or `\"level\"`; other kinds count what happened, and nothing happened to items that existed before; leave it out"
        }
    };
    section.document.mistake(&value.span(), format!("{}: {mistake}", section.title));
    true
}

#[cfg(test)]
mod tests {
    use crate::pipeline::{Folder, Pipeline};

    fn parsed(windows: &str, measure: &str) -> Result<Vec<bool>, String> {
        let text = format!(
            r##"
            [snapshot]
            windows = {windows}
            partition_key = {{ name = "pk", value = "U#{{entity}}" }}
            sort_key = {{ name = "sk", value = "{{resource}}#{{window_key}}" }}
            [[record]]
            type = "seat"
            match = {{ team = "{{team}}" }}
            entity = "{{team}}"
            resource = "seats"
            [[record.measure]]
            name = "seats"
            {measure}
            "##
        );
        let folder = Folder { name: "seats".to_owned(), files: [("pipeline.toml".to_owned(), text)].into() };
        let pipeline = Pipeline::parse(&folder).map_err(|mistakes| mistakes.to_string())?;
        Ok(pipeline.routes.iter().flat_map(|route| route.measures()).map(|measure| measure.baseline).collect())
    }

    #[test]
    fn a_baseline_needs_a_delta_and_the_total() {
        let (total, hours) = (r#"["hour", "total"]"#, r#"["hour", "month"]"#);
        assert_eq!(parsed(total, "kind = \"delta\"\nbaseline = true"), Ok(vec![true]));
        assert_eq!(parsed(hours, "kind = \"delta\"\nbaseline = false"), Ok(vec![false]));
        assert_eq!(parsed(hours, "kind = \"delta\""), Ok(vec![false]));
        let mistake = |windows, measure| parsed(windows, measure).unwrap_err();
        let missing = mistake(hours, "kind = \"delta\"\nbaseline = true");
        assert!(missing.contains("`baseline` needs the window `total`"), "{missing}");
        let count = mistake(total, "kind = \"count\"\nbaseline = true");
        assert!(count.contains("`baseline` needs `kind = \"delta\"`"), "{count}");
        let text = mistake(total, "kind = \"delta\"\nbaseline = \"yes\"");
        assert!(text.contains("`baseline` must be true or false"), "{text}");
    }
}
