//! The first half of a run: what waits in the destinations, and which of it can be redriven.

use crate::deployment::redrive::bucket::mapping_of;
use crate::deployment::redrive::document::Document;
use futures::{StreamExt, stream};

use super::Session;
use super::settle::Positions;
use crate::deployment::redrive::waiting::{Content, Spot, Waiting, by_cause, line};
use crate::shell::console;

/// Documents that are read at once.
const READS: usize = 8;

impl Session<'_> {
    /// What waits, the oldest first, and the messages among it.
    pub(super) async fn list(&mut self) -> anyhow::Result<(Vec<Waiting>, Vec<Positions>)> {
        let progress = console::spinner("documents read");
        let (mut waiting, mut messages) = (Vec::new(), Vec::new());
        if let Some(bucket) = &self.places.bucket {
            let keys = bucket.keys().await?.into_iter();
            let read = |key: String| async move { anyhow::Ok((bucket.read(&key).await?, key)) };
            let mut objects = stream::iter(keys.map(read)).buffered(READS);
            while let Some(object) = objects.next().await {
                let (Some(body), key) = object? else { continue };
                let content = self.look(&body, mapping_of(&key)).map(|document| Content::from(&document));
                waiting.push(Waiting { spot: Spot::Object { bucket: bucket.name.clone(), key }, content });
                progress.inc(1);
            }
        }
        if let Some(queue) = &self.places.queue {
            for message in queue.receive(|| progress.inc(1)).await? {
                let looked = self.look_at_positions(message.body.as_bytes());
                let content = looked.as_ref().map(Content::from).map_err(Clone::clone);
                waiting.push(Waiting { spot: Spot::Message { id: message.id.clone() }, content });
                if let Ok(document) = looked {
                    self.queued.insert(document.position.clone());
                    messages.push(Positions { id: message.id, document });
                }
            }
        }
        progress.finish_and_clear();
        waiting.sort_by_key(|waiting| waiting.content.as_ref().ok().and_then(|content| content.first_arrival));
        Ok((waiting, messages))
    }

    /// The document of an object, if it can be redriven.
    pub(super) fn look(&self, body: &[u8], mapping: Option<&str>) -> Result<Document, String> {
        let document = Document::parse(body)?;
        document.payload_records()?;
        self.expected.refuses(&document, mapping).map_or(Ok(document), Err)
    }

    fn look_at_positions(&self, body: &[u8]) -> Result<Document, String> {
        let document = Document::parse(body)?;
        self.expected.refuses(&document, None).map_or(Ok(document), Err)
    }

    pub(super) fn tell(&mut self, waiting: &[Waiting]) -> anyhow::Result<()> {
        for waiting in waiting {
            if self.options.json {
                console::print(&line(waiting, &self.limits).to_string())?;
            }
            if let Err(why) = &waiting.content {
                self.report.left_alone(&waiting.spot, why)?;
            }
        }
        let usable = waiting.iter().filter(|waiting| waiting.content.is_ok()).count();
        if !self.options.json && usable > 0 {
            console::print(&by_cause(waiting, &self.limits))?;
        }
        Ok(())
    }
}
