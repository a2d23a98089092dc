//! Asks for the table or file, and for the folder, if the command line doesn't name them and someone can answer.

use std::fmt;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::shell::console::{self, UsageError};
use crate::shell::resource_names::table_name;

/// Where the items come from.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A table.
    Table(String),
    /// A file, or stdin for `-`.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Table(name) => write!(f, "the table {name}"),
            Origin::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What the draft needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    /// Where the items come from.
    pub origin: Origin,
    /// The folder to create.
    pub out: PathBuf,
}

/// Completes what the command line says.
///
/// # Errors
/// If something is missing and stdin is not a terminal.
pub(super) fn answers(records: Option<&Path>, table: Option<&str>, out: Option<&Path>) -> anyhow::Result<Answers> {
    let can_ask = io::stdin().is_terminal();
    let origin = match (records, table) {
        (Some(path), _) => Origin::File(path.to_owned()),
        (None, Some(name)) => Origin::Table(checked(name)?),
        (None, None) if can_ask => {
            origin(&ask("Name of a table, or path of a file with an event or the output of a scan:")?)?
        }
        (None, None) => {
            let remedy = "add the path of a file with an event or a scan, or --table NAME";
            return Err(UsageError(format!("no items to draft a pipeline from: {remedy}")).into());
        }
    };
    let out = match (out, usual_folder(&origin)) {
        (Some(out), _) => out.to_owned(),
        (None, Some(usual)) if can_ask && records.is_none() && table.is_none() => {
            let answer = ask(&format!("Folder for the pipeline [{usual}]:"))?;
            PathBuf::from(if answer.is_empty() { usual } else { answer })
        }
        (None, Some(usual)) => PathBuf::from(usual),
        (None, None) => return Err(UsageError("name the folder to create with --out DIR".to_owned()).into()),
    };
    Ok(Answers { origin, out })
}

/// An existing file, or else a table.
fn origin(answer: &str) -> Result<Origin, UsageError> {
    let path = Path::new(answer);
    if path.is_file() {
        return Ok(Origin::File(path.to_owned()));
    }
    checked(answer).map(Origin::Table).map_err(|error| UsageError(format!("{error}, and no file has this name")))
}

fn checked(name: &str) -> Result<String, UsageError> {
    table_name(name).map_err(|mistake| UsageError(format!("--table: {mistake}")))
}

/// A folder with the name of the table or file, as far as a deployed pipeline can have it.
fn usual_folder(origin: &Origin) -> Option<String> {
    let name = match origin {
        Origin::Table(name) => name.clone(),
        Origin::File(path) if path == Path::new("-") => return None,
        Origin::File(path) => path.file_name()?.to_string_lossy().split('.').next()?.to_owned(),
    };
    let folder: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let folder = folder.trim_matches('-').to_lowercase();
    (!folder.is_empty()).then_some(folder)
}

fn ask(question: &str) -> anyhow::Result<String> {
    console::note(question);
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).context("read the answer from stdin")?;
    Ok(answer.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_has_the_name_of_the_table_or_file() {
        let usual = |origin: Origin| usual_folder(&origin);
        assert_eq!(usual(Origin::Table("My_Visits.2".to_owned())).as_deref(), Some("my-visits-2"));
        assert_eq!(usual(Origin::File("data/scan.json.gz".into())).as_deref(), Some("scan"));
        assert_eq!(usual(Origin::File("-".into())), None);
    }

    #[test]
    fn without_a_terminal_what_is_missing_is_an_error() {
        let given = answers(Some(Path::new("scan.json")), None, Some(Path::new("mine"))).unwrap();
        assert_eq!(given, Answers { origin: Origin::File("scan.json".into()), out: "mine".into() });
        let table = answers(None, Some("visits"), None).unwrap();
        assert_eq!(table, Answers { origin: Origin::Table("visits".to_owned()), out: "visits".into() });
        assert!(answers(Some(Path::new("-")), None, None).unwrap_err().to_string().contains("--out DIR"));
        assert!(answers(None, Some("a/b"), None).unwrap_err().to_string().starts_with("--table: "));
    }
}
