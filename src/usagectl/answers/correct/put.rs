//! Puts a correction: first into the register, which refuses a name that stands for something else, then as a page, and waits
//! until it is folded. It may be killed at any point and run again.

use anyhow::Context;
use stream_types::Decimal;
use usage_aggregator::fold::Notice;
use usage_aggregator::ledger::{Page, PageContent, PageKind, Registered, Signature, WindowKey};
use usage_aggregator::time::Timestamp;

use super::PATIENCE;
use crate::ledger::{Open, is_same_author};
use crate::shell::console::UsageError;
use crate::shell::unsettled::Origin;
use crate::stack::Where;

/// How a window changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub window: WindowKey,
    pub before: Decimal,
    pub after: Decimal,
}

/// A page to put, under a name.
#[derive(Debug)]
pub(super) struct Draft {
    pub signature: Signature,
    pub page: Page,
    pub kind: PageKind,
}

impl Draft {
    /// The content of the page.
    pub(super) fn content(&self) -> anyhow::Result<PageContent> {
        PageContent::read(&self.page.data, &self.kind, self.page.name).context("read the page")
    }
}

impl From<Registered> for Draft {
    fn from(registered: Registered) -> Draft {
        let Registered { signature, kind, page, .. } = registered;
        Draft { signature, page, kind }
    }
}

/// When the snapshots show a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// They show it.
    Now,
    /// They will show it after the fold window.
    Soon,
}

impl Shown {
    /// As a sentence.
    pub(super) fn text(self) -> &'static str {
        match self {
            Shown::Now => "The snapshots show it.",
            Shown::Soon => "The snapshots show it after the fold window (FoldWindowSeconds, 30 s by default).",
        }
    }
}

/// Who folds the page.
#[derive(Debug)]
pub(super) enum Fold {
    /// The fold function of a stack.
    Function,
    /// A running `usagectl local`.
    Running(Origin),
    /// This command: nothing else uses the data folder.
    Here,
}

impl Fold {
    /// Who folds pages of a deployment. Must be found before the data folder is locked.
    pub(super) fn of(place: &Where, data: &std::path::Path) -> Fold {
        match Origin::find(data) {
            _ if !place.local => Fold::Function,
            running @ Origin::Running { .. } => Fold::Running(running),
            Origin::Stopped(_) => Fold::Here,
        }
    }
}

/// Puts a page, unless its name stands for another one.
///
/// # Errors
/// If the name is taken, or if the ledger can't be written.
pub(super) async fn put(ledger: &Open, fold: &Fold, draft: &Draft, now: Timestamp) -> anyhow::Result<Shown> {
    let table = &ledger.folder.ledger;
    let registered = table.register(&draft.signature, &draft.page, &draft.kind, None).await?;
    check_same(&registered, draft)?;
    // Its page may be of an earlier generation or of another session of the author, but never a second one.
    let page = table.put_page(&registered.page, &registered.kind, None).await?;
    table.note_put(&registered, None).await?;
    let notice = Notice { minute: registered.page.minute, page };
    match fold {
        Fold::Function => Ok(Shown::Soon),
        Fold::Running(origin) => {
            origin.until_folded(PATIENCE).await?;
            let unsettled = origin.read().await?;
            let waits = unsettled.is_some_and(|unsettled| unsettled.unfolded.is_some());
            Ok(if waits { Shown::Soon } else { Shown::Now })
        }
        Fold::Here => {
            let folded = ledger.folder.fold(&ledger.snapshot, &[notice], now, None).await.context("fold the page")?;
            match folded.error {
                Some(error) => Err(error).context("fold the page; run `usagectl ledger sweep` for the minute"),
                None => Ok(Shown::Now),
            }
        }
    }
}

/// Whether a page is in the ledger.
pub(super) async fn is_in_ledger(ledger: &Open, page: &Page) -> anyhow::Result<bool> {
    let names = ledger.folder.page_names(page.minute, None).await.context("read the ledger")?;
    Ok(names.iter().any(|found| found.name == page.name))
}

/// Checks that a registered correction is the one that is put.
///
/// # Errors
/// If the name stands for something else.
pub(super) fn check_same(registered: &Registered, draft: &Draft) -> Result<(), UsageError> {
    // The id of a correction's record follows from who puts it, and why.
    let ids = |content: &PageContent| match draft.kind {
        PageKind::Correction(..) => Vec::new(),
        _ => content.short_ids().collect(),
    };
    let amounts = |content: &PageContent| -> Vec<_> {
        content.groups.iter().map(|group| (group.key.clone(), group.columns.clone())).collect()
    };
    let one = &registered.content;
    let is_same = |other: PageContent| {
        ids(one) == ids(&other) && amounts(one) == amounts(&other) && one.measures == other.measures
    };
    let has_same_content = kind_name(&registered.kind) == kind_name(&draft.kind)
        && registered.page.minute == draft.page.minute
        && draft.content().is_ok_and(is_same);
    check_name(registered, &draft.signature, has_same_content)
}

/// Checks that what is registered is what the owner of this signature puts.
///
/// # Errors
/// If the name stands for something else.
pub(super) fn check_name(
    registered: &Registered,
    signature: &Signature,
    has_same_content: bool,
) -> Result<(), UsageError> {
    let Signature { id, author, reason } = &registered.signature;
    let has_same_signature = is_same_author(author, &signature.author) && *reason == signature.reason;
    let what = match (has_same_content, has_same_signature) {
        (true, true) => return Ok(()),
        // Under another name, it would count twice.
        (true, false) => "with the same values; to repeat it, specify the same --author and --reason",
        (false, _) => "with other values; choose another name, or leave --id out",
    };
    let (kind, minute) = (kind_name(&registered.kind), registered.page.minute.text());
    Err(UsageError(format!("--id: `{id}` is already the {kind} of {minute} by {author} ({reason}), {what}")))
}

/// What a page of this kind is called.
pub(super) fn kind_name(kind: &PageKind) -> &'static str {
    match kind {
        PageKind::Usage => "usage",
        PageKind::Correction(..) => "correction",
        PageKind::Void(..) => "void",
    }
}
