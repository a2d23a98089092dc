//! `[snapshot]`: the layout of the items that hold the counters.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::super::document::{Section, SpannedText};
use super::super::template::Template;
use super::super::{
    PARTITION_KEY_BYTES, RESTATED_ATTRIBUTE, SORT_KEY_BYTES, Snapshot, TimeToLive, VERSION_ATTRIBUTE, WINDOW_VARIABLES,
};
use super::{WINDOWS, closing, parse_template, parse_text};
use crate::window::{Window, Zone};

/// The longest retention: a thousand years, so that the expiry can't overflow.
const MAX_DAYS: i64 = 365_000;

/// Reads the section. Invalid parts are noted and left out, so that measures can still be checked.
pub(super) fn read(section: Section<'_>) -> Snapshot {
    let partition = section.section("partition_key");
    let sort = section.section("sort_key");
    if section.value("partition_key").is_none() {
        section
            .mistake("`partition_key` is missing; write partition_key = { name = \"pk\", value = \"USAGE#{entity}\" }");
    }
    let attributes = section.section("attributes");
    let group_variables = group_variables([&partition, &sort, &attributes]);
    let slot = |name: &str| slot(&group_variables, name);
    let partition_key = partition.and_then(|section| key(section, &slot)).unwrap_or_default();
    let has_sort = sort.is_some();
    let suffixes = sort.as_ref().and_then(|section| suffixes(section, &slot)).unwrap_or_default();
    let sort_key = sort.and_then(|section| key(section, &slot));
    let keys_are_right = !partition_key.0.is_empty() && has_sort == sort_key.is_some();
    let attributes = attributes.map(|section| templates(&section, &slot)).unwrap_or_default();
    let index_keys = section.section("index_keys").map(|section| index_keys(section, &attributes)).unwrap_or_default();
    let windows = section.choices("windows", &WINDOWS).unwrap_or_else(|| Window::DEFAULT.to_vec());
    // A window that is listed twice would be counted twice.
    if WINDOWS.iter().any(|(_, window)| windows.iter().filter(|other| *other == window).count() > 1) {
        section.mistake("`windows` lists a window twice");
    }
    let zone = section.text("time_zone").and_then(|text| time_zone(&section, &text)).unwrap_or(Zone::UTC);
    let window_names = window_texts(&section, "window_names").unwrap_or_default();
    let if_taken = section.text("if_taken").and_then(|text| of_measure(&section, "if_taken", &text));
    let fraction = section.text("fraction").and_then(|text| of_measure(&section, "fraction", &text));
    if if_taken.is_some() && if_taken == fraction {
        section.mistake("`fraction` and `if_taken` give the same name; choose different ones");
    }
    let time_to_live = section.section("time_to_live").and_then(|section| time_to_live(section, &windows));
    let closing = section.section("closing").and_then(|section| closing::read(section, &windows));
    let snapshot = Snapshot {
        group_variables,
        partition_key,
        sort_key,
        suffixes,
        attributes,
        index_keys,
        windows,
        zone,
        window_names,
        if_taken,
        fraction,
        time_to_live,
        closing,
        measures: Vec::new(),
        kinds: BTreeMap::new(),
        alerts: Vec::new(),
    };
    if let Some([one, other]) = windows_with_same_text(|window| snapshot.window_name(window)) {
        section.mistake(format_args!("{one} and {other} have the same name in `window_names`"));
    }
    if let Some(twice) = snapshot.duplicate_attribute() {
        section.mistake(format_args!("attribute `{twice}` is defined twice"));
    }
    for missing in snapshot.missing_in_key().into_iter().filter(|_| keys_are_right) {
        section.mistake(format_args!(
            "the keys don't contain `{{{missing}}}`, so different counters would share an item; add it to the partition or sort key"
        ));
    }
    section.finish();
    snapshot
}

fn time_zone(section: &Section<'_>, text: &SpannedText<'_>) -> Option<Zone> {
    let zone = Zone::named(text.text);
    if zone.is_none() {
        let mistake = format!(
            "{}: unknown time zone `{}`; write its name in the IANA time zone database, for example \"Europe/Berlin\"",
            section.title, text.text
        );
        section.document.mistake(&text.span, mistake);
    }
    zone
}

/// The attributes that are keys of an index: `{ partition = ["entity"], sort = ["window_start"] }`.
fn index_keys(section: Section<'_>, attributes: &[(String, Template)]) -> Vec<(String, usize)> {
    let mut keys = Vec::new();
    for (kind, limit) in [("partition", PARTITION_KEY_BYTES), ("sort", SORT_KEY_BYTES)] {
        for name in section.texts(kind).unwrap_or_default() {
            if attributes.iter().any(|(attribute, _)| attribute == name.text) {
                keys.push((name.text.to_owned(), limit));
            } else {
                let mistake = format!("`index_keys` names `{}`, which isn't in `attributes`", name.text);
                section.document.mistake(&name.span, mistake);
            }
        }
    }
    section.finish();
    keys
}

impl Snapshot {
    /// The names of the attributes that every snapshot item has, which no measure may use.
    pub fn reserved(&self) -> impl Iterator<Item = &str> {
        let keys = [Some(&self.partition_key), self.sort_key.as_ref()].into_iter().flatten();
        let names = keys.chain(&self.attributes).map(|(name, _)| name.as_str());
        names
            .chain(self.time_to_live.as_ref().map(|ttl| ttl.attribute.as_str()))
            .chain([VERSION_ATTRIBUTE, RESTATED_ATTRIBUTE])
    }

    /// The variables that the key would need to distinguish all counters, but doesn't contain.
    fn missing_in_key(&self) -> Vec<&str> {
        let keys = [Some(&self.partition_key), self.sort_key.as_ref()].into_iter().flatten();
        let slots: Vec<usize> = keys.flat_map(|(_, template)| template.slots()).collect();
        let names = || self.group_variables.iter().map(String::as_str).chain(WINDOW_VARIABLES);
        let has = |name: &str| names().position(|known| known == name).is_some_and(|slot| slots.contains(&slot));
        let mut missing: Vec<&str> =
            self.group_variables.iter().map(String::as_str).filter(|name| !has(name)).collect();
        // The short text of a window also shows its length; its first or last second doesn't.
        if !has("window_key") {
            if !has("window_start") && !has("window_end") {
                missing.push("window_start");
            }
            if !has("window") && !self.suffixes_differ() {
                missing.push("window");
            }
        }
        missing
    }

    /// Whether all windows have different suffixes. Since a suffix follows a text of fixed length (which `suffixes`
    /// checks), such windows never share a key.
    fn suffixes_differ(&self) -> bool {
        let mut suffixes: Vec<&str> = self.windows.iter().map(|window| self.suffix(*window)).collect();
        suffixes.sort_unstable();
        suffixes.windows(2).all(|pair| !matches!(pair, [a, b] if a == b))
    }

    fn duplicate_attribute(&self) -> Option<String> {
        let mut names: Vec<&str> = self.reserved().collect();
        names.sort_unstable();
        names
            .windows(2)
            .find_map(|pair| matches!(pair, [a, b] if a == b).then(|| pair.concat()))
            .map(|both| both.get(..both.len() / 2).unwrap_or_default().to_owned())
    }
}

/// Two windows with the same text.
fn windows_with_same_text<'t>(text: impl Fn(Window) -> &'t str) -> Option<[&'static str; 2]> {
    let pairs = WINDOWS
        .iter()
        .enumerate()
        .flat_map(|(index, one)| WINDOWS.iter().skip(index + 1).map(move |other| (one, other)));
    pairs
        .filter(|((_, one), (_, other))| text(*one) == text(*other))
        .map(|((one, _), (other, _))| [*one, *other])
        .next()
}

/// The `suffix` of a sort key. The value before it must end in the first or last second of the window, whose texts all
/// have the same length.
fn suffixes(section: &Section<'_>, slot: &dyn Fn(&str) -> Option<usize>) -> Option<BTreeMap<Window, String>> {
    let suffixes = window_texts(section, "suffix")?;
    let value = section.text("value")?;
    let template = parse_template(section, "value", &value, slot, "")?;
    if !["window_start", "window_end"].into_iter().any(|name| template.last_slot() == slot(name)) {
        let message = format!(
            "{}: `suffix` must follow the window's time; end `value` with {{window_start}} or {{window_end}}",
            section.title
        );
        section.document.mistake(&value.span, message);
    }
    Some(suffixes)
}

/// Reads a table of texts by window.
fn window_texts(section: &Section<'_>, key: &'static str) -> Option<BTreeMap<Window, String>> {
    let section = section.section(key)?;
    let mut texts = BTreeMap::new();
    for (name, window) in WINDOWS {
        let Some(text) = section.text(name) else { continue };
        if text.text.is_empty() {
            section.document.mistake(&text.span, format!("{}: `{name}` is empty; leave it out", section.title));
        }
        texts.insert(window, text.text.to_owned());
    }
    section.finish();
    Some(texts)
}

/// Reads a template for an attribute name that is derived from the name of a counter.
fn of_measure(section: &Section<'_>, key: &str, text: &SpannedText<'_>) -> Option<Template> {
    let template = parse_template(section, key, text, &|name| (name == "measure").then_some(0), "; write {measure}")?;
    if template.slots().count() != 1 || text.text == "{measure}" {
        let message =
            format!("{}: `{key}` must contain {{measure}} and more, for example \"{{measure}}#{key}\"", section.title);
        section.document.mistake(&text.span, message);
    }
    Some(template)
}

/// `entity`, `resource`, and every other variable in these tables that isn't one of the window's.
fn group_variables(sections: [&Option<Section<'_>>; 3]) -> Vec<String> {
    let mut names = vec!["entity".to_owned(), "resource".to_owned()];
    for section in sections.into_iter().flatten() {
        for (_, value) in section.entries() {
            let DeValue::String(text) = value.get_ref() else { continue };
            let Some(text) = parse_text(section, "value", &SpannedText { text, span: value.span() }) else { continue };
            for name in text.variables().filter(|name| !WINDOW_VARIABLES.contains(name)) {
                if !names.iter().any(|known| known == name) {
                    names.push(name.to_owned());
                }
            }
        }
    }
    names
}

fn slot(group_variables: &[String], name: &str) -> Option<usize> {
    let known = group_variables.iter().map(String::as_str).chain(WINDOW_VARIABLES);
    known.enumerate().find(|(_, known)| *known == name).map(|(slot, _)| slot)
}

fn key(section: Section<'_>, slot: &dyn Fn(&str) -> Option<usize>) -> Option<(String, Template)> {
    let name = section.required_text("name", "\"pk\"");
    let value = section.required_text("value", "\"USAGE#{entity}\"");
    let template = value.and_then(|value| parse_template(&section, "value", &value, slot, ""));
    section.finish();
    Some((name?.text.to_owned(), template?))
}

fn templates(section: &Section<'_>, slot: &dyn Fn(&str) -> Option<usize>) -> Vec<(String, Template)> {
    let template = |(name, value): (&str, &toml::Spanned<DeValue<'_>>)| {
        let DeValue::String(text) = value.get_ref() else {
            return section.wrong(name, value, "a string, for example \"{entity}\"", value.get_ref());
        };
        let template = parse_template(section, name, &SpannedText { text, span: value.span() }, slot, "")?;
        Some((name.to_owned(), template))
    };
    section.entries().filter_map(template).collect()
}

fn time_to_live(section: Section<'_>, windows: &[Window]) -> Option<TimeToLive> {
    let attribute = section.required_text("attribute", "\"expires_at\"");
    let mut days = Vec::new();
    for (name, window) in WINDOWS {
        let Some(key) = days_key(window) else { continue };
        let Some((count, span)) = section.integer(key) else { continue };
        if !windows.contains(&window) {
            section.document.mistake(&span, format!("{}: `windows` doesn't list {name}", section.title));
        } else if !(1..=MAX_DAYS).contains(&count) {
            section.document.mistake(&span, format!("{}: `{key}` must be 1 to {MAX_DAYS}", section.title));
        } else {
            days.push((window, count));
        }
    }
    section.finish();
    Some(TimeToLive { attribute: attribute?.text.to_owned(), days })
}

/// The key for the days that snapshots of this window are kept. The total never ends, so its snapshots never expire.
fn days_key(window: Window) -> Option<&'static str> {
    match window {
        Window::Hour => Some("hour_days"),
        Window::Day => Some("day_days"),
        Window::Week => Some("week_days"),
        Window::Month => Some("month_days"),
        Window::Total => None,
    }
}
