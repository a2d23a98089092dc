//! What comes of comparing two schemas.

/// Whether a change may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Safe,
    Unsafe,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Safe => "safe",
            Verdict::Unsafe => "unsafe",
        }
    }
}

/// One difference.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// The field, by its path.
    pub path: String,
    pub change: String,
    pub verdict: Verdict,
    pub reason: String,
}

impl Finding {
    pub fn new(path: &str, change: impl Into<String>, verdict: Verdict, reason: impl Into<String>) -> Finding {
        Finding { path: path.to_owned(), change: change.into(), verdict, reason: reason.into() }
    }
}
