//! The ledger: what batches count, as immutable pages, and what folds derive from them, as versioned states.
//!
//! A page holds the records of one minute that one batch counted. It is named by its content, so putting it again
//! changes nothing, and a page of another cut of the batch is another page that holds some of the same records. The fold
//! reads all pages of a minute and takes each record once ([`crate::fold`]).

mod correction;
mod frame;
mod group_key;
mod measure;
mod moment;
mod page;
mod table;
mod window_key;
mod wire;

pub use crate::usage::Aggregate;
pub use correction::Signature;
pub(crate) use frame::content_of;
pub use group_key::GroupKey;
pub use measure::{Measure, Measures};
pub use moment::{read_moment, write_moment};
pub use page::{Column, Page, PageContent, PageGroup, PageKind, pages};
pub(crate) use table::page_name;
pub use table::{
    ALERTS, AlertItem, Audit, CUT, CUTS, DEFINITIONS, LedgerTable, MAX_BUCKETS, PAGES, PageRef, ReadPage, Registered,
    SHOWN, STATES, StateItem, Swap,
};
pub(crate) use window_key::GRACE_DAYS;
pub use window_key::{Level, WindowKey, is_expiring};
pub use wire::{Damaged, Reader, Writer};
