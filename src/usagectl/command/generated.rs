//! `usagectl completions` and `usagectl man`: what clap generates from the command line.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_complete::Shell;
use serde_json::json;

use super::groups;
use crate::shell::console::{self, Done};
use crate::shell::options::Options;

const NAME: &str = "usagectl";

/// Print shell completions
#[derive(Debug, Args)]
#[command(after_help = SHELLS)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

const SHELLS: &str = "\
Examples:
  usagectl completions bash >~/.local/share/bash-completion/completions/usagectl
  usagectl completions zsh >~/.zfunc/_usagectl
  usagectl completions fish >~/.config/fish/completions/usagectl.fish";

impl Completions {
    /// Prints the completions.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut groups::plain(), NAME, &mut script);
        let script = String::from_utf8(script).context("generate the completions")?;
        console::print(&match options.json {
            true => json!({ "shell": self.shell.to_string(), "script": script }).to_string(),
            false => script.trim_end().to_owned(),
        })?;
        Ok(Done::Well)
    }
}

/// Write man pages
#[derive(Debug, Args)]
#[command(after_help = PAGES)]
pub(super) struct Man {
    /// Folder to write the pages to
    #[arg(long, value_name = "DIR", default_value = "man")]
    out: PathBuf,
}

const PAGES: &str = "\
Examples:
  usagectl man --out ~/.local/share/man/man1 && man usagectl-local";

impl Man {
    /// Writes the pages.
    pub(super) fn run(self, options: &Options) -> anyhow::Result<Done> {
        let shown = self.out.display();
        std::fs::create_dir_all(&self.out).with_context(|| format!("create the folder {shown}"))?;
        let pages = || format!("write man pages into {shown}");
        clap_mangen::generate_to(groups::plain(), &self.out).with_context(pages)?;
        let count = std::fs::read_dir(&self.out).with_context(pages)?.count();
        console::print(&match options.json {
            true => json!({ "out": self.out, "pages": count }).to_string(),
            false => format!("{shown}: {}", console::counted(count, "page")),
        })?;
        Ok(Done::Well)
    }
}
