//! Notices: which pages are new. The ledger table's stream delivers them.

use std::str::FromStr;

use crate::ledger::{PAGES, PageRef};
use crate::usage::Segment;

/// A page that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Notice {
    /// The minute of its records.
    pub minute: Segment,
    /// The page within its minute.
    pub page: PageRef,
}

impl Notice {
    /// The page with these keys, if it is one of `pipeline`.
    pub fn of(pipeline: &str, key: &str, sort_key: &str) -> Option<Notice> {
        let rest = key.strip_prefix(PAGES)?.strip_prefix(pipeline)?.strip_prefix('#')?;
        let (minute, bucket) = rest.split_once('#')?;
        let minute = Segment::parse(minute)?;
        let page = PageRef { bucket: u8::from_str(bucket).ok()?.into(), name: crate::ledger::page_name(sort_key)? };
        Some(Notice { minute, page })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_the_key_of_a_page_of_the_pipeline() {
        let notice = Notice::of("orders", "p#orders#2026-11-28T08:57#3", "00ff00ff00ff00ff").unwrap();
        assert_eq!(
            (notice.minute.text(), notice.page),
            ("2026-11-28T08:57".to_owned(), PageRef { bucket: 3, name: 0xff_00ff_00ff_00ff })
        );
        for (key, sort_key) in [
            ("s#orders#2026-11-28T08", "2026-11-28T08:57/"),
            ("p#other#2026-11-28T08:57#3", "00ff00ff00ff00ff"),
            ("p#orders2#2026-11-28T08:57#3", "00ff00ff00ff00ff"),
            ("p#orders#2026-11-28T08:57", "00ff00ff00ff00ff"),
            ("p#orders#2026-11-28T08#3", "00ff00ff00ff00ff"),
            ("p#orders#2026-11-28T08:57#3", "00ff"),
            ("p#orders#2026-11-28T08:57#3", "00FF00FF00FF00FF"),
            ("p#orders#2026-11-28T08:57#-1", "00ff00ff00ff00ff"),
            ("p#orders#2026-11-28T08:57#256", "00ff00ff00ff00ff"),
        ] {
            assert_eq!(Notice::of("orders", key, sort_key), None, "{key} {sort_key}");
        }
    }
}
