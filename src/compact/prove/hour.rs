//! One hour: its rows in as many passes as they need memory, and what was counted without a row.

use tokio::time::Instant;
use usage_aggregator::error::Error;

use super::counted::Counted;
use super::files::{self, Files};
use super::found::Doubt;
use super::heads::{self, Heads};
use super::{ArchiveDifference, ArchiveWrong, Proof, Prover, hour_name, replay};
use crate::steps::Step;

/// In the most passes, each has so few items that one of them must be too large.
const MAX_PASSES: u64 = 4_096;

impl Prover<'_> {
    /// Proves the hour that begins at this second, after the rows that `heads` remembers.
    pub(super) async fn prove_hour(
        &self,
        from: i64,
        files: &Files,
        heads: &mut Heads,
        deadline: Option<Instant>,
    ) -> Result<Proof, Error> {
        let mut counted = Counted::read(self, from, deadline).await?;
        let name = hour_name(from);
        let files = files.of_hour(from);
        let mut proof = Proof { hours: 1, ..Proof::default() };
        let mut passes = 1;
        let mut pass = 0;
        while pass < passes {
            let Some(steps) = self.steps(files, (pass, passes), deadline).await? else {
                if passes == MAX_PASSES {
                    let megabytes = self.memory_bytes / 1_000_000;
                    return Err(Error::config(format!(
                        "prove {name}: the rows of an item take more than {megabytes} MB; raise the function's memory"
                    )));
                }
                // Each pass becomes two, which have the same items.
                (pass, passes) = (pass * 2, passes * 2);
                continue;
            };
            replay::replay(self, &name, steps, heads, &mut counted, &mut proof)?;
            pass += 1;
        }
        let (left, of_other) = counted.left();
        proof.other_generation += of_other;
        let doubt = if from < self.known.certain_from.seconds() {
            Some(Doubt::Definition)
        } else {
            (!self.keys.all_have_rows(self.pipeline)).then_some(Doubt::Items)
        };
        for id in left {
            if let Some(why) = doubt {
                proof.doubt(why);
                continue;
            }
            proof.add(ArchiveDifference {
                hour: name.clone(),
                record_type: String::new(),
                sequence: String::new(),
                record_id: format!("{id:016x}"),
                what: ArchiveWrong::NotArchived,
            });
        }
        Ok(proof)
    }

    /// The steps of the items of one pass, each once, in the order of their items and sequence numbers; `None` if they don't fit into
    /// memory.
    async fn steps(
        &self,
        files: &[files::File],
        (pass, passes): (u64, u64),
        deadline: Option<Instant>,
    ) -> Result<Option<Vec<Step>>, Error> {
        let (mut steps, mut bytes) = (Vec::new(), 0);
        let read = files::each_step(self, files, deadline, |step| {
            if (heads::hash(&step) * passes) >> 32 != pass {
                return files::Next::Read;
            }
            bytes += heads::step_bytes(&step);
            steps.push(step);
            if bytes > self.memory_bytes { files::Next::Stop } else { files::Next::Read }
        });
        if read.await? == files::Next::Stop {
            return Ok(None);
        }
        sort(&mut steps);
        Ok(Some(steps))
    }
}

/// Leaves each step once, in the order of their items and sequence numbers. Kinesis may repeat a change under a later sequence number,
/// with other changes of the item in between. The first counts.
fn sort(steps: &mut Vec<Step>) {
    steps.sort_unstable_by(|one, other| (&one.id, one.order()).cmp(&(&other.id, other.order())));
    steps.dedup_by(|one, other| one.id == other.id && one.item == other.item);
    steps.sort_unstable_by(|one, other| {
        (&one.record_type, &one.item, one.order()).cmp(&(&other.record_type, &other.item, other.order()))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_kinesis_repeats_later_counts_at_its_first_place() {
        let step = |item: &str, sequence: &str, id: &str| Step {
            item: item.to_owned(),
            digits: i64::try_from(sequence.len()).unwrap(),
            sequence: sequence.to_owned(),
            id: id.to_owned(),
            record_type: "order".to_owned(),
            event: "MODIFY".to_owned(),
            created_at: 0,
            image: String::new(),
        };
        let (one, two, other) = (step("x", "9", "a"), step("x", "10", "b"), step("w", "11", "c"));
        let mut steps = vec![step("x", "12", "a"), two.clone(), other.clone(), one.clone(), two.clone()];
        sort(&mut steps);
        assert_eq!(steps, [other, one, two]);
    }
}
