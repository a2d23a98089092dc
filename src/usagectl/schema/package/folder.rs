//! The files of a package: where they are taken from, and where they are written.

use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use usage_aggregator::pipeline::Folder;

use crate::shell::console::UsageError;

const TEMPLATE: &str = "template.yaml";
/// The folders of a package, each with the code of a function, and where cargo-lambda builds that code.
const FUNCTIONS: [(&str, &str); 2] =
    [("function", "target/lambda/usage-aggregator"), ("compact", "target/lambda/usage-compact")];
const BOOTSTRAP: &str = "bootstrap";
/// The folder of pipelines in a function's code.
pub(super) const PIPELINES: &str = "pipeline";
/// A file that only a package has.
const MARK: &str = ".usagectl-package";

/// What a package is made of.
pub(super) struct Parts {
    /// Path of the template.
    pub template_path: PathBuf,
    /// Text of the template.
    pub template: String,
    /// The function that reads the source and folds.
    pub function: Function,
    compact: Function,
}

/// A built function.
pub(super) struct Function {
    path: PathBuf,
}

impl Parts {
    /// Finds the template and the functions in `from`.
    pub(super) fn find(from: &Path) -> anyhow::Result<Parts> {
        let template_path = from.join(TEMPLATE);
        let template = fs::read_to_string(&template_path).with_context(|| {
            format!("read {}: use --from to name a folder with a template", template_path.display())
        })?;
        let [function, compact] = FUNCTIONS.map(|(packaged, built)| Function::find(from, packaged, built));
        Ok(Parts { template_path, template, function: function?, compact: compact? })
    }
}

impl Function {
    fn find(from: &Path, packaged: &str, built: &str) -> Result<Function, UsageError> {
        let candidates = [packaged, built].map(|folder| from.join(folder).join(BOOTSTRAP));
        let [first, second] = &candidates;
        let missing = format!(
            "find the function `{packaged}`: neither {} nor {} exists; build it with `make build build-compact`, or use --from to name an unpacked release",
            first.display(),
            second.display()
        );
        let found = candidates.into_iter().find(|path| path.is_file());
        found.map(|path| Function { path }).ok_or(UsageError(missing))
    }

    /// The architecture that the program was built for, as Lambda calls it.
    pub(super) fn architecture(&self) -> anyhow::Result<&'static str> {
        let shown = self.path.display();
        let mut header = [0; 20];
        let mut file = fs::File::open(&self.path).with_context(|| format!("open {shown}"))?;
        let read = file.read_exact(&mut header);
        // ELF's e_machine: 0xb7 is AArch64, 0x3e is x86-64.
        match (read, header) {
            (Ok(()), [0x7f, b'E', b'L', b'F', .., 0xb7, 0]) => Ok("arm64"),
            (Ok(()), [0x7f, b'E', b'L', b'F', .., 0x3e, 0]) => Ok("x86_64"),
            _ => bail!("{shown} is not a Linux program for arm64 or x86_64; build it with `make build`"),
        }
    }
}

/// The folder of the package.
pub(super) struct Output<'p> {
    path: &'p Path,
}

impl<'p> Output<'p> {
    /// Creates the folder. Only a folder that is empty or holds a package is written to.
    pub(super) fn open(path: &'p Path) -> anyhow::Result<Output<'p>> {
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("create the folder {shown}"))?;
        let is_empty = fs::read_dir(path).with_context(|| format!("list {shown}"))?.next().is_none();
        if !is_empty && !path.join(MARK).exists() {
            let remedy = "choose another folder with --out DIR";
            return Err(UsageError(format!("{shown} contains files that usagectl didn't write: {remedy}")).into());
        }
        fs::write(path.join(MARK), "").with_context(|| format!("write into {shown}"))?;
        Ok(Output { path })
    }

    /// Replaces the package.
    pub(super) fn write(&self, parts: &Parts, template: &str, pipeline: Option<&Folder>) -> anyhow::Result<()> {
        for ((name, _), function) in FUNCTIONS.into_iter().zip([&parts.function, &parts.compact]) {
            self.write_function(name, function, pipeline)?;
        }
        let path = self.path.join(TEMPLATE);
        fs::write(&path, template).with_context(|| format!("write {}", path.display()))
    }

    fn write_function(&self, name: &str, function: &Function, pipeline: Option<&Folder>) -> anyhow::Result<()> {
        let folder = self.path.join(name);
        let shown = folder.display();
        match fs::remove_dir_all(folder.join(PIPELINES)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("delete the earlier pipeline in {shown}"));
            }
            _ => {}
        }
        fs::create_dir_all(&folder).with_context(|| format!("create the folder {shown}"))?;
        let bootstrap = folder.join(BOOTSTRAP);
        if bootstrap.canonicalize().ok() != function.path.canonicalize().ok() {
            fs::copy(&function.path, &bootstrap)
                .with_context(|| format!("copy {} into {shown}", function.path.display()))?;
        }
        let Some(pipeline) = pipeline else { return Ok(()) };
        let own = folder.join(PIPELINES).join(&pipeline.name);
        fs::create_dir_all(&own).with_context(|| format!("create the folder {}", own.display()))?;
        for (file, text) in &pipeline.files {
            let path = own.join(file);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(())
    }
}
