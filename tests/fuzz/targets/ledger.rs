//! The pages and states of the ledger: what is read and written again is the same.

use usage_aggregator::fold;
use usage_aggregator::ledger::{PageContent, PageKind};
use usage_aggregator::usage::Segment;

/// The content of a page.
pub(crate) fn ledger_page(data: &[u8]) {
    let Some(frame) = frame(data) else { return };
    let Ok(page) = PageContent::read(&frame, &PageKind::Usage, name_of(data)) else { return };
    for group in &page.groups {
        _ = (group.key.counter_key(), group.key.event_hour(), group.key.without_hour());
        assert_eq!(group.columns.len(), page.measures.len());
        group.columns.iter().for_each(|column| _ = column.value(group.ids.len()));
    }
    let again = page.clone().into_page(Segment::at(0), &PageKind::Usage);
    assert_eq!(PageContent::read(&again.data, &PageKind::Usage, again.name), Ok(page));
}

/// The content of a state.
pub(crate) fn ledger_state(data: &[u8]) {
    let Some(frame) = frame(data) else { return };
    if let Ok(again) = fold::rewritten_state(&frame) {
        assert_eq!(fold::rewritten_state(&again).as_ref(), Ok(&again));
    }
}

/// The compressed frame that either is in.
pub(crate) fn ledger_frame(data: &[u8]) {
    assert!(PageContent::read(data, &PageKind::Usage, 0).is_err());
}

/// A Zstandard frame (RFC 8878) with one uncompressed block, because compressing takes longer than reading.
fn frame(content: &[u8]) -> Option<Vec<u8>> {
    const MAX_BLOCK_BYTES: usize = 128 * 1024;
    let size = u32::try_from(content.len()).ok().filter(|_| content.len() <= MAX_BLOCK_BYTES)?;
    // The descriptor: a single segment, whose size has four bytes. The block is the last one.
    let (descriptor, block) = ([0xA0], size << 3 | 1);
    Some([&[0x28, 0xB5, 0x2F, 0xFD], &descriptor[..], &size.to_le_bytes(), &block.to_le_bytes()[..3], content].concat())
}

/// The name of a page with this content.
fn name_of(content: &[u8]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for part in [content, b"", b"", b""] {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().as_bytes().iter().take(8).fold(0, |name, byte| name << 8 | u64::from(*byte))
}
