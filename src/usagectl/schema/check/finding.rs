//! The differences between two schemas.

/// Whether a change is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schema) enum Verdict {
    /// All readers read all rows.
    Safe,
    /// Some reader fails on some rows, or misreads them.
    Unsafe,
}

impl Verdict {
    /// Its name in the output.
    pub(in crate::schema) fn name(self) -> &'static str {
        match self {
            Verdict::Safe => "safe",
            Verdict::Unsafe => "unsafe",
        }
    }
}

/// One difference between two schemas.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::schema) struct Finding {
    /// The path of the field.
    pub path: String,
    /// What changed.
    pub change: String,
    /// Whether that is safe.
    pub verdict: Verdict,
    /// Why, and what to do instead.
    pub reason: String,
}

impl Finding {
    /// A difference at `path`.
    pub(in crate::schema) fn new(
        path: &str,
        change: impl Into<String>,
        verdict: Verdict,
        reason: impl Into<String>,
    ) -> Finding {
        Finding { path: path.to_owned(), change: change.into(), verdict, reason: reason.into() }
    }
}
