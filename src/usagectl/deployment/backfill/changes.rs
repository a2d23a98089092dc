//! The items that an incremental export or the stream has changed, as they were at the cut. They replace what the full export
//! or scan shows, and are kept in a file, so that a command that continues finds the same ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::cut::AtCut;
use super::export;
use super::item::{ItemKey, Line};
use super::lines::Lines;
use super::record::{Entry, Purpose};

/// What replaces an item.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Replacement {
    /// It didn't exist.
    Nothing,
    /// It was this.
    Image(String, Purpose),
    /// What it was can't be told.
    Refused(String),
}

/// The items that are replaced.
#[derive(Debug, Default)]
pub(super) struct Replaced(BTreeMap<ItemKey, Replacement>);

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    #[serde(rename = "Keys", borrow)]
    keys: &'a RawValue,
    #[serde(rename = "NewImage", borrow, skip_serializing_if = "Option::is_none")]
    image: Option<&'a RawValue>,
    #[serde(rename = "Archived", default)]
    is_archived: bool,
    #[serde(rename = "Refused", skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

impl Replaced {
    /// Takes the lines of an incremental export.
    ///
    /// # Errors
    /// If the file is damaged, or a line can't be read.
    pub(super) fn take_lines(
        &mut self,
        file: &export::File,
        mut lines: Lines,
        names: &[String],
        purpose: Purpose,
    ) -> anyhow::Result<()> {
        while let Some(line) = lines.next() {
            let line = line?;
            let taken = file.dynamodb_json(&line).and_then(|json| self.take_line(&json, names, purpose));
            taken.map_err(|reason| anyhow::anyhow!("{} {reason}", lines.place()))?;
        }
        Ok(())
    }

    /// Takes a line of an incremental export in DynamoDB JSON.
    ///
    /// # Errors
    /// What the line lacks.
    pub(super) fn take_line(&mut self, line: &str, names: &[String], purpose: Purpose) -> Result<(), String> {
        let Line { key, image } = Line::read(line, names)?;
        let image = image.map(|image| Replacement::Image(image.to_owned(), purpose));
        self.0.insert(key, image.unwrap_or(Replacement::Nothing));
        Ok(())
    }

    /// Takes what the stream says about an item.
    pub(super) fn take(&mut self, key: ItemKey, at_cut: Result<AtCut, &'static str>) {
        let replacement = match at_cut {
            Ok(AtCut { image: None, .. }) => Replacement::Nothing,
            Ok(AtCut { image: Some(image), is_archived: true }) => Replacement::Image(image, Purpose::Counted),
            Ok(AtCut { image: Some(image), is_archived: false }) => Replacement::Image(image, Purpose::Whole),
            Err(reason) => Replacement::Refused(reason.to_owned()),
        };
        self.0.insert(key, replacement);
    }

    /// Whether an item is replaced.
    pub(super) fn contains(&self, key: &ItemKey) -> bool {
        self.0.contains_key(key)
    }

    /// The items that existed, in the order of their keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.0.iter().filter_map(|(key, replacement)| match replacement {
            Replacement::Nothing => None,
            Replacement::Image(image, purpose) => {
                Some(Entry::Item { key: key.clone(), image: image.clone(), purpose: *purpose })
            }
            Replacement::Refused(reason) => {
                Some(Entry::Refused { item: key.json().to_owned(), reason: reason.clone() })
            }
        })
    }

    /// Writes them to a file in one step.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let part = path.with_extension("part");
        let writing = || format!("write {}", part.display());
        let mut file = GzEncoder::new(std::fs::File::create(&part).with_context(writing)?, Compression::fast());
        for (key, replacement) in &self.0 {
            let image = match replacement {
                Replacement::Image(image, _) => Some(serde_json::from_str(image)?),
                _ => None,
            };
            let written = Written {
                keys: serde_json::from_str(key.json())?,
                image,
                is_archived: matches!(replacement, Replacement::Image(_, Purpose::Counted)),
                refused: match replacement {
                    Replacement::Refused(reason) => Some(reason.clone()),
                    _ => None,
                },
            };
            writeln!(file, "{}", serde_json::to_string(&written)?).with_context(writing)?;
        }
        file.finish().with_context(writing)?;
        std::fs::rename(&part, path).with_context(|| format!("write {}", path.display()))
    }

    /// Reads the file again. `purpose` is that of items that the stream hasn't archived.
    ///
    /// # Errors
    /// If it can't be read.
    pub(super) fn read(path: &Path, names: &[String], purpose: Purpose) -> anyhow::Result<Replaced> {
        let file = std::fs::File::open(path).with_context(|| format!("read {}", path.display()))?;
        let mut replaced = BTreeMap::new();
        for line in Lines::new(&path.display().to_string(), file, None) {
            let line = line?;
            let written: Written<'_> =
                serde_json::from_str(&line).with_context(|| format!("read {}", path.display()))?;
            let key = ItemKey::of(written.keys.get(), names).map_err(anyhow::Error::msg)?;
            let purpose = if written.is_archived { Purpose::Counted } else { purpose };
            let replacement = match (written.refused, written.image) {
                (Some(reason), _) => Replacement::Refused(reason),
                (None, Some(image)) => Replacement::Image(image.get().to_owned(), purpose),
                (None, None) => Replacement::Nothing,
            };
            replaced.insert(key, replacement);
        }
        Ok(Replaced(replaced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let names = ["pk".to_owned()];
        let key = |name: &str| ItemKey::of(&format!(r#"{{"pk":{{"S":"{name}"}}}}"#), &names).unwrap();
        let image = |name: &str| Some(format!(r#"{{"pk":{{"S":"{name}"}}, "n":{{"N":"1"}}}}"#));
        let mut replaced = Replaced::default();
        replaced.take(key("a"), Ok(AtCut { image: image("a"), is_archived: false }));
        replaced.take(key("b"), Ok(AtCut { image: image("b"), is_archived: true }));
        replaced.take(key("c"), Ok(AtCut { image: None, is_archived: true }));
        replaced.take(key("d"), Err("no order"));
        let path = folder.path().join("changes.json.gz");
        replaced.write(&path).unwrap();
        let again = Replaced::read(&path, &names, Purpose::Whole).unwrap();
        assert_eq!(again.0, replaced.0);
        assert!(again.contains(&key("c")) && !again.contains(&key("e")));
        assert_eq!(again.entries().count(), 3);
    }
}
