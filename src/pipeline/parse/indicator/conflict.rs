//! What can't be combined with an indicator: another one that writes the same map, a record type that counts by what it writes, and a
//! cycle, in which each write would ask for the next one.

use super::super::super::indicator::leads_into;
use super::super::super::{Indicator, IndicatorQuery, Route};

/// Why an indicator can't have its target together with the indicators before it.
pub(super) fn with_target(indicator: &Indicator, earlier: &[Indicator], routes: &[Route]) -> Option<String> {
    if indicator.finds_its_target() && counts_target_of(indicator, indicator, routes) {
        return Some(format!(
            "its query finds its own target ({}), which it would count with the other items; narrow `query` with a \
             sort key, for example sk = {{ prefix = \"ORDER#\" }}",
            indicator.target_text()
        ));
    }
    let shares = |other: &&Indicator| other.attribute == indicator.attribute && other.may_share_targets(indicator);
    earlier.iter().find(shares).map(|other| {
        format!(
            "the indicator \"{}\" already writes `{}` of the same targets; set `attribute` to another name",
            other.name, indicator.attribute
        )
    })
}

/// What record types read in the map of an indicator: its writes add no usage, so that what they change would never count, or only
/// when it is taken back.
pub(super) fn with_record_types(indicator: &Indicator, routes: &[Route]) -> Vec<String> {
    let name = &indicator.attribute;
    let reads = |route: &Route| {
        let mut paths: Vec<&str> = route.counted_paths().filter(|path| leads_into(path, name)).collect();
        paths.sort_unstable();
        paths.dedup();
        let mistake = |path: &str| {
            format!(
                "the record type \"{}\" reads `{path}`, and its items may be targets, in which the indicator writes `{name}`; its writes \
                 are never counted, so remove the path there, or set `attribute` of the indicator to another name",
                route.record_type
            )
        };
        paths.into_iter().map(mistake).collect::<Vec<_>>()
    };
    routes.iter().filter(|route| may_have_target(route, indicator)).flat_map(reads).collect()
}

/// The attribute of the query's key that items of `route` never have as the query needs it.
pub(super) fn never_found<'q>(query: &'q IndicatorQuery, route: &Route) -> Option<&'q str> {
    let ends = |name: &str| {
        let name = name.to_owned();
        route.matched_ends().find(move |(attribute, ..)| *attribute == name)
    };
    let (partition, template) = &query.partition;
    let (start, end) = template.ends();
    if let Some((_, first, last)) = ends(partition)
        && !(begin_alike(first, start) && end_alike(last, end))
    {
        return Some(partition);
    }
    let (sort, prefix) = query.sort.as_ref()?;
    let (_, first, _) = ends(sort)?;
    (!begin_alike(first, prefix.ends().0)).then_some(sort)
}

/// Whether a target of `other` may be of a record type whose items count for `indicator`, as far as its key shows.
fn counts_target_of(indicator: &Indicator, other: &Indicator, routes: &[Route]) -> bool {
    let mut routes = indicator.records.iter().filter_map(|record| routes.get(record.route));
    routes.any(|route| may_have_target(route, other))
}

/// Whether a target of an indicator may be of a record type, as far as its key shows.
fn may_have_target(route: &Route, indicator: &Indicator) -> bool {
    let fits = |(attribute, first, last): (&str, &str, &str)| {
        let template = indicator.target.iter().find(|(name, _)| name == attribute).map(|(_, template)| template);
        template.is_none_or(|template| {
            let (start, end) = template.ends();
            begin_alike(first, start) && end_alike(last, end)
        })
    };
    route.matched_ends().all(fits)
}

fn begin_alike(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

fn end_alike(one: &str, other: &str) -> bool {
    one.ends_with(other) || other.ends_with(one)
}

/// A cycle of indicators, each of which reads what the one before it writes, in words.
pub(super) fn cycle(indicators: &[Indicator], routes: &[Route]) -> Option<String> {
    (0..indicators.len()).find_map(|start| {
        let path = path_back(indicators, routes, start, &mut vec![start])?;
        let step = |pair: &[usize]| {
            let [from, to] = pair else { return None };
            let (from, to) = (indicators.get(*from)?, indicators.get(*to)?);
            let path = to.path_into(&from.attribute)?;
            let (writer, reader) = (&from.name, &to.name);
            let target = from.target_text();
            Some(format!("\"{writer}\" writes `{}` of {target}, where \"{reader}\" reads `{path}`", from.attribute))
        };
        let steps: Vec<String> = path.windows(2).filter_map(step).collect();
        Some(format!(
            "the indicators form a cycle, in which each write would ask for the next one: {}; remove one of these values, \
             or narrow a `query`",
            steps.join("; ")
        ))
    })
}

/// Continues `path` along indicators that read what the one before writes until it is back at `start`.
fn path_back(indicators: &[Indicator], routes: &[Route], start: usize, path: &mut Vec<usize>) -> Option<Vec<usize>> {
    let last = indicators.get(*path.last()?)?;
    for (next, reader) in indicators.iter().enumerate() {
        let reads = reader.path_into(&last.attribute).is_some();
        if !reads || !reader.may_find_target_of(last) || !counts_target_of(reader, last, routes) {
            continue;
        }
        if next == start {
            return Some(path.iter().copied().chain([start]).collect());
        }
        if !path.contains(&next) {
            path.push(next);
            let found = path_back(indicators, routes, start, path);
            if found.is_some() {
                return found;
            }
            path.pop();
        }
    }
    None
}
