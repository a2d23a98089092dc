//! Puts a correction: first into the register, which refuses a name that stands for something else, then as a page, and waits
//! until it is folded. It may be killed at any point and run again.

use anyhow::Context;
use stream_types::Decimal;
use usage_aggregator::fold::Notice;
use usage_aggregator::ledger::{Page, PageKind, Registered, Signature, WindowKey};
use usage_aggregator::time::Timestamp;

use super::PATIENCE;
use crate::ledger::Open;
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
    // Its page may be of an earlier generation, but never a second one.
    let page = table.put_page(&registered.page, &draft.kind, None).await?;
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

/// Checks that a registered correction is the one that is put.
///
/// # Errors
/// If the name stands for something else.
pub(super) fn check_same(registered: &Registered, draft: &Draft) -> Result<(), UsageError> {
    let (one, other) = (&registered.content, draft_content(draft));
    let is_same = registered.kind == draft.kind
        && registered.page.minute == draft.page.minute
        && other.is_some_and(|other| one.groups == other.groups && one.measures == other.measures);
    if is_same {
        return Ok(());
    }
    let Signature { id, author, reason } = &registered.signature;
    let minute = registered.page.minute.text();
    Err(UsageError(format!(
        "--id: `{id}` is already the {} of {minute} by {author} ({reason}), with other values; choose another name, or leave \
         --id out",
        kind_name(&registered.kind)
    )))
}

fn draft_content(draft: &Draft) -> Option<usage_aggregator::ledger::PageContent> {
    usage_aggregator::ledger::PageContent::read(&draft.page.data, &draft.kind, draft.page.name).ok()
}

/// What a page of this kind is called.
pub(super) fn kind_name(kind: &PageKind) -> &'static str {
    match kind {
        PageKind::Usage => "usage",
        PageKind::Correction(..) => "correction",
        PageKind::Void(..) => "void",
    }
}
