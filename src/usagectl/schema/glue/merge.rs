//! Puts generated resources among those that a template already has. Each resource belongs to the pipeline that its condition names.

/// The resources in `old`, with those of each generated condition replaced. Resources of other conditions stay, and resources of a
/// condition that `old` doesn't have are added at the end.
pub(super) fn merged(old: &str, generated: &[(String, String)]) -> String {
    let mut groups = by_condition(old);
    for (condition, text) in generated {
        match groups.iter_mut().find(|(known, _)| known == condition) {
            Some((_, resources)) => resources.clone_from(text),
            None => groups.push((condition.clone(), text.clone())),
        }
    }
    groups.into_iter().map(|(_, text)| text).collect()
}

/// The resources of each condition, in the order in which the conditions first occur.
fn by_condition(text: &str) -> Vec<(String, String)> {
    let mut groups: Vec<(String, String)> = Vec::new();
    for resource in resources(text) {
        let condition = resource.lines().find_map(|line| line.strip_prefix("    Condition: ")).unwrap_or_default();
        let resource = format!("\n{}\n", resource.trim_end());
        match groups.iter_mut().find(|(known, _)| known == condition) {
            Some((_, resources)) => resources.push_str(&resource),
            None => groups.push((condition.to_owned(), resource)),
        }
    }
    groups
}

/// The text of each resource. Its first line is the only one with an indentation of two.
fn resources(text: &str) -> Vec<String> {
    let mut resources: Vec<String> = Vec::new();
    for line in text.lines() {
        let is_first =
            line.strip_prefix("  ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        if is_first {
            resources.push(String::new());
        }
        // Blank lines before the first resource aren't kept.
        if let Some(resource) = resources.last_mut() {
            resource.push_str(line);
            resource.push('\n');
        }
    }
    resources
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\n  OrdersTable:\n    Condition: IsOrders\n    a: 1\n\n  MineTable:\n    Condition: IsMine\n    q: |\n        x\n\n        y\n\n  OrdersView:\n    Condition: IsOrders\n\n";

    fn generated(condition: &str, text: &str) -> Vec<(String, String)> {
        vec![(condition.to_owned(), text.to_owned())]
    }

    #[test]
    fn resources_of_other_pipelines_are_never_dropped() {
        let new = "\n  MineVisits:\n    Condition: IsMine\n";
        let merged_text = merged(OLD, &generated("IsMine", new));
        assert!(merged_text.contains("OrdersTable") && merged_text.contains("OrdersView"), "{merged_text}");
        assert!(merged_text.contains("MineVisits") && !merged_text.contains("MineTable"), "{merged_text}");
        let added = merged(OLD, &generated("IsOther", "\n  Other:\n    Condition: IsOther\n"));
        for name in ["OrdersTable", "MineTable", "OrdersView", "Other:"] {
            assert!(added.contains(name), "{added}");
        }
        assert_eq!(merged(&added, &generated("IsOther", "\n  Other:\n    Condition: IsOther\n")), added);
    }

    #[test]
    fn a_resource_keeps_its_blank_lines() {
        assert!(merged(OLD, &[]).contains("        x\n\n        y\n"), "{}", merged(OLD, &[]));
    }
}
