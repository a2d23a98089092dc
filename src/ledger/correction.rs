//! Corrections: pages that people put. A correction adds an amount, as a record of its own. A void takes back records.

use super::page::{Page, PageContent, PageKind, pages};
use super::wire::Damaged;
use crate::decimal::Decimal;
use crate::record::RecordId;
use crate::usage::{Addition, CounterKey, Effect, Group, Segment};

/// Who corrects, why, and the name under which that is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the correction or void, unique within the ledger.
    pub id: String,
    /// Who puts it.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl Signature {
    /// The id of the record that adds a correction's amount: a hash of the name, the author and the reason.
    pub fn record_id(&self) -> RecordId {
        let mut hasher = blake3::Hasher::new();
        for part in ["correction", &self.id, &self.author, &self.reason] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        RecordId(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
    }

    /// The page that adds `amount` to a measure of a group.
    ///
    /// # Errors
    /// If it doesn't fit into a page.
    pub fn correction(
        &self,
        minute: Segment,
        key: &CounterKey,
        (measure, amount): (&str, Decimal),
        generation: u64,
    ) -> Result<(Page, PageKind), Damaged> {
        let effect = Effect { record: 0, id: self.record_id(), amounts: vec![Addition::sum(measure, amount)] };
        let group = Group { key: key.clone(), segment: minute, event_hour: None, effects: vec![effect] };
        let kind = PageKind::Correction(self.author.clone(), self.reason.clone());
        // The whole id, so that a correction never lowers the number of bytes by which the records of its minute are compared.
        let pages = pages(&[group], generation, 16);
        let [page] = pages.as_slice() else { return Err(Damaged("it doesn't fit into one page")) };
        let content = PageContent::read(&page.data, &PageKind::Usage, page.name)?;
        Ok((content.into_page(minute, &kind), kind))
    }

    /// The page that takes back the records in `content`.
    pub fn void(&self, minute: Segment, content: PageContent) -> (Page, PageKind) {
        let kind = PageKind::Void(self.author.clone(), self.reason.clone());
        (content.into_page(minute, &kind), kind)
    }
}

impl PageContent {
    /// The first 8 bytes of the id of each record. Pages of one minute may hold ids of different lengths, so this is what they are
    /// compared by.
    pub fn short_ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.groups.iter().flat_map(|group| &group.ids).map(|id| self.short_id(*id))
    }

    /// The first 8 bytes of one of its ids.
    pub fn short_id(&self, id: u128) -> u64 {
        let bits = 8 * u32::from(self.id_bytes.saturating_sub(8));
        u64::try_from(id.checked_shr(bits).unwrap_or_default()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Measures;
    use crate::usage::Cell;

    fn signature(id: &str, author: &str, reason: &str) -> Signature {
        Signature { id: id.to_owned(), author: author.to_owned(), reason: reason.to_owned() }
    }

    #[test]
    fn a_corrections_record_is_identified_by_its_name_author_and_reason() {
        let one = signature("1", "ann", "late").record_id();
        assert_eq!(one, signature("1", "ann", "late").record_id());
        for other in [signature("2", "ann", "late"), signature("1", "bob", "late"), signature("1", "ann", "early")] {
            assert_ne!(one, other.record_id());
        }
        assert_ne!(signature("1a", "nn", "late").record_id(), one, "texts have their lengths in front");
    }

    #[test]
    fn an_id_begins_with_the_same_8_bytes_however_many_are_stored() {
        let whole = 0x5d41_402a_bc4b_2a76_b971_9d91_1017_c592_u128;
        for id_bytes in 8..=16_u8 {
            let content = PageContent { generation: 1, id_bytes, measures: Measures::default(), groups: Vec::new() };
            assert_eq!(content.short_id(whole >> (8 * u32::from(16 - id_bytes))), 0x5d41_402a_bc4b_2a76);
        }
    }

    #[test]
    fn the_same_correction_is_the_same_page_and_reads_back() {
        let key = CounterKey(vec!["7".to_owned(), "orders".to_owned()]);
        let minute = Segment::parse("2026-11-28T08:57").unwrap();
        let add = |id: &str, amount: &str| {
            let amount = Decimal::parse(amount).unwrap();
            signature(id, "ann", "late").correction(minute, &key, ("amount", amount), 1).unwrap()
        };
        let (page, kind) = add("1", "-12.5");
        assert_eq!(add("1", "-12.5").0, page);
        assert_ne!(add("2", "-12.5").0.name, page.name);
        let content = PageContent::read(&page.data, &kind, page.name).unwrap();
        let [group] = content.groups.as_slice() else { panic!("{content:?}") };
        assert_eq!(group.key.counter_key(), Ok(key.clone()));
        assert_eq!(group.columns[0].value(0).and_then(Cell::number), Decimal::parse("-12.5").ok());
        assert!(PageContent::read(&page.data, &PageKind::Usage, page.name).is_err(), "the name covers the kind");
    }
}
