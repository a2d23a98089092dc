//! Compares two versions of a schema: every difference, whether it is safe, and why. Safe means that Avro's schema resolution
//! reads old rows with the new schema and new rows with the old one, and that the columns keep their meaning.

use std::collections::HashMap;

use super::finding::{Finding, Verdict};
use super::kind::kind;
use apache_avro::schema::{Name, RecordField, RecordSchema, ResolvedSchema, Schema, UnionSchema};

/// The schema attributes that define what a field contains.
const MEANING: [&str; 3] = ["source", "attribute", "unit"];

/// All differences between two record schemas.
pub(super) fn compare(old: &Schema, new: &Schema) -> Vec<Finding> {
    let names = |schema| ResolvedSchema::new(schema).map(|resolved| resolved.get_names().clone()).unwrap_or_default();
    let mut comparison = Comparison { old: names(old), new: names(new), within: Vec::new(), findings: Vec::new() };
    comparison.types("", old, new);
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
            (old, Schema::Union(new)) => self.paragraph(path, old, new),
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
            (Schema::Fixed(old), Schema::Fixed(new)) => {
                self.same_name(path, &old.name, &new.name);
                if old.size != new.size {
                    self.unsafe_(
                        path,
                        format!("size {} becomes {}", old.size, new.size),
                        "readers can't convert it; add a new field",
                    );
                }
            }
            (old, new) => self.scalars(path, old, new),
        }
    }

    fn scalars(&mut self, path: &str, old: &Schema, new: &Schema) {
        let (before, after) = (kind(old), kind(new));
        if before == after {
            return;
        }
        let change = format!("{before} becomes {after}");
        match (before.as_str(), after.as_str()) {
            ("int", "long" | "float" | "double") | ("long", "float" | "double") | ("float", "double") => {
                self.unsafe_(path, change, "readers with the old schema can't read new rows; add a new field");
            }
            _ => self.unsafe_(path, change, "readers can't convert it; add a new field"),
        }
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
            match new.fields.iter().find(|other| other.name == field.name) {
                Some(other) => self.fields(&inner, field, other),
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
        for field in new.fields.iter().filter(|field| old.fields.iter().all(|other| other.name != field.name)) {
            let inner = joined(path, &field.name);
            match &field.default {
                Some(_) => self.safe(&inner, "added", "old rows get its default"),
                None => self.unsafe_(&inner, "added", "old rows have no value for it; give it a default"),
            }
        }
        self.within.pop();
    }

    fn fields(&mut self, path: &str, old: &'s RecordField, new: &'s RecordField) {
        for name in MEANING {
            if old.custom_attributes.get(name) != new.custom_attributes.get(name) {
                let change = format!("`{name}` changed");
                self.unsafe_(
                    path,
                    change,
                    "the column would have a different meaning in old rows and new ones; add a new field",
                );
            }
        }
        if old.default.is_some() && new.default.is_none() {
            self.unsafe_(path, "default removed", "rows older than the field can't be read without it");
        } else if old.default != new.default {
            self.safe(path, "default changed", "only rows that lack the field are read differently");
        }
        self.types(path, &old.schema, &new.schema);
    }

    /// A type that became one branch of a union.
    fn paragraph(&mut self, path: &str, old: &'s Schema, new: &'s UnionSchema) {
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

fn resolved<'s>(names: &HashMap<Name, &'s Schema>, schema: &'s Schema) -> &'s Schema {
    match schema {
        Schema::Ref { name } => names.get(name).copied().unwrap_or(schema),
        schema => schema,
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests;
