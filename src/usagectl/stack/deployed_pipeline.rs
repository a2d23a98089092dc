//! The pipeline that the template of a stack carries, for commands that know the stack but have no folder.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use event_source_mapping::write_atomically;
use serde::Deserialize;
use usage_aggregator::pipeline::Folder;

use super::Account;
use super::carried::CARRIED;
use crate::shell::console::plain;

/// The folder in the data folder that has a folder for each stack.
const STACKS: &str = "stacks";

#[derive(Deserialize)]
struct Carried {
    name: String,
    files: BTreeMap<String, String>,
}

/// The pipeline in a deployed template. `None` if the template is for the shipped pipelines.
///
/// # Errors
/// If the pipeline is damaged.
pub fn carried(template: &str) -> anyhow::Result<Option<Folder>> {
    // A template is YAML, or JSON if another tool has transformed it.
    let Some((_, rest)) = template.split_once(CARRIED) else { return Ok(None) };
    let value = rest.trim_start_matches(['"', '\'', ':', ' ', '\n']);
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    let value = value.split(|c| !is_base64(c)).next().unwrap_or_default();
    decoded(value).map(Some).with_context(|| format!("read the pipeline in the metadata `{CARRIED}` of the template"))
}

fn decoded(value: &str) -> anyhow::Result<Folder> {
    let Carried { name, files } = serde_json::from_slice(&STANDARD.decode(value)?)?;
    // The folder of this name is replaced, and the files are written into it: neither may lead elsewhere.
    if let Some(name) = files.keys().chain([&name]).find(|name| !is_plain(name)) {
        bail!("`{}` is not the name of a file or folder", plain(name));
    }
    Ok(Folder { name, files })
}

/// Whether a name is that of something in its folder, and nowhere else.
fn is_plain(name: &str) -> bool {
    let mut components = Path::new(name).components();
    let first = components.next();
    matches!(first, Some(Component::Normal(first)) if first == name) && components.next().is_none()
}

/// Writes the pipeline that the template of `stack` carries into the folder `data`, and returns the pipeline's folder.
///
/// # Errors
/// If the template can't be read or carries no pipeline, or if the folder can't be written.
pub(super) async fn unpacked(account: &Account, stack: &str, data: &Path) -> anyhow::Result<PathBuf> {
    let template = account.template(stack).await?.unwrap_or_default();
    let pipeline = carried(&template)?.with_context(|| {
        format!("the template of the stack {stack} doesn't contain the pipeline; choose one with --pipeline-dir")
    })?;
    let folder = data.join(STACKS).join(stack).join(&pipeline.name);
    if Folder::read(&folder).is_ok_and(|known| known == pipeline) {
        return Ok(folder);
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("delete the earlier pipeline in {}", folder.display()));
        }
        _ => {}
    }
    for (name, text) in &pipeline.files {
        write_atomically(&folder.join(name), text)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::super::carried::encoded;
    use super::*;

    #[test]
    fn a_pipeline_is_read_back_however_the_template_is_written() {
        let files = [("pipeline.toml".to_owned(), "# größe\n".to_owned())].into();
        let folder = Folder { name: "mine".to_owned(), files };
        let value = encoded(&folder);
        for template in [
            format!("Metadata:\n  {CARRIED}: {value}\nResources: {{}}\n"),
            format!("Metadata:\n  {CARRIED}: '{value}'\n"),
            format!("{{\"Metadata\":{{\"{CARRIED}\":\"{value}\"}},\"Resources\":{{}}}}"),
        ] {
            assert_eq!(carried(&template).unwrap(), Some(folder.clone()), "{template}");
        }
        assert_eq!(carried("Resources: {}\n").unwrap(), None);
    }

    #[test]
    fn a_damaged_pipeline_is_reported() {
        let error = carried(&format!("{CARRIED}: e30=\n")).unwrap_err();
        assert!(error.to_string().contains("read the pipeline in the metadata"), "{error:#}");
    }

    #[test]
    fn regression_a_template_cannot_make_usagectl_delete_or_write_elsewhere() {
        let carried = |name: &str, file: &str| {
            let folder = Folder { name: name.to_owned(), files: [(file.to_owned(), String::new())].into() };
            carried(&format!("{CARRIED}: {}\n", encoded(&folder)))
        };
        assert!(carried("mine", "pipeline.toml").is_ok());
        for elsewhere in ["..", ".", "", "/etc", "../../other", "a/..", "a/b", "a/", "./a"] {
            assert!(carried(elsewhere, "pipeline.toml").is_err(), "{elsewhere}");
            assert!(carried("mine", elsewhere).is_err(), "{elsewhere}");
        }
    }
}
