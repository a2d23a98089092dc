//! The usage table of a stack, a little at a time, while somebody looks at the page.

use std::convert::Infallible;
use std::time::Duration;

use super::calls::USAGE_UNITS;
use super::sizes::Sizes;
use super::source::{StackSource, lock};
use crate::page::usage::{Pace, UsageTable};
use crate::page::{Page, Usage};
use crate::shell::failure;

/// How long to pause after the table has been read.
const PAUSE: Duration = Duration::from_secs(60);
/// The longest time that reading the table once may take. A larger table isn't read.
const LONGEST_PASS_MINUTES: u32 = 15;

impl StackSource {
    /// Reads the usage table again and again while somebody looks at the page. If it is too large, it isn't read.
    pub(super) async fn keep_usage(&self, page: &Page) -> anyhow::Result<Infallible> {
        loop {
            page.until_seen().await;
            match self.read_usage(Some(page)).await {
                Ok(usage) => page.set_usage(usage),
                Err(error) => self.set_usage_error(&error),
            }
            page.publish(self.document(page)?);
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads the usage table once, without pauses. It isn't larger than what is read in fifteen minutes otherwise.
    pub(super) async fn read_usage_now(&self, page: &Page) {
        match self.read_usage(None).await {
            Ok(usage) => page.set_usage(usage),
            Err(error) => self.set_usage_error(&error),
        }
    }

    async fn read_usage(&self, page: Option<&Page>) -> anyhow::Result<Option<Usage>> {
        let (Some(tables), Some(snapshot)) = (&self.config.tables, &self.snapshot) else { return Ok(None) };
        if is_too_large(&self.sizes) {
            return Ok(None);
        }
        let pace = Pace::Units { per_minute: f64::from(USAGE_UNITS) };
        let routes = &self.config.pipeline.routes;
        let table = UsageTable { client: &self.clients.dynamodb, name: &tables.usage, snapshot, routes, pace };
        let mut pass = table.pass(event_source_mapping::now()?);
        let mut counted = 0.0;
        while let Some(pause) = pass.read_page().await? {
            lock(&self.spent).units += pass.units - counted;
            counted = pass.units;
            if let Some(page) = page {
                tokio::time::sleep(pause).await;
                page.until_seen().await;
            }
        }
        let usage = pass.finish().await?;
        *lock(&self.usage_error) = None;
        Ok(Some(usage))
    }

    fn set_usage_error(&self, error: &anyhow::Error) {
        *lock(&self.usage_error) = Some(failure::describe(error));
    }
}

/// Whether reading the usage table would take too long.
pub(super) fn is_too_large(sizes: &Sizes) -> bool {
    sizes.usage_units().is_some_and(|units| units > f64::from(LONGEST_PASS_MINUTES * USAGE_UNITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_read_in_fifteen_minutes_is_read() {
        let of = |bytes| is_too_large(&Sizes { usage_bytes: Some(bytes), ..Sizes::default() });
        // 15 minutes × 1,500 units × 8 KB.
        assert_eq!([of(0.0), of(184_320_000.0), of(185_000_000.0)], [false, false, true]);
        assert!(!is_too_large(&Sizes::default()), "what isn't known is tried");
    }
}
