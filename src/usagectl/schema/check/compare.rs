//! Compares two versions of a schema: every difference, whether it is safe, and why. Safe means that Avro's schema resolution
//! reads old rows with the new schema and new rows with the old one, and that the columns keep their meaning.

use std::collections::HashMap;

use super::finding::{Finding, Verdict};
use super::kind::kind;
use super::meaning;
use apache_avro::schema::{Name, RecordField, RecordSchema, Schema, UnionSchema};
use usage_compact::resolution::{names, reads, resolved};

/// All differences between two record schemas.
pub(in crate::schema) fn compare(old: &Schema, new: &Schema) -> Vec<Finding> {
    let mut comparison = Comparison { old: names(old), new: names(new), within: Vec::new(), findings: Vec::new() };
    comparison.types("", old, new);
    let is_unsafe = comparison.findings.iter().any(|finding| finding.verdict == Verdict::Unsafe);
    // The differences above explain each change. This is the rule that they explain.
    if !is_unsafe && !reads(new, old) {
        comparison.unsafe_("", "the type changed", "the new schema can't read old rows; add a new field");
    } else if !is_unsafe && !reads(old, new) {
        comparison.unsafe_("", "the type changed", "readers with the old schema can't read new rows; add a new field");
    }
    comparison.findings
}

struct Comparison<'s> {
    old: HashMap<Name, &'s Schema>,
    new: HashMap<Name, &'s Schema>,
    /// The record types being compared, which may contain themselves.
    within: Vec<&'s Name>,
    findings: Vec<Finding>,
}

impl<'s> Comparison<'s> {
    fn safe(&mut self, path: &str, change: impl Into<String>, reason: &str) {
        self.findings.push(Finding::new(path, change, Verdict::Safe, reason));
    }

    fn unsafe_(&mut self, path: &str, change: impl Into<String>, reason: &str) {
        self.findings.push(Finding::new(path, change, Verdict::Unsafe, reason));
    }

    fn types(&mut self, path: &str, old: &'s Schema, new: &'s Schema) {
        match (resolved(&self.old, old), resolved(&self.new, new)) {
            (Schema::Record(old), Schema::Record(new)) => self.records(path, old, new),
            (Schema::Union(old), Schema::Union(new)) => self.unions(path, old, new),
            (old, Schema::Union(new)) => self.becomes_union(path, old, new),
            (Schema::Union(_), new) => self.unsafe_(
                path,
                format!("a union becomes {}", kind(new)),
                "old rows may contain another branch; keep the union",
            ),
            (Schema::Array(old), Schema::Array(new)) => self.types(path, &old.items, &new.items),
            (Schema::Map(old), Schema::Map(new)) => self.types(path, &old.types, &new.types),
            (Schema::Enum(old), Schema::Enum(new)) => {
                self.same_name(path, &old.name, &new.name);
                self.symbols(path, (&old.symbols, old.default.is_some()), (&new.symbols, new.default.is_some()));
            }
            (old, new) => self.scalars(path, old, new),
        }
    }

    fn scalars(&mut self, path: &str, old: &Schema, new: &Schema) {
        let (before, after) = (kind(old), kind(new));
        if before == after {
            return;
        }
        let reason = match (reads(new, old), reads(old, new)) {
            (true, true) => {
                "old rows and new ones would differ in what the column means or in its type in Athena; add a new field"
            }
            (true, false) => "readers with the old schema can't read new rows; add a new field",
            (false, true) => "the new schema can't read old rows; add a new field",
            (false, false) => "readers can't convert it; add a new field",
        };
        self.unsafe_(path, format!("{before} becomes {after}"), reason);
    }

    fn same_name(&mut self, path: &str, old: &Name, new: &Name) {
        if old.name() != new.name() {
            let change = format!("the type {} becomes {}", old.name(), new.name());
            self.unsafe_(path, change, "Avro matches types by name; keep the old one");
        }
    }

    fn records(&mut self, path: &str, old: &'s RecordSchema, new: &'s RecordSchema) {
        self.same_name(path, &old.name, &new.name);
        if self.within.contains(&&old.name) {
            return;
        }
        self.within.push(&old.name);
        for field in &old.fields {
            let inner = joined(path, &field.name);
            match successor(field, new) {
                Some(other) => {
                    self.renamed(&inner, field, other);
                    self.fields(&inner, field, other);
                }
                None if field.default.is_some() => {
                    self.safe(&inner, "removed", "readers with the old schema use its default")
                }
                None => self.unsafe_(
                    &inner,
                    "removed",
                    "readers with the old schema need a value; release it with a default first and remove it later",
                ),
            }
        }
        let is_new = |field: &&RecordField| {
            !old.fields.iter().any(|other| successor(other, new).is_some_and(|next| next.name == field.name))
        };
        for field in new.fields.iter().filter(is_new) {
            let inner = joined(path, &field.name);
            match &field.default {
                Some(_) => self.safe(&inner, "added", "old rows get its default"),
                None => self.unsafe_(&inner, "added", "old rows have no value for it; give it a default"),
            }
        }
        self.ambiguous_aliases(path, old, new);
        self.within.pop();
    }

    /// Aliases that have become the name of another field: a row with that name can't be told to be from before the field was renamed.
    fn ambiguous_aliases(&mut self, path: &str, old: &'s RecordSchema, new: &'s RecordSchema) {
        let before = ambiguous(old);
        for (field, alias) in ambiguous(new).into_iter().filter(|pair| !before.contains(pair)) {
            self.unsafe_(
                &joined(path, field),
                format!("alias {alias} is another field"),
                "readers would take that field's value, or lose the values from before this field was renamed; give the other field another name",
            );
        }
    }

    /// A field that has another name in the new schema.
    fn renamed(&mut self, path: &str, old: &RecordField, new: &RecordField) {
        if old.name == new.name {
            return;
        }
        let change = format!("renamed to {}", new.name);
        let is_same_column = old.name.eq_ignore_ascii_case(&new.name);
        match (new.aliases.contains(&old.name), old.default.is_some()) {
            (true, _) if path != old.name && !is_same_column => self.unsafe_(
                path,
                change,
                "Athena reads the fields of a record in Parquet files by their names, so compacted rows would lose the values; keep the name, or add a new field",
            ),
            (false, _) => {
                let reason = format!(
                    "Athena ignores case, so it would show the default in old rows instead of their values; keep the name, or add \"aliases\": [\"{}\"]",
                    old.name
                );
                self.unsafe_(path, change, &reason);
            }
            (true, true) => self.safe(
                path,
                change,
                "old rows are read by the alias, and readers with the old schema use the old default; queries need the new name",
            ),
            (true, false) => self.unsafe_(
                path,
                change,
                "readers with the old schema need a value; release the old name with a default first, or keep it",
            ),
        }
    }

    fn fields(&mut self, path: &str, old: &'s RecordField, new: &'s RecordField) {
        if let Some(name) = meaning::changed((old, &self.old), (new, &self.new)) {
            self.unsafe_(
                path,
                format!("`{name}` changed"),
                "the column would have a different meaning in old rows and new ones; add a new field",
            );
        }
        for alias in old.aliases.iter().filter(|alias| !new.aliases.contains(alias) && **alias != new.name) {
            let change = format!("alias {alias} removed");
            self.unsafe_(path, change, "rows from before the field was renamed lose their value; keep the alias");
        }
        if old.default.is_some() && new.default.is_none() {
            self.unsafe_(path, "default removed", "rows older than the field can't be read without it");
        } else if old.default != new.default {
            self.safe(path, "default changed", "only rows that lack the field are read differently");
        }
        self.types(path, &old.schema, &new.schema);
    }

    /// A type that became one branch of a union.
    fn becomes_union(&mut self, path: &str, old: &'s Schema, new: &'s UnionSchema) {
        let others: Vec<String> = new
            .variants()
            .iter()
            .map(|variant| kind(resolved(&self.new, variant)))
            .filter(|name| *name != kind(old))
            .collect();
        let change = format!("{} becomes a union", kind(old));
        match new.variants().iter().find(|variant| kind(resolved(&self.new, variant)) == kind(old)) {
            Some(variant) if others.is_empty() => {
                self.safe(path, change, "it has no other branch");
                self.types(path, old, variant);
            }
            Some(variant) => {
                let reason = format!("readers with the old schema can't read {}; add a new field", others.join(" or "));
                self.unsafe_(path, change, &reason);
                self.types(path, old, variant);
            }
            None => self.unsafe_(path, change, "old rows have none of its types; keep the old type as a branch"),
        }
    }

    fn unions(&mut self, path: &str, old: &'s UnionSchema, new: &'s UnionSchema) {
        for variant in old.variants() {
            let name = kind(resolved(&self.old, variant));
            match new.variants().iter().find(|other| kind(resolved(&self.new, other)) == name) {
                Some(other) => self.types(path, variant, other),
                None => self.unsafe_(path, format!("branch {name} removed"), "old rows may contain it"),
            }
        }
        for variant in new.variants() {
            let name = kind(resolved(&self.new, variant));
            if old.variants().iter().all(|other| kind(resolved(&self.old, other)) != name) {
                self.unsafe_(
                    path,
                    format!("branch {name} added"),
                    "readers with the old schema can't read it; add a new field",
                );
            }
        }
    }

    fn symbols(
        &mut self,
        path: &str,
        (old, old_has_default): (&[String], bool),
        (new, new_has_default): (&[String], bool),
    ) {
        let missing = |from: &[String], of: &[String]| -> Vec<String> {
            of.iter().filter(|symbol| !from.contains(symbol)).cloned().collect()
        };
        let (removed, added) = (missing(new, old).join(", "), missing(old, new).join(", "));
        if !removed.is_empty() {
            let change = format!("symbol {removed} removed");
            match new_has_default {
                true => self.safe(path, change, "old rows that contain it are read as the enum's default"),
                false => self.unsafe_(path, change, "old rows may contain it; keep it, or give the enum a default"),
            }
        }
        if !added.is_empty() {
            let change = format!("symbol {added} added");
            match old_has_default {
                true => self.safe(path, change, "readers with the old schema use the enum's default"),
                false => self.unsafe_(
                    path,
                    change,
                    "readers with the old schema can't read it; release the enum with a default first",
                ),
            }
        }
    }
}

/// The field of the new schema that holds what `field` held: that with its name or alias, or with its name in another case.
fn successor<'s>(field: &RecordField, new: &'s RecordSchema) -> Option<&'s RecordField> {
    let same = new.fields.iter().find(|other| other.name == field.name);
    let aliased = || new.fields.iter().find(|other| other.aliases.contains(&field.name));
    let cased = || new.fields.iter().find(|other| other.name.eq_ignore_ascii_case(&field.name));
    same.or_else(aliased).or_else(cased)
}

/// The fields that have an alias which is the name of another one.
fn ambiguous(record: &RecordSchema) -> Vec<(&str, &str)> {
    let others = |field: &RecordField, alias: &str| {
        let is_it = |other: &RecordField| other.name != field.name && other.name.eq_ignore_ascii_case(alias);
        record.fields.iter().any(is_it)
    };
    let aliases = record.fields.iter().flat_map(|field| field.aliases.iter().map(move |alias| (field, alias)));
    aliases.filter(|(field, alias)| others(field, alias)).map(|(field, alias)| (&*field.name, &**alias)).collect()
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests;
