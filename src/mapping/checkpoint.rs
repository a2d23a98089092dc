//! Checkpoints: how far each shard of a stream has been read. They only move forward, and belong to one stream, which
//! they name by its ARN, label included.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::files::write_atomically;
use crate::source::Position;
use stream_types::SequenceNumber;
use stream_types::Timestamp;

/// How many earlier states are kept for [`Checkpoints::rewind`].
const HISTORY_LENGTH: usize = 64;

/// The version of the file's format.
const VERSION: u32 = 1;

/// Where the next run continues in a shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    /// At the oldest record.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// At the first record of this time or later, in microseconds since 1970.
    AtTimestamp(i64),
    /// At the record with this sequence number.
    At(String),
    /// After the record with this sequence number.
    After(String),
    /// Nowhere: the shard has been read to its end.
    End,
}

/// The part of the file that every version has.
#[derive(Deserialize)]
struct Header {
    version: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    version: u32,
    stream_arn: String,
    mapping_uuid: String,
    shards: BTreeMap<String, Checkpoint>,
}

/// The checkpoints of one mapping of one stream, in a file or in memory.
#[derive(Debug)]
pub struct Checkpoints {
    file: Option<PathBuf>,
    state: State,
    earlier: VecDeque<BTreeMap<String, Checkpoint>>,
}

impl Checkpoints {
    /// New checkpoints that are not saved.
    pub fn in_memory(stream_arn: &str, mapping_uuid: &str) -> Checkpoints {
        let (stream_arn, mapping_uuid) = (stream_arn.to_owned(), mapping_uuid.to_owned());
        let state = State { version: VERSION, stream_arn, mapping_uuid, shards: BTreeMap::new() };
        Checkpoints { file: None, state, earlier: VecDeque::new() }
    }

    /// Checkpoints that are saved in `file`, and continue from it if it exists and belongs to this stream. If it belongs to
    /// another stream, such as an earlier stream of the same table, the checkpoints start over under the same mapping UUID.
    ///
    /// # Errors
    /// If the file can't be read, is damaged or has another format version. It is then left alone.
    pub fn open(file: &Path, stream_arn: &str, new_uuid: &str) -> anyhow::Result<Checkpoints> {
        let mut checkpoints = Checkpoints::in_memory(stream_arn, new_uuid);
        checkpoints.file = Some(file.to_owned());
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(checkpoints),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read the checkpoint file {}", file.display()));
            }
        };
        let damaged = || format!("failed to read the checkpoint file {}: delete it to start over", file.display());
        let Header { version } = serde_json::from_str(&text).with_context(damaged)?;
        if version != VERSION {
            bail!(
                "the checkpoint file {} has format version {version}, but this program reads version {VERSION}: \
                 run a newer version of this program, or delete the file to start over",
                file.display()
            );
        }
        let state: State = serde_json::from_str(&text).with_context(damaged)?;
        if state.stream_arn == stream_arn {
            checkpoints.state = state;
        } else {
            checkpoints.state.mapping_uuid = state.mapping_uuid;
            let (found, expected) = (state.stream_arn, stream_arn);
            tracing::warn!(found, expected, "the checkpoints belong to another stream; starting over");
        }
        Ok(checkpoints)
    }

    /// A copy that is not saved.
    pub fn copy_in_memory(&self) -> Checkpoints {
        Checkpoints { file: None, state: self.state.clone(), earlier: VecDeque::new() }
    }

    /// The mapping's UUID, which survives restarts.
    pub fn mapping_uuid(&self) -> &str {
        &self.state.mapping_uuid
    }

    /// Whether no shard has a checkpoint yet.
    pub fn is_empty(&self) -> bool {
        self.state.shards.is_empty()
    }

    /// The checkpoint of a shard, if it has one.
    pub fn of(&self, shard: &str) -> Option<&Checkpoint> {
        self.state.shards.get(shard)
    }

    /// Whether a shard has been read to its end.
    pub fn is_finished(&self, shard: &str) -> bool {
        self.of(shard) == Some(&Checkpoint::End)
    }

    /// Moves a shard's checkpoint forward. A checkpoint that is further back is ignored.
    ///
    /// # Errors
    /// If the checkpoints can't be saved.
    pub fn set(&mut self, shard: &str, to: Checkpoint) -> anyhow::Result<()> {
        let before = self.state.shards.get(shard);
        if before == Some(&to) || before.is_some_and(|before| before.is_beyond(&to)) {
            return Ok(());
        }
        if self.earlier.len() == HISTORY_LENGTH {
            self.earlier.pop_front();
        }
        self.earlier.push_back(self.state.shards.clone());
        self.state.shards.insert(shard.to_owned(), to);
        self.save()
    }

    /// How many changes [`Checkpoints::rewind`] can undo.
    pub fn undoable(&self) -> usize {
        self.earlier.len()
    }

    /// Forgets earlier states, so that [`Checkpoints::rewind`] can't go back past this one.
    pub fn forget_earlier(&mut self) {
        self.earlier.clear();
    }

    /// Undoes the last `steps` changes, as if the process had crashed before saving them. For tests and fault injection.
    ///
    /// # Errors
    /// If the checkpoints can't be saved.
    pub fn rewind(&mut self, steps: usize) -> anyhow::Result<()> {
        for _ in 0..steps {
            let Some(earlier) = self.earlier.pop_back() else { break };
            // Not before the first checkpoint: the starting position would then be applied again.
            if !earlier.is_empty() {
                self.state.shards = earlier;
            }
        }
        self.save()
    }

    fn save(&self) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        write_atomically(file, &serde_json::to_string_pretty(&self.state)?)
    }
}

impl Checkpoint {
    /// Where reading continues; `None` at the end.
    pub fn position(&self) -> Option<Position> {
        match self {
            Checkpoint::TrimHorizon => Some(Position::TrimHorizon),
            Checkpoint::Latest => Some(Position::Latest),
            Checkpoint::AtTimestamp(micros) => Timestamp::from_micros(*micros).map(Position::AtTimestamp),
            Checkpoint::At(sequence) => SequenceNumber::parse(sequence.clone()).map(Position::At),
            Checkpoint::After(sequence) => SequenceNumber::parse(sequence.clone()).map(Position::After),
            Checkpoint::End => None,
        }
    }

    fn is_beyond(&self, other: &Checkpoint) -> bool {
        match (self, other) {
            (Checkpoint::End, _) => true,
            (Checkpoint::After(a), Checkpoint::After(b)) => {
                SequenceNumber::parse(a.as_str()).partial_cmp(&SequenceNumber::parse(b.as_str()))
                    == Some(std::cmp::Ordering::Greater)
            }
            (Checkpoint::After(_), Checkpoint::End) => false,
            (Checkpoint::After(_), _) => true,
            _ => false,
        }
    }
}

impl From<&Position> for Checkpoint {
    fn from(position: &Position) -> Checkpoint {
        match position {
            Position::TrimHorizon => Checkpoint::TrimHorizon,
            Position::Latest => Checkpoint::Latest,
            Position::AtTimestamp(time) => Checkpoint::AtTimestamp(time.micros()),
            Position::At(sequence) => Checkpoint::At(sequence.as_str().to_owned()),
            Position::After(sequence) => Checkpoint::After(sequence.as_str().to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
